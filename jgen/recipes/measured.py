"""Another config, measured by other evaluators: those that are named, with its own keys or the defaults.

With a + before the first name, they are added to the config's own.

  python launch.py --workdir=runs/NAME --mode=evaluate --evaluators=random_features
  # means --config=jgen/recipes/measured.py:random_features:jgen/recipes/stored.py:runs/NAME
"""

import importlib.util

from ml_collections import ConfigDict

from jgen import recipes


def get_config(names_and_config):
  names, _, path = names_and_config.partition(':')
  config = _load(path)
  added, names = names.startswith('+'), names.removeprefix('+').replace(',+', ',').split(',')
  sections = dict(config.evaluators.items()) if added else {}
  sections |= {name: config.evaluators.get(name) or recipes.evaluator(name) for name in names}
  with config.unlocked():
    config.evaluators = ConfigDict(sections)
  config.evaluators_at_end = tuple(name for name in config.evaluators_at_end if name in sections)
  return config


def _load(path):
  """The config of the file that `path` names, and of the text after its ':' if it has one."""
  file, *text = path.split(':', 1)
  spec = importlib.util.spec_from_file_location('config', file)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config(*text)
