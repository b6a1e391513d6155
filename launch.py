"""Trains, evaluates or summarises what a config describes: python launch.py --config=configs/wgan_svhn.py"""

import importlib
from pathlib import Path
import shlex
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from jgen import files, runtime
from jgen.commands import options
from jgen.errors import UserError
from jgen.run import config as config_lib

MODES = ('train', 'evaluate', 'summary', 'data', 'prepare', 'study', 'prior', 'score')   # modules of jgen.commands
TOOLS = ('compare', 'report', 'weights')   # likewise; they take paths and no config
OF_RUNS = tuple(options.OPTIONS)        # likewise; they take a run folder and flags of their own
ROOT = Path(__file__).resolve().parent   # launch.py may be a link to this file
RECIPES = ROOT / 'jgen/recipes'

CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'What to do; its keys, explained in docs/config.md, are overridden as --config.KEY=VALUE. By '
    'default that of the run in --workdir, else configs/quickstart.py.')
WORKDIR = flags.DEFINE_string(
    'workdir', '', 'Folder of the run; by default runs/<name of the config file>, for a study runs/<name>_study.')
MODE = flags.DEFINE_enum('mode', 'train', [*MODES, *TOOLS, *OF_RUNS], 'What to do with it.')
EVALUATORS = flags.DEFINE_string(
    'evaluators', '', "Evaluators, separated by commas, to measure by in the place of the config's own.")
COORDINATOR = flags.DEFINE_string(
    'coordinator', '', "For several processes: HOST:PORT of the first, or 'auto' on SLURM, TPU pods, Kubernetes.")
NUM_PROCESSES = flags.DEFINE_integer('num_processes', 1, 'With --coordinator=HOST:PORT: how many there are.')
PROCESS_ID = flags.DEFINE_integer('process_id', 0, 'With --coordinator=HOST:PORT: which this is, from 0.')


def taken(name, arguments):
  """(the value of the flag --name, '' where it is not given, the arguments without it); absl takes -name as well."""
  value, others = '', []
  remaining = iter(arguments)
  for argument in remaining:
    flag, equals, given = argument.partition('=')
    if flag not in (f'--{name}', f'-{name}'):
      others.append(argument)
    elif equals:
      value = given
    else:
      value = next(remaining, None)
      if value is None:                 # absl says that it is missing
        return '', arguments
  return value, others


def chosen_config(arguments):
  """(the config that arguments name or mean by default, the arguments without it)."""
  config, others = taken('config', arguments)
  workdir, mode = (taken(name, arguments)[0] for name in ('workdir', 'mode'))
  default = RECIPES / 'score.py' if mode == 'score' else ROOT / 'configs/quickstart.py'
  if workdir and (files.folder(workdir) / 'config.json').exists():
    default = f'{RECIPES}/stored.py:{files.folder(workdir)}'
  path, colon, argument = (config or str(default)).partition(':')
  if argument.startswith('//'):         # an address
    files.expanded(config)
  return f'{files.expanded(path)}{colon}{argument}', others


def mode_of(arguments):
  """The mode that arguments name, whose flags have to be known before they can be read."""
  return taken('mode', arguments)[0] or 'train'


def with_config(arguments):
  """The arguments with the config first, which has to be known before its keys can be read from the others."""
  config, others = chosen_config(arguments)
  names, _ = taken('evaluators', arguments)
  if names:
    config = f'{RECIPES}/measured.py:{names}:{config}'
  return [others[0], f'--config={config}', *others[1:]]


def parse(arguments):
  """Reads the flags; raises UserError for those that are wrong."""
  mode = mode_of(arguments)
  try:
    if mode in OF_RUNS:
      options.define(mode)
      left = flags.FLAGS(arguments)
    else:
      left = flags.FLAGS(with_config(arguments))
    if MODE.value not in (*TOOLS, *OF_RUNS):
      from jgen.training.config import check  # it imports jax, which tools do without
      check(CONFIG.value)
  except config_lib.UNREADABLE as error:
    raise config_lib.explain(error) from error
  if left[1:] and MODE.value not in TOOLS:
    raise UserError(f"'{left[1]}' is no flag; see python launch.py --help")
  return left


def run_mode():
  """Runs a mode that takes a run folder and flags of its own."""
  given = options.read(MODE.value)
  if not WORKDIR.value:
    raise UserError(f'--mode={MODE.value} works on a trained run; name its folder with --workdir')
  runtime.start_jax()
  importlib.import_module(f'jgen.commands.{MODE.value}').run(given, files.folder(WORKDIR.value))


def main(arguments):
  logging.set_verbosity(logging.WARNING)   # of all libraries, JAX's that a GPU is there but unused among them
  if MODE.value in TOOLS:
    importlib.import_module(f'jgen.commands.{MODE.value}').run(
        [files.expanded(path) for path in arguments[1:]], files.expanded(WORKDIR.value) if WORKDIR.value else None)
    return
  if MODE.value in OF_RUNS:
    run_mode()
    return
  name = Path(chosen_config(sys.argv)[0].partition(':')[0]).stem
  runtime.start_jax(COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
  mode = importlib.import_module(f'jgen.commands.{MODE.value}')
  default = f'runs/{name}_study' if MODE.value == 'study' else f'runs/{name}'
  mode.run(CONFIG.value, files.folder(WORKDIR.value or default), shlex.join(['python', *sys.argv]))


if __name__ == '__main__':
  runtime.prepare()
  with runtime.exit_status():
    app.run(main, flags_parser=parse)
