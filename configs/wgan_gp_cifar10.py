"""WGAN-GP on CIFAR-10, 32x32, with the settings of mimicry, which publishes its score.

Gulrajani et al. 2017: five critic updates per step, penalty 10, batches of 64, Adam with 2e-4 and
betas 0 and 0.9, 100,000 steps over which the learning rates fall linearly to 0. For another number of steps, set
`decay_updates` of both optimizers, too: five updates of the critic (discriminator) and one of the generator per step.

  source                       FID            protocol
  mimicry (its README)         22.29 +- 0.06  50,000 samples against the 50,000 training images
  this config                                 not measured yet; the same protocol, every 10,000 steps

mimicry's networks are residual; these are those of a DCGAN, without normalisation in the critic. Its score is therefore
a target, not that of a replica.

  python launch.py --config=configs/wgan_gp_cifar10.py --config.data.dir=FOLDER   # with cifar-10-python.tar.gz
"""

from configs import dcgan_cifar10


def get_config():
  config = dcgan_cifar10.get_config()
  config.num_steps = 100_000
  config.augmentation.horizontal_flip = 0.
  config.evaluators.inception_features.reference = 'train'
  config.evaluators.inception_features.num_generated = 50_000
  model = config.model
  model.loss = 'wasserstein'
  model.penalty = 'gradient_penalty'
  model.critic_steps = 5
  model.critic.normalization = 'none'
  for optimizer, updates in ((model.generator_optimizer, 1), (model.critic_optimizer, model.critic_steps)):
    optimizer.b1, optimizer.b2 = 0., 0.9
    optimizer.schedule, optimizer.decay_updates = 'linear', updates * config.num_steps
  return config
