"""A small VAE without BatchNorm on CelebA faces, 64x64: three strided layers each way, RMSProp, 512 latents.

The study varies the weight of the KL divergence relative to the mean squared error per pixel: reconstructions blur and
samples improve as it grows. The reproduced report gives no kernels, channels or rate: 4x4, 32-64-128 and 5e-4 are
chosen here.

  python launch.py --config=configs/vae_celeba_small.py --config.data.dir=FOLDER
  python launch.py --mode=study --config=configs/vae_celeba_small.py --config.data.dir=FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.vae_run()
  config.batch_size = 128
  config.num_steps = 254_328            # 200 epochs of CelebA's 162,770 training images
  config.num_samples = 32               # as in the report
  config.data.name = 'celeba'
  config.study.variations = tuple(f'model.regularizer.weight={weight}' for weight in ('1e-5', '1e-4', '1e-3'))
  model = config.model
  model.latent_size = 512
  model.likelihood = 'squared_error'
  model.regularizer.weight = 1e-4
  model.optimizer.name, model.optimizer.learning_rate = 'rmsprop', 5e-4
  model.encoder.features, model.decoder.features = (32, 64, 128), (128, 64, 32)
  model.decoder.activate_first = True
  for network in (model.encoder, model.decoder):
    network.normalization, network.use_bias = 'none', True
  return config
