"""A wide DCGAN on CelebA faces, 64x64: 1,024 features at 4x4 pixels. The study varies the critic updates per step.

Radford et al. 2016. The reproduced report gives neither rates nor steps: the paper's rates are used, the steps are
chosen here.

  python launch.py --config=configs/dcgan_celeba_wide.py --config.data.dir=FOLDER
  python launch.py --mode=study --config=configs/dcgan_celeba_wide.py --config.data.dir=FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.gan_run()
  config.batch_size = 128
  config.num_steps = 25_000             # 20 epochs of the 162,770 training images, at one critic update per step
  config.num_samples = 32               # as in the report
  config.data.name = 'celeba'
  config.checkpoint_every_steps = 5_000
  config.study.variations = ('model.critic_steps=1', 'model.critic_steps=2')
  config.model.generator.features = (1024, 512, 256, 128)
  config.model.critic.features = (128, 256, 512, 1024)
  return config
