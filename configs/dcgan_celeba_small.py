"""A small GAN without BatchNorm on CelebA faces, 64x64: the mirrored networks of `vae_celeba_small.py`.

The decoder, with 512 latents, is the generator, and the encoder the critic (discriminator). The reproduced report gives
no rates: Adam is that of Radford et al. 2016.

  python launch.py --config=configs/dcgan_celeba_small.py --config.data.dir=FOLDER
"""

from configs import vae_celeba_small
from jgen import keys, recipes
from jgen.networks.sections import ConvolutionalLayers


def get_config():
  config = recipes.gan_run()
  config.batch_size = 128
  config.num_steps = 50_000
  config.num_samples = 32               # as in the report
  config.data.name = 'celeba'
  config.checkpoint_every_steps = 5_000
  model, vae = config.model, vae_celeba_small.get_config().model
  model.latent_size = vae.latent_size
  for network, turned in ((model.generator, vae.decoder), (model.critic, vae.encoder)):
    network.update({key: turned[key] for key in keys.declared(ConvolutionalLayers)})
  return config
