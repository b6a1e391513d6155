"""VAE on CelebA faces, 64x64: mean squared error per pixel plus 1e-5 times the divergence in nats.

Kingma & Welling 2014; 6x6 transposed convolutions without padding, BatchNorm, 512 latents; CelebA's published splits.

  python launch.py --config=configs/vae_celeba.py --config.data.dir=FOLDER   # as docs/data/celeba.md lays it out
  python launch.py --mode=study --config=configs/vae_celeba.py --config.data.dir=FOLDER

The study compares it with a plain autoencoder with the same networks.

Measured on the first 10,000 faces at half their size, 8,000 to train on and 1,000 to test with, seed 0, 16,000 steps on
CPU cores with other work on them: 0.0142 +- 0.0002 squared error per pixel on the test faces, 477 nats of KL; the
reproduced report states 0.0291. The curve and what limits it: docs/vae.md.
"""

from jgen import recipes


def get_config():
  config = recipes.vae_run('tsne')
  config.batch_size = 32
  config.study.variations = ('VAE:', 'autoencoder: model.regularizer.weight=0')
  config.num_steps = 100_000
  config.num_samples = 32               # as in the report
  config.data.name = 'celeba'
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
