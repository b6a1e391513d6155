"""model.json and origin.json: what a run folder knows of its model and of the config file that it came from."""

import json
from pathlib import Path
import shlex

import jax

from jgen.files import write_text
from jgen.run import config_file
from jgen.run.config import flatten

MODEL, ORIGIN = 'model.json', 'origin.json'


def store_model(folder, family):
  """Writes every parameter's shape, network by network, and what else a report says of the model.

  Args:
    folder: the run folder.
    family: the run's `jgen.families.base.Family`.
  """
  networks = {name: {jax.tree_util.keystr(path, simple=True, separator='/'): list(leaf.shape)
                     for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
              for name, params in family.networks().items()}
  write_text(Path(folder) / MODEL, json.dumps(
      {'family': type(family).__name__, 'batches_per_step': family.batches_per_step,
       'samples_note': family.samples_note, 'networks': networks}, indent=2) + '\n')


def store_origin(folder, config, command):
  """Writes the config file that the command names, and in which keys the run differs from it.

  A command without --config goes on with the run that is there, and what was written for it stays; for a new run it
  means configs/quickstart.py.

  Args:
    folder: the run folder.
    config: the run's ConfigDict.
    command: the command line.
  """
  path = Path(folder) / ORIGIN
  file = _config_file(command)
  if not file and (Path(folder) / 'environment.json').exists():   # of an earlier start
    return
  file = file or _default_file(command)
  changes = _changes(file, config) if file else None
  write_text(path, json.dumps({'config_file': file, 'changes': changes, 'command': command}, indent=2) + '\n')


def _config_file(command):
  """The file that --config=FILE or --config FILE names, '' for none."""
  words = shlex.split(command)
  for index, word in enumerate(words):
    if word.startswith('--config='):
      return word.partition('=')[2]
    if word == '--config' and index + 1 < len(words):
      return words[index + 1]
  return ''


def _default_file(command):
  """What launch.py trains without --config, '' where the command is another one's."""
  launcher = next((Path(word) for word in shlex.split(command) if Path(word).name == 'launch.py'), None)
  default = launcher and launcher.parent / 'configs' / 'quickstart.py'
  return str(default) if default and default.exists() else ''


def _changes(file, config):
  """{key: [the file's value, the run's value]} where they differ, None where the file cannot be read."""
  try:
    before, after = flatten(config_file.load(file)), flatten(config)
  except Exception:                     # whatever a file of the user's may raise: a report does without
    return None
  return {key: [before.get(key), after.get(key)] for key in sorted({*before, *after})
          if before.get(key) != after.get(key) and not key.startswith('study.')}
