"""Conditional DCGAN on street view house numbers, 64x64: the baseline of `wgan_svhn.py`.

Radford et al. 2016 with the one-hot label appended to the latents and, as ten constant channels, to the image
(Mirza & Osindero 2014); binary cross-entropy, the generator's in its non-saturating form.

  python launch.py --config=configs/cdcgan_svhn.py --config.data.dir=FOLDER   # with {train,test,extra}_32x32.mat
"""

from jgen import recipes


def get_config():
  config = recipes.gan_run()
  config.batch_size = 3200
  config.num_steps = 20_000
  config.data.name = 'svhn'
  config.data.splits = ('train', 'test', 'extra')
  config.evaluate_every_steps = 1_000
  recipes.add_evaluators(config, 'class_consistency', 'inception_features')
  config.evaluators.inception_features.instead = ('classifier_features', 'random_features')
  config.model.conditional = True
  return config
