"""VAE on CelebA faces, 64x64, with a Gaussian likelihood whose variance is that of the training pixels.

Kingma & Welling 2014; 3x3 convolutions, BatchNorm, 128 latents, the ELBO without a weight.

  python launch.py --config=configs/vae_celeba_gaussian.py --config.data.dir=FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.vae_run()
  config.batch_size = 100
  config.num_steps = 50_000
  config.data.name = 'celeba'
  model = config.model
  model.optimizer.learning_rate, model.optimizer.b1 = 1e-3, 0.9
  for network in (model.encoder, model.decoder):
    network.negative_slope, network.use_bias, network.kernel_size = 0.01, True, 3
  decoder = model.decoder
  decoder.features = (256, 128, 64, 32, 32)
  decoder.last_kernel_size, decoder.last_stride = 3, 1
  return config
