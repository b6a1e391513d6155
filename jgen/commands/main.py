"""The command line: `python launch.py`, or `jgen` where the package is installed."""

from collections.abc import Callable
import dataclasses
import importlib
from pathlib import Path
import sys

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from jgen import keys
from jgen.commands import options
from jgen.errors import UserError, nearest
from jgen.host import files, runtime, terminal
from jgen.run import config as config_lib
from jgen.run import config_file
from jgen.run.config_file import taken

# Modules of this package, by their arguments, with the help text of each.
OF_CONFIGS = {   # run(config, workdir, command)
    'train': 'trains a config; the same command resumes a stopped run',
    'evaluate': 'measures the newest and the best checkpoint of the run in --workdir',
    'summary': 'prints every network with its parameters',
    'data': 'summarises the images of a config, and draws some of them unchanged and augmented',
    'prepare': 'decodes, crops and resizes the images of a config before training',
    'study': 'trains the variations of a config and compares them',
    'prior': 'fits priors to the latents of the VQ-VAE in --workdir',
    'score': 'scores a folder of generated images against one of real images',
}
OF_RUNS = {      # run(options, folder); their own flags are in jgen/commands/options.py
    'sample': 'draws images from the run in --workdir; its flags: --mode=sample --help',
    'export': 'exports the networks of the run in --workdir for other programs; its flags: --mode=export --help',
}
OF_PATHS = {     # run(paths, workdir)
    'compare': 'compares the runs in the given folders: curves, samples, scores, differences of their configs',
    'report': 'writes report.html of the run in --workdir, and its figures as PNG and PDF',
    'weights': "checks the Inception's weights in a file, for FID, and stores them",
    'list': 'lists the configs, what each reproduces and which data it needs',
}
MODES = {**OF_CONFIGS, **OF_RUNS, **OF_PATHS}
FLAGS: dict[str, tuple[str | int, str]] = {   # {name: (default, meaning)}; the default determines the type
    'config': ('', 'a file, or the name of one in configs/; by default that of the run in --workdir, else quickstart'),
    'workdir': ('', 'folder of the run; by default runs/NAME, for a study runs/NAME_study'),
    'mode': ('train', 'what to do, see above'),
    'evaluators': ('', "evaluators, separated by commas, that replace the config's own; with a + before the "
                       'first, in addition to them'),
    'deterministic': (False, 'reproducible numbers on a GPU, where training then is slower; on a CPU they are '
                      'always reproducible'),
    'coordinator': ('', "for several processes: HOST:PORT of the first, or 'auto' on SLURM, TPU pods, Kubernetes"),
    'num_processes': (1, 'with --coordinator=HOST:PORT: number of processes'),
    'process_id': (0, 'with --coordinator=HOST:PORT: number of this process, from 0'),
}
_OF_START = ('coordinator', 'num_processes', 'process_id', 'deterministic')
_DEFINE: dict[type, Callable] = {bool: flags.DEFINE_boolean, int: flags.DEFINE_integer, str: flags.DEFINE_string}
_HELP = """usage: python launch.py [--mode=MODE] [--config=NAME] [--config.KEY=VALUE ...] [--workdir=FOLDER]

Trains, draws and measures generative image models. Without arguments: a small conditional WGAN-GP, in minutes on a CPU.

  python launch.py --mode=list                                           list what can be trained
  python launch.py --config=wgan_svhn --config.data.dir=FOLDER           train it
  python launch.py --config=quickstart --config.model.latent_size=16     with another value of a key: docs/config.md
  python launch.py --workdir=runs/quickstart                             resume a run
  python launch.py --mode=evaluate --workdir=runs/quickstart             measure it

modes
{modes}

flags
{flags}
"""


@dataclasses.dataclass(frozen=True)
class Given:
  """A parsed command line."""

  mode: str
  config: ConfigDict | None             # None if the mode takes none
  options: object                       # for a mode of OF_RUNS, the dataclass of its flags
  name: str                             # of the config file
  workdir: str                          # '' if none is given
  start: dict                           # the arguments of runtime.start_jax
  paths: list[str]                      # arguments that are not flags


