"""InfoGAN on CelebA faces, 64x64: ten codes of ten values in addition to 128 latents.

Chen et al. 2016: the generator has the layers of their table for CelebA, with normalisation before the ReLU as in
their code. Continuous codes: --config.model.codes.continuous=2. The reproduced report gives no rates and no number of
steps: the rates are Radford et al.'s, the steps are chosen here. The study compares it with a single code.

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
