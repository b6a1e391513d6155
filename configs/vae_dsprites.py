"""The VAE of `vae_celeba_gaussian.py` on dSprites, 64x64 and one channel, with its disentanglement measured.

After the last step, by the published protocol: an hour of one CPU core with 128 latents, nearly all of it DCI's.
--config.evaluators.disentanglement.num_trees=10 makes minutes of it, and numbers that compare with no published ones.

  python launch.py --config=configs/vae_dsprites.py --config.data.dir=FOLDER   # with the published .npz
  python launch.py --config=configs/vae_dsprites.py --config.data.name=sprites   # procedural, without a download
"""

from configs import vae_celeba_gaussian
from jgen import recipes


def get_config():
  config = vae_celeba_gaussian.get_config()
  config.data.name = 'dsprites'
  recipes.add_evaluators(config, 'disentanglement')
  config.evaluators_at_end = ('disentanglement',)
  return config
