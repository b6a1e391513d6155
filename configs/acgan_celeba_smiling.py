"""ACGAN on CelebA faces, 64x64, smiling or not: a critic (discriminator) of six 3x3 layers with dropout 0.5.

Odena et al. 2017, with the label appended to the noise as one number, 0 or 1. The reproduced report gives no number of
steps: 20 epochs are chosen here.

  python launch.py --config=configs/acgan_celeba_smiling.py --config.data.dir=FOLDER   # see docs/data/celeba.md
"""

from jgen import recipes


def get_config():
  config = recipes.acgan_run()
  config.batch_size = 128
  config.num_steps = 25_000             # 20 epochs of the 162,770 training images
  config.data.name = 'celeba'
  config.data.label = 'Smiling'
  config.checkpoint_every_steps = 5_000
  model = config.model
  model.label_input = 'value'
  model.generator.features = (384, 192, 96, 48)
  critic = model.critic
  critic.features = (16, 32, 64, 128, 256, 512)
  critic.strides = (2, 1, 2, 1, 2, 1)
  critic.paddings = (1, 1, 1, 0, 0, 0)  # 64 pixels become 32, 32, 16, 14, 6 and 4
  critic.kernel_size = 3
  critic.dropout = 0.5
  return config
