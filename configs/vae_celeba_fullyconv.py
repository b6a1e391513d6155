"""A fully convolutional VAE on CelebA faces, 64x64: no linear layer, no BatchNorm, 1,024 latents.

The mean squared error per pixel plus 3e-6 times the divergence in nats; the study compares it with 1e-5.

  python launch.py --config=configs/vae_celeba_fullyconv.py --config.data.dir=FOLDER
  python launch.py --mode=study --config=configs/vae_celeba_fullyconv.py --config.data.dir=FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.vae_run('tsne')
  config.batch_size = 128
  config.num_steps = 50_000
  config.num_samples = 32               # as in the report
  config.data.name = 'celeba'
  config.evaluators_at_end = ('tsne',)
  config.evaluators.tsne.annotation = 'Male'
  config.study.variations = ('model.regularizer.weight=3e-6', 'model.regularizer.weight=1e-5')
  model = config.model
  model.latent_size = 1024
  model.likelihood = 'squared_error'
  model.regularizer.weight = 3e-6
  model.decoder.fully_convolutional = model.decoder.activate_first = True
  for network in (model.encoder, model.decoder):
    network.normalization, network.use_bias = 'none', True
  return config
