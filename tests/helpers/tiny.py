"""Small systems that compile in a second or two."""

from jgen import recipes


def wgan(**overrides):
  """A conditional WGAN-GP on the 8x8 digits, its critic without normalisation."""
  config = _gan()
  config.model.loss = 'wasserstein'
  config.model.penalty = 'gradient_penalty'
  config.model.critic_steps = 3
  config.model.critic.normalization = 'none'
  config.update_from_flattened_dict(overrides)
  return config


def dcgan(**overrides):
  """A conditional DCGAN on the 8x8 digits, BatchNorm in both networks, the generator averaged."""
  config = _gan()
  config.model.ema_decay = 0.5
  config.update_from_flattened_dict(overrides)
  return config


def toolbox_gan(**overrides):
  """A GAN with every option that the two others leave off, each of which draws or stores something of its own."""
  config = _gan()
  model = config.model
  model.loss, model.penalty, model.generator_steps = 'hinge', 'r1', 2
  model.critic_targets.update(real=0.9, generated=0.1, noise=0.1, flip_probability=0.2)
  model.instance_noise.update(stddev=0.1, decay_steps=3)
  model.diff_augment = ('color', 'translation', 'cutout')
  model.generator.normalization, model.critic.normalization = 'layer', 'instance'
  model.generator.up, model.critic.down = 'pixel_shuffle', 'average_pooling'
  for network in (model.generator, model.critic):
    network.spectral_norm, network.dropout = True, 0.2
  model.generator.dropout_at_sampling = True
  config.update_from_flattened_dict(overrides)
  return config


def acgan(**overrides):
  """An ACGAN on the 8x8 digits whose generator learns a vector a label."""
  config = _gan('acgan', recipes.model('acgan'))
  config.model.label_input, config.model.embedding_size = 'embedding', 3
  config.update_from_flattened_dict(overrides)
  return config


def infogan(**overrides):
  """An InfoGAN on the 8x8 digits with codes of both kinds and two updates of the critic."""
  config = _gan('infogan', recipes.model('infogan'))
  config.model.codes.update(categorical=2, num_values=3, continuous=2)
  config.model.critic_steps = 2
  config.update_from_flattened_dict(overrides)
  return config


def vae(**overrides):
  """A VAE on the 8x8 digits with BatchNorm, the training pixels' variance, and a part of the divergence free."""
  config = _base('vae', recipes.model('vae'))
  config.model.latent_size = 5
  config.model.encoder.features, config.model.decoder.features = (8, 12), (12, 8)
  config.model.regularizer.name = 'free_bits'
  config.model.regularizer.free_nats = 0.05   # above some latents' divergence and below others'
  config.update_from_flattened_dict(overrides)
  return config


def learned_vae(**overrides):
  """The same without BatchNorm, with 3x3 kernels, a learned variance and a capacity, by RMSProp."""
  config = vae()
  model = config.model
  model.likelihood = 'learned_gaussian'
  model.regularizer.update(name='capacity', free_nats=0., capacity_steps=2)
  model.optimizer.name = 'rmsprop'
  for network in (model.encoder, model.decoder):
    network.normalization, network.use_bias, network.kernel_size = 'none', True, 3
  model.decoder.fully_convolutional = model.decoder.activate_first = True
  config.update_from_flattened_dict(overrides)
  return config


def vqvae(**overrides):
  """A VQ-VAE on the 8x8 digits whose codebook is learned by gradient and revived at every other step."""
  config = _base('vqvae', recipes.model('vqvae'))
  model = config.model
  model.encoder.features, model.decoder.features = (8, 12), (12, 8)
  for network in (model.encoder, model.decoder):
    network.kernel_init, network.use_bias = 'he', False   # so that untrained samples differ; BatchNorm has a bias
  model.quantizer.update(codebook_size=9, code_size=4, dead_below=0.995, revive_every_steps=2)
  config.update_from_flattened_dict(overrides)
  return config


def averaged_vqvae(**overrides):
  """The same with a codebook of moving averages, whole maps as vectors, the squared error, without BatchNorm."""
  config = vqvae()
  config.model.ema_decay = 0.5
  config.model.reconstruction = 'squared_error'
  config.model.quantizer.update(grouping='maps', learned_by='moving_average', decay=0.5)
  for network in (config.model.encoder, config.model.decoder):
    network.normalization, network.use_bias = 'none', True
  config.update_from_flattened_dict(overrides)
  return config


def _gan(family='gan', model=None):
  config = _base(family, model or recipes.model('gan'))
  if 'conditional' in config.model:
    config.model.conditional = True
  config.model.latent_size = 5
  config.model.generator.kernel_init = 'he'   # so that untrained samples differ
  config.model.generator.features = (12, 8)
  config.model.critic.features = (8, 12)
  return config


def _base(family, model):
  config = recipes.base()
  config.family = family
  config.batch_size = 16
  config.num_steps = 8
  config.data.name = 'digits'
  config.data.image_size = 8
  config.log_every_steps = 2
  config.sample_every_steps = config.checkpoint_every_steps = 4
  config.samples_per_class = 2
  config.num_samples = 4
  config.report, config.loggers = False, ()   # they take seconds
  with config.unlocked():
    config.model = model
  return config


CONFIGS = {'wgan': wgan, 'dcgan': dcgan, 'toolbox_gan': toolbox_gan, 'acgan': acgan, 'infogan': infogan,
           'vae': vae, 'learned_vae': learned_vae, 'vqvae': vqvae, 'averaged_vqvae': averaged_vqvae}
