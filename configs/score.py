"""Two folders of images, wherever they were made: how near are the generated ones to the real ones?

  python launch.py --mode=score --config.score.generated=MY/SAMPLES --config.score.real=MY/PHOTOS
"""

from configs import common, evaluators


def get_config():
  config = common.base()
  config.data.name = 'folder'
  with config.unlocked():
    config.score = common.score()
    config.evaluators.inception_features = evaluators.inception_features()
    config.evaluators.inception_features.num_generated = 0
  return config
