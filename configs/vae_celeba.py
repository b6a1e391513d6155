"""VAE on CelebA faces, 64x64: mean squared error per pixel plus 1e-5 times the divergence in nats.

Kingma & Welling 2014; ConvTranspose layers of 6x6 without padding, BatchNorm, 512 latents. CelebA's published splits.

  python launch.py --config=configs/vae_celeba.py --config.data.dir=FOLDER   # as docs/data/celeba.md lays it out
"""

from configs import common


def get_config():
  config = common.base()
  config.family = 'vae'
  config.batch_size = 32
  config.num_steps = 100_000
  config.data.name = 'celeba'
  config.data.test_splits = ('test',)
  config.evaluate_every_steps = 5_000
  config.checkpoint_every_steps = 5_000
  with config.unlocked():
    config.model = common.vae()
    config.evaluators = common.vae_evaluators(tsne=common.tsne())
  config.evaluators_at_end = ('tsne',)
  config.evaluators.tsne.annotation = 'Bangs'
  model = config.model
  model.latent_size = 512
  model.likelihood = 'squared_error'
  model.regularizer.weight = 1e-5
  decoder = model.decoder
  decoder.negative_slope = 0.01
  decoder.kernel_size, decoder.padding = 6, 0
  decoder.last_kernel_size, decoder.last_stride, decoder.last_padding = 5, 1, 0
  return config
