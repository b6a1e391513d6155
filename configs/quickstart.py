"""Conditional WGAN-GP on the 1,797 real 8x8 digits of scikit-learn, enlarged to 16x16: no download.

  python launch.py
"""

from jgen import recipes


def get_config():
  config = on_digits(recipes.gan_run())
  config.data.splits = ('all',)
  recipes.add_evaluators(config, 'class_consistency')
  set_wgan_gp(config.model)
  config.model.conditional = True
  return config


def on_digits(config):
  """Sets the data to the embedded digits, enlarged to 16x16, and a length of minutes on a CPU."""
  config.batch_size = 64
  config.num_steps = 4_000
  config.steps_per_dispatch = 10
  config.data.name = 'digits'
  config.data.image_size = 16
  config.log_every_steps = 50
  config.evaluate_every_steps = 1_000
  return config


def set_wgan_gp(model):
  """Sets the model to a WGAN-GP with small networks and an averaged generator."""
  model.latent_size = 32
  model.loss, model.penalty, model.critic_steps = 'wasserstein', 'gradient_penalty', 5
  model.ema_decay = 0.999
  model.generator.features = (64, 32, 16)
  critic = model.critic
  critic.features = (16, 32, 64)
  critic.normalization, critic.use_bias, critic.kernel_init = 'none', True, 'he'
  for optimizer in (model.generator_optimizer, model.critic_optimizer):
    optimizer.learning_rate, optimizer.b1, optimizer.b2 = 1e-3, 0., 0.9
