"""Compares a folder of generated images, from any source, with a folder of real images.

  python launch.py --mode=score --config.score.generated=MY/SAMPLES --config.score.real=MY/PHOTOS
"""

from ml_collections import ConfigDict

from jgen import keys, recipes
from jgen.training.config import Score


def get_config() -> ConfigDict:
  config = recipes.base()
  config.data.name = 'folder'
  recipes.add_evaluators(config, 'inception_features')
  config.evaluators.inception_features.num_generated = 0
  with config.unlocked():
    config.score = keys.default(Score)
  return config
