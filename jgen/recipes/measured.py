"""Another config with its evaluators replaced by the named ones; their keys are those of the config or defaults.

With a + before the first name, the named ones are added instead.

  python launch.py --workdir=runs/NAME --mode=evaluate --evaluators=random_features
  # means --config=jgen/recipes/measured.py:random_features:jgen/recipes/stored.py:runs/NAME
"""

from ml_collections import ConfigDict

from jgen import recipes
from jgen.run import config_file


def get_config(names_and_config: str) -> ConfigDict:
  names, _, path = names_and_config.partition(':')
  config = config_file.load(path)
  sections = dict(config.evaluators.items()) if names.startswith('+') else {}
  sections |= {name: config.evaluators.get(name) or recipes.evaluator(name)
               for name in names.removeprefix('+').replace(',+', ',').split(',')}
  with config.unlocked():
    config.evaluators = ConfigDict(sections)
  config.evaluators_at_end = tuple(name for name in config.evaluators_at_end if name in sections)
  return config
