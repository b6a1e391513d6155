"""model.json, networks.txt and origin.json: the description of the model and of the config file in a run folder."""

from collections.abc import Mapping, Sequence
import json
import math
from pathlib import Path
import shlex
from typing import Any

import jax
from ml_collections import ConfigDict

from jgen.files import write_text
from jgen.networks import listing
from jgen.run import config_file
from jgen.run.config import flatten

MODEL, NETWORKS, ORIGIN = 'model.json', 'networks.txt', 'origin.json'


def text_of_networks(networks: Mapping[str, Any], layers: Sequence[listing.Layer]) -> str:
  """The table of layers, the number of parameters of each network and, in the last line, their total."""
  totals = {name: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) for name, params in networks.items()}
  return '\n'.join([*listing.table(layers), '',
                    *(f'{name}: {total:,} parameters' for name, total in totals.items()),
                    f'total parameters: {sum(totals.values())}'])


def store_model(folder: str | Path, family: Any) -> None:
  """Writes networks.txt, and model.json with every layer, every parameter's shape and further facts for the report.

  Args:
    folder: the run folder.
    family: the run's `jgen.families.base.Family`.
  """
  networks = family.networks()
  shapes = {name: {jax.tree_util.keystr(path, simple=True, separator='/'): list(leaf.shape)
                   for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
            for name, params in networks.items()}
  layers = listing.layers_of(family.passes(), networks)
  write_text(Path(folder) / MODEL, json.dumps(
      {'family': type(family).__name__, 'batches_per_step': family.batches_per_step,
       'samples_note': family.samples_note, 'networks': shapes, 'layers': [layer.row() for layer in layers]},
      indent=2) + '\n')
  write_text(Path(folder) / NETWORKS, text_of_networks(networks, layers) + '\n')


def store_origin(folder: str | Path, config: ConfigDict, command: str) -> None:
  """Writes the name of the config file in the command, and the keys in which the run differs from it.

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
  """The config that launch.py trains without --config; '' if the command does not call launch.py."""
  launcher = next((Path(word) for word in shlex.split(command) if Path(word).name == 'launch.py'), None)
  default = launcher and launcher.parent / 'configs' / 'quickstart.py'
  return str(default) if default and default.exists() else ''


def _changes(file, config):
  """{key: [the file's value, the run's value]} where they differ, None where the file cannot be read."""
  try:
    before, after = flatten(config_file.load(file)), flatten(config)
  except Exception:                     # user code may raise anything; the report then omits the changes
    return None
  return {key: [before.get(key), after.get(key)] for key in sorted({*before, *after})
          if before.get(key) != after.get(key) and not key.startswith('study.')}
