"""Conditional WGAN-GP on street view house numbers, 64x64.

The networks are those of `cdcgan_svhn.py` without BatchNorm in the critic: a penalty per image is not valid if one
image's output depends on the others (Gulrajani et al. 2017, sec. 4). Loss, penalty and Adam as in that
paper.

  python launch.py --config=configs/wgan_svhn.py --config.data.dir=FOLDER   # with {train,test,extra}_32x32.mat
  python launch.py --mode=study --config=configs/wgan_svhn.py --config.data.dir=FOLDER

The study compares FID, first-layer gradient and losses with those of the conditional DCGAN.
"""

from configs import cdcgan_svhn


def get_config():
  config = cdcgan_svhn.get_config()
  config.study.variations = ('WGAN-GP:', 'DCGAN: config=configs/cdcgan_svhn.py')
  model = config.model
  model.loss = 'wasserstein'
  model.penalty = 'gradient_penalty'
  model.critic_steps = 5
  model.critic.normalization = 'none'
  for optimizer in (model.generator_optimizer, model.critic_optimizer):
    optimizer.learning_rate, optimizer.b1, optimizer.b2 = 1e-4, 0., 0.9
  return config
