"""A config as text, its comparison with the stored config of a run, and error messages for unreadable configs."""

from collections.abc import Mapping
import functools
import json
from pathlib import Path
import re
from typing import Any

from absl import flags

from jgen.errors import UserError
from jgen.host import terminal
from jgen.run import scores

# A run may be resumed with other values of these keys: they change its length, the location of files, sampling or
# monitoring, but not the trained model. run/images.py checks that the images are the same at a new location.
MAY_CHANGE = ('num_steps', 'num_epochs', 'report', 'loggers', 'profile_steps', 'data.dir', 'data.label_file',
              'data.partition_file', 'data.cache_dir', 'data.on_device', 'checkpoints.keep_last',
              'checkpoints.best_metric', 'model.vqvae_dir', 'model.prior.temperature', 'study.variations')
_MONITORING = ('doctor.',)             # sections of monitoring
_OTHER_RUNS = ('priors.',)             # sections that describe other runs, each in its own folder

# Exceptions raised by unreadable flags and config files; see explain().
UNREADABLE = (flags.Error, ArithmeticError, AttributeError, ImportError, LookupError, OSError, SyntaxError, TypeError,
              ValueError)

VERSION = 1                             # format of config.json; a file without a version has format 0
_VERSION_KEY = 'config_version'
# {key of an earlier version: why it was removed}. Stored runs continue without these keys.
REMOVED = {'checkpoints.best_is_highest': "a score's name determines which direction is better"}


def flatten(config: Any, prefix: str = '') -> dict[str, Any]:
  """{dotted key: value} of a nested mapping."""
  flat = {}
  for key, value in config.items():
    if hasattr(value, 'items'):
      flat.update(flatten(value, f'{prefix}{key}.'))
    else:
      flat[prefix + key] = list(value) if isinstance(value, tuple) else value
  return flat


def upgraded(stored: Any, path: Path) -> dict[str, Any]:
  """A stored config, a nested dict, in the current format: without the keys in REMOVED, each named in a warning.

  Raises:
    UserError: a later version of jgen stored it.
  """
  version = stored.get(_VERSION_KEY, 0)
  if not isinstance(version, int) or version > VERSION:
    raise UserError(f'{path} has format {version!r}, but this version of jgen reads formats up to {VERSION}; '
                    'use the version of jgen that environment.json names')
  def cleaned(section, prefix):
    return {key: cleaned(value, f'{prefix}{key}.') if isinstance(value, dict) else value
            for key, value in section.items() if prefix + key not in (*REMOVED, _VERSION_KEY)}
  for key in sorted(REMOVED.keys() & flatten(stored).keys()):
    _warn_once(f"{path}: config key '{key}' was removed ({REMOVED[key]}); the run continues without it")
  return _with_current_names(cleaned(stored, ''))


def _with_current_names(section):
  """A stored config, or a section of it, with the current names of evaluators and scores."""
  renamed = {}
  for key, value in section.items():
    if key == 'evaluators' and isinstance(value, dict):
      value = {scores.renamed(name): entry for name, entry in value.items()}
    elif key == 'evaluators_at_end' and isinstance(value, list):
      value = [scores.renamed(name) if isinstance(name, str) else name for name in value]
    elif key == 'best_metric' and isinstance(value, str):
      value = scores.renamed(value)
    renamed[key] = _with_current_names(value) if isinstance(value, dict) else value
  return renamed


@functools.cache
def _warn_once(text):
  terminal.warn(text)


def differences(saved: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
  """One 'key: was X, is Y' for each key in which two flat configs differ beyond MAY_CHANGE."""
  keys = [key for key in sorted({*saved, *config})
          if key not in MAY_CHANGE and not key.startswith(_OTHER_RUNS + _MONITORING)
          and saved.get(key) != config.get(key)]
  return [f'{key}: was {saved.get(key)!r}, is {config.get(key)!r}' for key in keys]


def dumps(config: Any) -> str:
  """The config as JSON text, as stored in the run folder."""
  return json.dumps({_VERSION_KEY: VERSION, **config.to_dict()}, indent=2, sort_keys=True) + '\n'


def explain(error: Exception) -> UserError:
  """The UserError for an error of absl or ml_collections while flags and config were read."""
  text = ' '.join(re.sub(r'\\n|\\', ' ', str(error)).split())
  key = re.search(r'Key "(\w+)" does not exist', text) or (
      isinstance(error, (AttributeError, LookupError))
      and re.fullmatch(r"""['" ]*(\w+)['" ]*(Did you mean.*)?""", text))
  if key:
    removed = next((why for name, why in REMOVED.items() if name.rsplit('.', 1)[-1] == key[1]), '')
    if removed:
      return UserError(f"config key '{key[1]}' was removed: {removed}; leave it out")
    near = re.search(r'Did you mean "(\w+)"', text)
    return UserError(f"config key '{key[1]}' is not known; " + (
        f"did you mean '{near[1]}'?" if near else 'docs/config.md lists all keys'))
  unreadable = re.search(r'Attempted \[[\w ]+\]: (\S+) (.*)', text)
  if unreadable:
    return UserError(f'the config {unreadable[1]} cannot be read: {unreadable[2]}')
  return UserError(text[:400])
