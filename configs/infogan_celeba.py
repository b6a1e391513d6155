"""InfoGAN on CelebA faces, 64x64: ten codes of ten values in addition to 128 latents. Its study compares a single code.

Chen et al. 2016: the layers of their table for CelebA in the generator, whose normalisation comes before the ReLU as in
their code. Continuous codes: --config.model.codes.continuous=2. The report behind it gives no rates and no number of
steps: those here are Radford et al.'s and jgen's.

  python launch.py --config=configs/infogan_celeba.py --config.data.dir=FOLDER
  python launch.py --mode=study --config=configs/infogan_celeba.py --config.data.dir=FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.infogan_run()
  config.batch_size = 128
  config.num_steps = 25_000             # 20 epochs of the 162,770 training images
  config.data.name = 'celeba'
  config.checkpoint_every_steps = 5_000
  config.study.variations = ('model.codes.categorical=10', 'model.codes.categorical=1')
  model = config.model
  model.latent_size = 128
  model.generator.features = (448, 1024, 512, 256, 128)
  model.critic.negative_slope = 0.1
  return config