def text_of_help(mode: str = 'train') -> str:
  """The output of --help, with the flags specific to a mode."""
  list_of = lambda entries, dashes='': '\n'.join(f'  {dashes}{name:<14} {meaning}' for name, meaning in entries.items())
  text = _HELP.format(modes=list_of(MODES),
                      flags=list_of({name: meaning for name, (_, meaning) in FLAGS.items()}, '--'))
  own = keys.plain(options.OPTIONS[mode]) if mode in OF_RUNS else {}
  of_mode = list_of({name: f'{flag.meaning} ({flag.default!r})' for name, flag in own.items()}, '--')
  return text + (f'\nflags of --mode={mode}, with their defaults\n{of_mode}\n' if own else '')


def mode_of(arguments: list[str]) -> str:
  """The mode in the arguments, which determines the flags to read; raises UserError for an unknown mode."""
  mode = taken('mode', arguments)[0] or 'train'
  if mode not in MODES:
    raise UserError(f'--mode={mode} is not known; {nearest(mode, MODES)}')
  return mode


def chosen_config(arguments: list[str]) -> tuple[str, list[str]]:
  """(name or path of the config, given or by default; the arguments without --config)."""
  config, others = taken('config', arguments)
  workdir, mode = (taken(name, arguments)[0] for name in ('workdir', 'mode'))
  default = str(config_file.RECIPES / 'score.py' if mode == 'score' else config_file.ROOT / 'configs/quickstart.py')
  if workdir and (files.folder(workdir) / 'config.json').exists():
    default = f'{config_file.RECIPES}/stored.py:{files.folder(workdir)}'
  return config or default, others


def parse(arguments: list[str]) -> Given:
  """The Given of a command line, without the program's name; raises UserError if something is wrong."""
  (config, others), mode, values = chosen_config(arguments), mode_of(arguments), _flags()
  try:
    if mode in OF_CONFIGS:
      del values.config
      named = config_file.with_evaluators(config, taken('evaluators', others)[0])
      config_flags.DEFINE_config_dict('config', config_file.load(named), flag_values=values, sys_argv=['', *others])
    elif mode in OF_RUNS:
      options.define(mode, values)
    _, *paths = values(['', *(others if mode in OF_CONFIGS else arguments)])
    parsed = values['config'].value.lock() if mode in OF_CONFIGS else None
    if parsed:
      config_file.one_length(parsed, config_file.set_keys(others))
  except config_lib.UNREADABLE as error:
    raise config_lib.explain(error) from error
  if paths and mode not in OF_PATHS:
    raise UserError(f"'{paths[0]}' is not a flag; see python launch.py --help")
  own = options.read(mode, values) if mode in OF_RUNS else None
  return Given(mode, parsed, own, Path(config.partition(':')[0]).stem, values['workdir'].value,
               {name: values[name].value for name in _OF_START}, paths)


def _flags():
  values = flags.FlagValues()
  for name, (default, meaning) in FLAGS.items():
    _DEFINE[type(default)](name, default, meaning, flag_values=values)
  return values


def run(arguments: list[str], program: str = 'python launch.py') -> None:
  """Runs the mode that the arguments name; `program` is the start of the commands that are printed."""
  if {'--help', '-h', '-help', '--helpfull', '--helpshort'} & {*arguments}:
    terminal.say(text_of_help(mode_of(arguments)).rstrip())
    return
  with runtime.importing():
    given = parse(arguments)
    mode = importlib.import_module(f'jgen.commands.{given.mode}')
  if given.mode in OF_RUNS:
    if not given.workdir:
      raise UserError(f'--mode={given.mode} works on a trained run; name its folder with --workdir')
    runtime.start_jax(deterministic=given.start['deterministic'])
    mode.run(given.options, files.folder(given.workdir))
    return
  if given.config is None:
    mode.run([files.expanded(path) for path in given.paths],
             files.expanded(given.workdir) if given.workdir else None)
    return
  from jgen.training.config import check  # here, because it imports jax
  check(given.config)
  runtime.start_jax(**given.start)
  default = f'runs/{given.name}_study' if given.mode == 'study' else f'runs/{given.name}'
  mode.run(given.config, files.folder(given.workdir or default), terminal.command_line([*program.split(), *arguments]))


def console() -> None:
  """Entry point of the program `jgen` and of launch.py: prepares the process and ends it with the exit status."""
  runtime.prepare()
  logging.set_verbosity(logging.WARNING)   # hides, among others, JAX's message that a GPU is present but unused
  with runtime.exit_status():
    run(sys.argv[1:], 'jgen' if Path(sys.argv[0]).stem == 'jgen' else f'python {sys.argv[0]}')
