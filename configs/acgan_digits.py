"""ACGAN on the 1,797 real 8x8 digits of scikit-learn, enlarged to 16x16: no download, minutes on a CPU.

The objective and rates of `quickstart.py`, WGAN-GP, in place of Odena et al. 2017's: with binary cross-entropy and
BatchNorm in the critic every class collapsed to a single image.

  python launch.py --config=configs/acgan_digits.py

Measured after 4,000 steps, seed 0: the classifier gives 97.8 % of 1,000 generated digits the requested class.
"""

from configs import quickstart
from jgen import recipes


def get_config():
  config = quickstart.on_digits(recipes.acgan_run())
  config.data.splits = ('all',)
  quickstart.set_wgan_gp(config.model)
  return config
