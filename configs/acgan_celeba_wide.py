"""A wide ACGAN on CelebA faces, 64x64, smiling or not, with two critic (discriminator) updates per step.

Odena et al. 2017 on the networks of `dcgan_celeba_wide.py`; the critic's last map of 1,024 features goes through a 4x4
convolution to 64 features of one pixel, normalised and activated like the other layers, and then to the two heads. The
reproduced report gives no rates and no number of steps: the rates are Radford et al.'s, the steps are chosen here.

  python launch.py --config=configs/acgan_celeba_wide.py --config.data.dir=FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.acgan_run()
  config.batch_size = 128
  config.num_steps = 25_000             # 40 epochs of the 162,770 training images, at two batches per step
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
