"""Conditional WGAN-GP on the 1,797 real 8x8 digits that scikit-learn carries, enlarged to 16x16: no download.

  python launch.py
"""

from configs import common, evaluators


def get_config():
  config = common.gan_run()
  config.batch_size = 64
  config.num_steps = 4_000
  config.steps_per_dispatch = 10
  config.data.name = 'digits'
  config.data.splits = ('all',)
  config.data.image_size = 16
  config.log_every_steps = 50
  config.evaluate_every_steps = 1_000
  with config.unlocked():
    config.evaluators.class_consistency = evaluators.class_consistency()
  model = config.model
  model.latent_size = 32
  model.conditional = True
  model.loss = 'wasserstein'
  model.penalty = 'gradient_penalty'
  model.critic_steps = 5
  model.ema_decay = 0.999
  model.generator.features = (64, 32, 16)
  model.critic.features = (16, 32, 64)
  model.critic.normalization = 'none'
  model.critic.use_bias = True
  model.critic.kernel_init = 'he'
  for optimizer in (model.generator_optimizer, model.critic_optimizer):
    optimizer.learning_rate, optimizer.b1, optimizer.b2 = 1e-3, 0., 0.9
  return config
