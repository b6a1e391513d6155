"""DCGAN on Bitmoji faces, 64x64, from a folder of pictures; all of them are trained on.

Radford et al. 2016; binary cross-entropy, the generator's in its non-saturating form. The reproduced report gives no
number of steps; at its batch of 3,200 training needs a GPU.

  python launch.py --config=configs/dcgan_bitmoji.py --config.data.dir=FOLDER   # of a folder or a zip of pictures
"""

from jgen import recipes


def get_config():
  config = recipes.gan_run('inception_features')
  config.evaluators.inception_features.instead = ('random_features',)
  config.batch_size = 3200
  config.num_steps = 5_000
  config.data.name = 'folder'
  config.data.splits = ('all',)
  config.checkpoint_every_steps = 500
  config.sample_every_steps = 250
  return config
