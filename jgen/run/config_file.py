"""The files of configs: found by path or name, executed, and overridden as on the command line."""

from collections.abc import Collection, Sequence
import importlib.util
from pathlib import Path
import re
import sys
import traceback
from types import ModuleType

from absl import flags
from ml_collections import ConfigDict, config_flags

from jgen.errors import UserError, nearest
from jgen.host import files
from jgen.run import config as config_lib

ROOT = Path(__file__).resolve().parent.parent.parent   # of the project, or of what is installed
RECIPES = ROOT / 'jgen/recipes'
_MOVED = re.compile("name '(common|models|evaluators)' from 'configs'|No module named 'configs.(common|models|evaluat)")


def find(name: str) -> Path:
  """The file of a config: a path, or the name of one in configs/, as 'wgan_svhn' or 'configs/wgan_svhn.py'.

  Raises:
    UserError: there is no such file.
  """
  path = files.expanded(name)
  if path.suffix == '.py' and path.is_file():
    return path
  known = sorted(file.stem for file in (ROOT / 'configs').glob('*.py'))
  if path.stem in known and path.parent.name in ('', 'configs'):
    return ROOT / 'configs' / f'{path.stem}.py'
  raise UserError(f'the config {name} cannot be read: there is no such file; {nearest(path.stem, known)}')


def taken(name: str, arguments: Sequence[str]) -> tuple[str, list[str]]:
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
      following = next(remaining, None)
      if following is None:             # absl says that it is missing
        return '', [*arguments]
      value = following
  return value, others


def with_evaluators(config: str, names: str) -> str:
  """The name of the config with the evaluators `names`, separated by commas; the config itself for ''."""
  return f'{RECIPES}/measured.py:{names}:{config}' if names else config


def load(text: str) -> ConfigDict:
  """The config of 'FILE', or of 'FILE:TEXT' whose `get_config` takes the text; a locked ConfigDict.

  Raises:
    UserError: there is no such file, or its code fails; the line names the file, its line and the error.
  """
  match = re.fullmatch(r'(.*?\.py|\w+://.*|[^:]*)(?::(.*))?', text, re.DOTALL)
  assert match is not None              # the last alternative is any text
  name, argument = match.groups()
  file = find(name)
  if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))          # configs import each other as configs.NAME
  try:
    made = _executed(file).get_config(*([] if argument is None else [argument]))
  except UserError:
    raise
  except Exception as error:            # whatever code may raise
    raise UserError(f'{_place(file, error)}: {_said(error)}') from error
  if not isinstance(made, ConfigDict):
    raise UserError(f'{file}: get_config returned {type(made).__name__}; expected a ConfigDict, such as recipes.base()')
  return made.lock()


def _executed(file: str | Path) -> ModuleType:
  """The module of a Python file, executed at each call; raises whatever its code does."""
  spec = importlib.util.spec_from_file_location('config', file)
  if spec is None or spec.loader is None:
    raise ImportError(f'{file} is no Python file')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def one_length(config: ConfigDict, keys: Collection[str]) -> None:
  """Sets `num_epochs` to 0 in place where the dotted `keys` that were set name its `num_steps` alone, and vice versa.

  So `--config.num_epochs=20` is enough for a config that says `num_steps`; priors have both keys in their sections.
  """
  for path in keys:
    *prefix, name = path.split('.')
    other = {'num_steps': 'num_epochs', 'num_epochs': 'num_steps'}.get(name, '')
    section = config
    for part in prefix:
      section = section.get(part) or {}
    if other and other in section and section[name] and '.'.join((*prefix, other)) not in keys:
      section[other] = type(section[other])(0)


def set_keys(arguments: Sequence[str]) -> list[str]:
  """The dotted keys that the arguments --config.KEY=VALUE or --config.KEY VALUE set."""
  found = (re.match(r'--?config\.([\w.]+)(?:=|$)', argument) for argument in arguments)
  return [match[1] for match in found if match]


def overridden(config: ConfigDict, arguments: Sequence[str]) -> ConfigDict:
  """The config with the arguments --config.KEY=VALUE, each of its key's type; others are passed over.

  Raises:
    UserError: there is no such key, or it has another type.
  """
  values, words = flags.FlagValues(), ['', *arguments]
  try:
    config_flags.DEFINE_config_dict('config', config, flag_values=values, sys_argv=words)
    values(words, known_only=True)
    made = values.config.lock()
    one_length(made, set_keys(arguments))
    return made
  except config_lib.UNREADABLE as error:
    raise config_lib.explain(error) from error


def _place(file, error):
  """The file, and the last line in it that led to the error."""
  lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
  if isinstance(error, SyntaxError) and error.filename == str(file):
    lines = [error.lineno]
  return f'{file}, line {lines[-1]}' if lines else str(file)


def _said(error):
  """The error raised by a config's code, in one line."""
  text = f'{type(error).__name__}: {error}'
  if _MOVED.search(text):
    return 'configs/common.py, models.py and evaluators.py are gone; use `from jgen import recipes` (docs/extending.md)'
  if isinstance(error, (AttributeError, LookupError)):
    explained = str(config_lib.explain(error))
    if explained.startswith('config key'):
      return explained
  return ' '.join(''.join(letter if letter.isprintable() else ' ' for letter in text).split())[:300]
