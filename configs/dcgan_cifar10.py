"""DCGAN on CIFAR-10, 32x32, with the settings of StudioGAN, which publishes its score.

Radford et al. 2016: binary cross-entropy, the generator's non-saturating; two updates of the critic (discriminator) per
step, batches of 64, Adam with 2e-4 and betas 0.5 and 0.999, 200,000 steps.

  source                       FID     protocol
  StudioGAN (its README)       50.28   10,000 samples against the 10,000 test images, best checkpoint
  this config                          not measured yet; the same protocol, with the command below

StudioGAN's networks have more layers: a 3x3 convolution at the generator's end, and one before each of the critic's
strided convolutions, which also sums over positions before the last layer. It flips images at random. The FID is
measured every 10,000 steps, or proxies of it where the weights of the Inception are missing.

  python launch.py --config=configs/dcgan_cifar10.py --config.data.dir=FOLDER \
      --config.checkpoints.best_metric=inception_features/fid@10000   # with cifar-10-python.tar.gz in FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.gan_run('inception_features')
  config.evaluators.inception_features.reference = 'test'
  config.evaluators.inception_features.instead = ('random_features',)
  config.num_steps = 200_000
  config.evaluate_every_steps = config.checkpoint_every_steps = 10_000
  config.data.name = 'cifar10'
  config.data.image_size = 32
  config.data.test_splits = ('test',)
  config.augmentation.horizontal_flip = 0.5
  model = config.model
  model.critic_steps = 2
  model.generator.features = (512, 256, 128)
  model.critic.features = (64, 128, 256)
  return config
