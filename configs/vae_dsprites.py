"""The VAE of `vae_celeba_gaussian.py` on dSprites, 64x64 with one channel, with disentanglement scores.

Scores follow the published protocol, after the last step: an hour on one CPU core for 128 latents, mostly for DCI.
--config.evaluators.disentanglement.num_trees=10 takes minutes, but its numbers do not compare with published ones.

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
