"""Conditional DCGAN on the 1,797 real 8x8 digits of scikit-learn, enlarged to 16x16: no download.

Radford et al. 2016, conditioned as in Mirza & Osindero 2014. The critic's (discriminator's) inputs are shifted at
random (DiffAugment): without it, the critic memorises the few digits within some 2,000 steps. The study compares
objectives: the minimax loss (Goodfellow et al. 2014, eq. 1), its non-saturating form and the least squares of Mao et
al. 2017; and augmentations: this one, none, and digits rotated and cropped at random.

  python launch.py --config=configs/dcgan_digits.py
  python launch.py --mode=study --config=configs/dcgan_digits.py
"""

from configs import quickstart
from jgen import recipes


def get_config():
  config = quickstart.on_digits(recipes.gan_run())
  config.data.splits = ('all',)
  config.study.variations = (
      'non-saturating:', 'saturating: model.loss=saturating', 'squares: model.loss=least_squares',
      'not augmented: model.diff_augment=()',
      'digits augmented: model.diff_augment=() augmentation.smallest_crop=0.9 augmentation.largest_rotation=10')
  recipes.add_evaluators(config, 'class_consistency')
  model = config.model
  model.latent_size = 32
  model.conditional = True
  model.diff_augment = ('translation',)
  model.generator.features = (64, 32, 16)
  model.critic.features = (16, 32, 64)
  return config
