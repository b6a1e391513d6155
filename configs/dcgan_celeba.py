"""DCGAN on CelebA faces, 64x64: two generator updates per update of the critic (discriminator), whose rate is lower.

Radford et al. 2016 with LeakyReLU(0.1) in the generator; binary cross-entropy, the generator's in its non-saturating
form. The reproduced report gives no number of steps: 20 epochs are chosen here.

  python launch.py --config=configs/dcgan_celeba.py --config.data.dir=FOLDER   # as docs/data/celeba.md lays it out
  python launch.py --mode=study --config=configs/dcgan_celeba.py --config.data.dir=FOLDER

The study compares it with the VAE of the same report.

Tricks to try: --config.model.critic_targets.real=0.9 --config.model.critic_targets.noise=0.1
--config.model.critic_targets.flip_probability=0.05 --config.model.instance_noise.stddev=0.1
--config.augmentation.horizontal_flip=0.5
"""

from jgen import recipes


def get_config():
  config = recipes.gan_run()
  config.batch_size = 128
  config.study.variations = ('DCGAN:', 'VAE: config=configs/vae_celeba.py')
  config.num_steps = 25_000             # 20 epochs of the 162,770 training images
  config.num_samples = 32               # as in the report
  config.data.name = 'celeba'
  config.checkpoint_every_steps = 5_000
  model = config.model
  model.generator_steps = 2
  model.generator.negative_slope = 0.1
  model.critic_optimizer.learning_rate = 5e-5
  return config
