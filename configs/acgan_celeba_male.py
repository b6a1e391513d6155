"""A small ACGAN without BatchNorm on CelebA faces, 64x64, of women and men.

Odena et al. 2017 on the networks of `dcgan_celeba_small.py`. The study compares two encodings of the generator's label:
appended to the 512 latents as one number, 0 or 1, or as a learned vector. On a few
thousand faces the difference is clearer with two more keys: docs/gan.md.

  python launch.py --config=configs/acgan_celeba_male.py --config.data.dir=FOLDER
  python launch.py --mode=study --config=configs/acgan_celeba_male.py --config.data.dir=FOLDER
"""

from configs import dcgan_celeba_small
from jgen import keys, recipes
from jgen.networks.sections import ConvolutionalLayers


def get_config():
  config = recipes.acgan_run()
  config.batch_size = 128
  config.num_steps = 15_000
  config.data.name = 'celeba'
  config.data.label = 'Male'
  config.checkpoint_every_steps = 5_000
  config.study.variations = ('model.label_input=value', 'model.label_input=embedding')
  model, small = config.model, dcgan_celeba_small.get_config().model
  model.latent_size = small.latent_size
  model.label_input = 'value'
  for network in ('generator', 'critic'):
    model[network].update({key: small[network][key] for key in keys.declared(ConvolutionalLayers)})
  return config
