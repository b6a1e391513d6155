"""The variations of a study: read from their declarations, named, and made into configs."""

import dataclasses
import difflib
from pathlib import Path
import re
import shlex

from ml_collections import ConfigDict

from jgen.errors import UserError
from jgen.run import config as config_lib
from jgen.run import config_file

MAX_NAME = 100                          # characters; used as folder name and in legends

_RESERVED = ('', 'figures')             # names that a run folder in the folder of a study cannot have


@dataclasses.dataclass(frozen=True)
class Variation:
  """One run of a study."""

  name: str                             # as legends and tables show it
  folder: str                           # its run folder's name
  settings: str                         # as declared, without the name
  config: ConfigDict                    # complete, without a study section


def read(config: ConfigDict, command: str) -> tuple[Variation, ...]:
  """The Variations that `config.study.variations` declares, in its order; docs/studies.md has the form.

  Args:
    config: what they vary.
    command: the command line; its --config.KEY=VALUE hold for variations of another config file too.

  Raises:
    UserError: there are none, one cannot be read, or two have the same name.
  """
  if not config.study.variations:
    raise UserError('the config has no study (config.study.variations is empty); name variations, as '
                    '--config.study.variations="(\'seed=0\', \'seed=1\')", or take a config that has one')
  found: dict[str, Variation] = {}
  for text in config.study.variations:
    variation = _read_one(text, config, command)
    other = found.setdefault(variation.folder.casefold(), variation)
    if other is not variation:
      raise UserError(f"config.study.variations: '{other.name}' and '{variation.name}' have the same name; "
                      "give one of its own, as 'NAME: KEY=VALUE'")
  return tuple(found.values())


def _read_one(text, config, command):
  match = re.fullmatch(r'\s*(?:([^=:]+):)?\s*(.*)', text, re.DOTALL)
  assert match is not None              # any text is
  name, settings = match.groups()
  try:
    assignments = _assignments(settings)
    name = (name or _short(assignments)).strip()
    folder = re.sub(r'[^\w.=+-]+', '_', name).strip('._')
    if folder.casefold() in _RESERVED or len(folder) > MAX_NAME:
      raise UserError(f"'{folder}' cannot name its folder; give it another name of up to {MAX_NAME} characters, "
                      "as 'NAME: KEY=VALUE'")
    return Variation(name, folder, settings.strip(), _vary(config, assignments, command))
  except UserError as error:
    raise UserError(f"config.study.variations: '{text}': {error}") from error


def _assignments(settings):
  """{key: text of the value} of 'KEY=VALUE KEY=VALUE ...', quoted as in a shell."""
  try:
    words = shlex.split(settings)
  except ValueError as error:
    raise UserError(f'{error}; close the quotes') from error
  for word in words:
    if '=' not in word:
      raise UserError(f"'{word}' is no KEY=VALUE")
  return dict(word.split('=', 1) for word in words)


def _short(assignments):
  """The default name of a variation."""
  return ' '.join(Path(value).stem if key == 'config' else f"{key.rsplit('.', 1)[-1]}={value}"
                  for key, value in assignments.items())


def _vary(config, assignments, command):
  """The config with the assignments, or the one that `config=FILE` among them names."""
  keys = {key: value for key, value in assignments.items() if key != 'config'}
  if 'config' in assignments:           # measured, too, as the command line says
    evaluators, others = config_file.taken('evaluators', shlex.split(command))
    _, others = config_file.taken('config', others)
    named = config_file.with_evaluators(assignments['config'], evaluators)
    varied = config_file.overridden(config_file.load(named), others)
  else:
    varied = config.copy_and_resolve_references()
  known = config_lib.flatten(varied)
  for key in keys:
    if key not in known:
      raise UserError(f"config key '{key}' is not known; {_nearest(key, known)}")
  varied = config_file.overridden(varied, [f'--config.{key}={value}' for key, value in keys.items()])
  varied.study.variations = ()
  return varied


def _nearest(key, known):
  ends = [name for name in known if name.rsplit('.', 1)[-1] == key.rsplit('.', 1)[-1]]
  near = ends or difflib.get_close_matches(key, known, n=1)
  return f"did you mean '{near[0]}'?" if near else 'docs/config.md lists all keys'
