"""DCGAN on anime faces, 64x64, from a folder of pictures of any sizes, with the original minimax objective.

Radford et al. 2016; min_G max_D E log D(x) + E log(1 - D(G(z))), Goodfellow et al. 2014, eq. 1. Pictures are flipped,
cropped and rotated at random.

The targets of the critic (discriminator) are 0.9 and 0.1, a deviation: with 1 and 0 it was certain about every picture
within 100 steps, and the generator's gradient through log(1 - D) vanished (docs/gan.md). The study compares targets 1
and 0, no augmentation, and the non-saturating objective.

  python launch.py --config=configs/dcgan_anime.py --config.data.dir=FOLDER   # of a folder or a zip of pictures
  python launch.py --mode=study --config=configs/dcgan_anime.py --config.data.dir=FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.gan_run()
  config.batch_size = 128
  config.num_steps = 40_000             # 125 epochs of the 40,978 of 51,223 pictures that are trained on
  config.data.name = 'folder'
  config.augmentation.horizontal_flip = 0.5
  config.augmentation.smallest_crop = 0.9
  config.augmentation.largest_rotation = 10.
  config.checkpoint_every_steps = 2_000
  config.study.variations = (
      'as it is:',
      'targets 1 and 0: model.critic_targets.real=1 model.critic_targets.generated=0',
      'not augmented: augmentation.horizontal_flip=0 augmentation.smallest_crop=1 augmentation.largest_rotation=0',
      'non-saturating: model.loss=non_saturating')
  config.model.loss = 'saturating'
  config.model.critic_targets.real, config.model.critic_targets.generated = 0.9, 0.1
  return config
