"""A wide ACGAN on CelebA faces, 64x64, that smile or do not, with two updates of the critic for one of the generator.

Odena et al. 2017 on the networks of `dcgan_celeba_wide.py`; the critic's last map of 1,024 features goes through a 4x4
convolution to 64 features of one pixel, normalised and activated as the layers before, and these to the two heads. The
report behind it gives no rates and no number of steps: those here are Radford et al.'s and jgen's.

  python launch.py --config=configs/acgan_celeba_wide.py --config.data.dir=FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.acgan_run()
  config.batch_size = 128
  config.num_steps = 25_000             # 40 epochs of the 162,770 training images, at two batches a step
  config.data.name = 'celeba'
  config.data.label = 'Smiling'
  config.checkpoint_every_steps = 5_000
  model = config.model
  model.label_input = 'value'
  model.critic_steps = 2
  model.generator.features = (1024, 512, 256, 128)
  model.critic.features = (128, 256, 512, 1024, 64)
  model.critic.strides = (2, 2, 2, 2, 1)
  model.critic.paddings = (1, 1, 1, 1, 0)
  return config
