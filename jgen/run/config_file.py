"""Config files: found by path or name, executed, and overridden by command-line arguments."""

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

ROOT = Path(__file__).resolve().parent.parent.parent   # of the repository, or of the installed packages
RECIPES = ROOT / 'jgen/recipes'
_MOVED = re.compile("name '(common|models|evaluators)' from 'configs'|No module named 'configs.(common|models|evaluat)")


def find(name: str) -> Path:
  """The file of a config: a path, or the name of a config in configs/, as 'wgan_svhn' or 'configs/wgan_svhn.py'.

  Raises:
    UserError: there is no such file.
  """
  path = files.expanded(name)
  if path.suffix == '.py' and path.is_file():
    return path
  names = sorted(file.stem for file in (ROOT / 'configs').glob('*.py'))
  if path.stem in names and path.parent.name in ('', 'configs'):
    return ROOT / 'configs' / f'{path.stem}.py'
  raise UserError(f'the config {name} cannot be read: there is no such file; {nearest(path.stem, names)}')


def taken(name: str, arguments: Sequence[str]) -> tuple[str, list[str]]:
  """(the value of the flag --name or -name, '' if it is not given; the arguments without the flag)."""
  value, others = '', []
  remaining = iter(arguments)
  for argument in remaining:
    flag, equals, text = argument.partition('=')
    if flag not in (f'--{name}', f'-{name}'):
      others.append(argument)
    elif equals:
      value = text
    else:
      following = next(remaining, None)
      if following is None:             # absl reports the missing value
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
    config = _executed(file).get_config(*([] if argument is None else [argument]))
  except UserError:
    raise
  except Exception as error:            # the config's code may raise anything
    raise UserError(f'{_place(file, error)}: {_message(error)}') from error
  if not isinstance(config, ConfigDict):
    raise UserError(f'{file}: get_config returned {type(config).__name__}; expected a ConfigDict, such as '
                    'recipes.base()')
  return config.lock()


def _executed(file: str | Path) -> ModuleType:
  """The module of a Python file, executed at each call; raises whatever its code does."""
  spec = importlib.util.spec_from_file_location('config', file)
  if spec is None or spec.loader is None:
    raise ImportError(f'{file} is not a Python file')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def one_length(config: ConfigDict, keys: Collection[str]) -> None:
  """Sets `num_epochs` to 0 in place if only `num_steps` is among `keys`, the dotted keys that were set; and vice versa.

  So `--config.num_epochs=20` is enough for a config with `num_steps`. The sections of priors have both keys, too.
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
  matches = (re.match(r'--?config\.([\w.]+)(?:=|$)', argument) for argument in arguments)
  return [match[1] for match in matches if match]


def overridden(config: ConfigDict, arguments: Sequence[str]) -> ConfigDict:
  """The config with the arguments --config.KEY=VALUE applied, each of its key's type; other arguments are ignored.

  Raises:
    UserError: there is no such key, or the value has another type.
  """
  values, words = flags.FlagValues(), ['', *arguments]
  try:
    config_flags.DEFINE_config_dict('config', config, flag_values=values, sys_argv=words)
    values(words, known_only=True)
    result = values.config.lock()
    one_length(result, set_keys(arguments))
    return result
  except config_lib.UNREADABLE as error:
    raise config_lib.explain(error) from error


def _place(file, error):
  """The file and the last of its lines in the traceback."""
  lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
  if isinstance(error, SyntaxError) and error.filename == str(file):
    lines = [error.lineno]
  return f'{file}, line {lines[-1]}' if lines else str(file)


def _message(error):
  """The error raised by a config's code, in one line."""
  text = f'{type(error).__name__}: {error}'
  if _MOVED.search(text):
    return 'configs/common.py, models.py and evaluators.py are gone; use `from jgen import recipes` (docs/extending.md)'
  if isinstance(error, (AttributeError, LookupError)):
    explained = str(config_lib.explain(error))
    if explained.startswith('config key'):
      return explained
  return ' '.join(''.join(letter if letter.isprintable() else ' ' for letter in text).split())[:300]
