"""Names of the files that describe the trained model, model.json and networks.txt; writes origin.json."""

import json
from pathlib import Path
import shlex

from ml_collections import ConfigDict

from jgen.host.files import write_text
from jgen.run import config_file
from jgen.run.config import flatten

MODEL, NETWORKS, ORIGIN = 'model.json', 'networks.txt', 'origin.json'


def store_origin(folder: str | Path, config: ConfigDict, command: str) -> None:
  """Writes origin.json: the config file in the command, and the keys in which the run's config differs from it.

  A command without --config resumes an existing run, whose origin.json is left unchanged; for a new run it means
  configs/quickstart.py.

  Args:
    folder: the run folder.
    config: the run's ConfigDict.
    command: the command line.
  """
  path = Path(folder) / ORIGIN
  file = _config_file(command)
  if not file and (Path(folder) / 'environment.json').exists():   # written by an earlier start
    return
  file = file or _default_file(command)
  changes = _changes(file, config) if file else None
  write_text(path, json.dumps({'config_file': file, 'changes': changes, 'command': command}, indent=2) + '\n')


def _config_file(command):
  """The file of the flag --config=FILE or --config FILE; '' if there is none."""
  words = shlex.split(command)
  for index, word in enumerate(words):
    if word.startswith('--config='):
      return word.partition('=')[2]
    if word == '--config' and index + 1 < len(words):
      return words[index + 1]
  return ''


def _default_file(command):
  """The config that launch.py trains without --config; '' if the command does not call launch.py."""
  launcher = next((Path(word) for word in shlex.split(command) if Path(word).name == 'launch.py'), None)
  default = launcher and launcher.parent / 'configs' / 'quickstart.py'
  return str(default) if default and default.exists() else ''


def _changes(file, config):
  """{key: [the file's value, the run's value]} where they differ; None if the file cannot be read."""
  try:
    before, after = flatten(config_file.load(file)), flatten(config)
  except Exception:                     # user code may raise anything; the report then omits the changes
    return None
  return {key: [before.get(key), after.get(key)] for key in sorted({*before, *after})
          if before.get(key) != after.get(key) and not key.startswith('study.')}
