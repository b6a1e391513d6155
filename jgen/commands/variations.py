"""The variations of a study: parsed from their declarations, named, and turned into configs."""

import dataclasses
import difflib
from pathlib import Path
import re
import shlex

from ml_collections import ConfigDict

from jgen.errors import UserError
from jgen.run import config as config_lib
from jgen.run import config_file

MAX_NAME = 100                          # characters of a name, which is used for folders and in legends

_RESERVED = ('', 'figures')             # names that a run folder in a study cannot have


@dataclasses.dataclass(frozen=True)
class Variation:
  """One run of a study."""

  name: str                             # shown in legends and tables
  folder: str                           # name of its run folder
  settings: str                         # as declared, without the name
  config: ConfigDict                    # complete, without a study section


def read(config: ConfigDict, command: str) -> tuple[Variation, ...]:
  """The Variations declared in `config.study.variations`, in order; docs/studies.md describes the format.

  Args:
    config: the config to vary.
    command: the command line; its --config.KEY=VALUE also apply to variations that name another config file.

  Raises:
    UserError: there are none, one cannot be read, or two have the same name.
  """
  if not config.study.variations:
    raise UserError('the config has no study (config.study.variations is empty); name variations, as '
                    '--config.study.variations="(\'seed=0\', \'seed=1\')", or use a config that has one')
  by_folder: dict[str, Variation] = {}
  for text in config.study.variations:
    variation = _read_one(text, config, command)
    first = by_folder.setdefault(variation.folder.casefold(), variation)
    if first is not variation:
      raise UserError(f"config.study.variations: '{first.name}' and '{variation.name}' have the same name; "
                      "name one of them explicitly, as in 'NAME: KEY=VALUE'")
  return tuple(by_folder.values())


def _read_one(text, config, command):
  match = re.fullmatch(r'\s*(?:([^=:]+):)?\s*(.*)', text, re.DOTALL)
  assert match is not None              # the pattern matches any text
  name, settings = match.groups()
  try:
    assignments = _assignments(settings)
    name = (name or _short(assignments)).strip()
    folder = re.sub(r'[^\w.=+-]+', '_', name).strip('._')
    if folder.casefold() in _RESERVED or len(folder) > MAX_NAME:
      raise UserError(f"'{folder}' cannot name its folder; give it another name of up to {MAX_NAME} characters, "
                      "as in 'NAME: KEY=VALUE'")
    return Variation(name, folder, settings.strip(), _vary(config, assignments, command))
  except UserError as error:
    raise UserError(f"config.study.variations: '{text}': {error}") from error


def _assignments(settings):
  """{key: text of the value} from 'KEY=VALUE KEY=VALUE ...', quoted as in a shell."""
  try:
    words = shlex.split(settings)
  except ValueError as error:
    raise UserError(f'{error}; close the quotes') from error
  for word in words:
    if '=' not in word:
      raise UserError(f"'{word}' is not KEY=VALUE")
  return dict(word.split('=', 1) for word in words)


def _short(assignments):
  """The default name of a variation."""
  return ' '.join(Path(value).stem if key == 'config' else f"{key.rsplit('.', 1)[-1]}={value}"
                  for key, value in assignments.items())


def _vary(config, assignments, command):
  """The config, or the one named by an assignment `config=FILE`, with the other assignments applied."""
  keys = {key: value for key, value in assignments.items() if key != 'config'}
  if 'config' in assignments:           # the evaluators on the command line apply to it too
    evaluators, others = config_file.taken('evaluators', shlex.split(command))
    _, others = config_file.taken('config', others)
    named = config_file.with_evaluators(assignments['config'], evaluators)
    varied = config_file.overridden(config_file.load(named), others)
  else:
    varied = config.copy_and_resolve_references()
  values = config_lib.flatten(varied)
  for key in keys:
    if key not in values:
      raise UserError(f"config key '{key}' is not known; {_nearest(key, values)}")
  varied = config_file.overridden(varied, [f'--config.{key}={value}' for key, value in keys.items()])
  varied.study.variations = ()
  return varied


def _nearest(key, names):
  same_ending = [name for name in names if name.rsplit('.', 1)[-1] == key.rsplit('.', 1)[-1]]
  near = same_ending or difflib.get_close_matches(key, names, n=1)
  return f"did you mean '{near[0]}'?" if near else 'docs/config.md lists all keys'
