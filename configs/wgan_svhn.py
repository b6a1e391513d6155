"""Conditional WGAN-GP on street view house numbers, 64x64.

The networks are the DCGAN's (Radford et al. 2016) with the label's one-hot appended to the latents and, as ten
constant channels, to the image; loss, penalty and Adam as in Gulrajani et al. 2017. The critic has no BatchNorm:
a penalty per image does not hold where one image's score depends on the others (ibid., sec. 4).

  python launch.py --config=configs/wgan_svhn.py --config.data.dir=FOLDER   # with {train,test,extra}_32x32.mat
"""

from configs import common


def get_config():
  config = common.base()
  config.family = 'gan'
  config.batch_size = 3200
  config.num_steps = 20_000
  config.data.name = 'svhn'
  config.data.splits = ('train', 'test', 'extra')
  config.evaluate_every_steps = 1_000
  with config.unlocked():
    config.model = common.gan()
    config.evaluators.class_consistency = common.class_consistency()
  model = config.model
  model.conditional = True
  model.loss = 'wasserstein'
  model.penalty = 'gradient_penalty'
  model.critic_steps = 5
  model.critic.normalization = 'none'
  for optimizer in (model.generator_optimizer, model.critic_optimizer):
    optimizer.learning_rate, optimizer.b1, optimizer.b2 = 1e-4, 0., 0.9
  return config
