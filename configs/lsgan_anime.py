"""LSGAN on anime faces, 64x64: the networks and pictures of `dcgan_anime.py` with the least-squares loss.

Mao et al. 2017: the critic (discriminator) minimises E (D(x) - 1)^2 + E D(G(z))^2, the generator E (D(G(z)) - 1)^2,
without a sigmoid. The study compares it with the cross-entropy for the same targets 1 and 0, and with a VAE.

  python launch.py --config=configs/lsgan_anime.py --config.data.dir=FOLDER   # of a folder or a zip of pictures
  python launch.py --mode=study --config=configs/lsgan_anime.py --config.data.dir=FOLDER
"""

from configs import dcgan_anime


def get_config():
  config = dcgan_anime.get_config()
  config.study.variations = (
      'squares:', 'logarithms: model.loss=non_saturating', 'VAE: config=configs/vae_anime.py')
  config.model.loss = 'least_squares'
  config.model.critic_targets.real, config.model.critic_targets.generated = 1., 0.
  return config
