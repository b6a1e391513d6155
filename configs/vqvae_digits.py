"""VQ-VAE on the 1,797 real 8x8 digits of scikit-learn, enlarged to 16x16: no download, minutes on a CPU.

An image has 32 codes of 16 values: two groups of channels at each of 4x4 positions.

  python launch.py --config=configs/vqvae_digits.py
  python launch.py --config=configs/vqvae_digits.py --mode=prior   # priors over its latents, then
"""

from configs import quickstart
from jgen import recipes


def get_config():
  config = quickstart.on_digits(recipes.vqvae_run())
  config.checkpoint_every_steps = 1_000
  model = config.model
  model.encoder.features, model.decoder.features = (32, 32), (32, 16)
  model.quantizer.codebook_size = 64
  model.quantizer.revive_every_steps = 100
  set_priors(config.priors)
  return config


def set_priors(priors):
  """Settings of priors for 1,468 training images: fewer components and smaller networks, to delay overfitting."""
  mixture, vae, autoregressive = priors.mixture, priors.vae, priors.autoregressive
  mixture.model.num_points, mixture.model.pca_dimension = 1_400, 32
  vae.num_steps, autoregressive.num_steps, autoregressive.batch_size = 2_000, 1_000, 64
  autoregressive.model.update(conditional=True, width=64, num_layers=3, dropout=0.2)
  autoregressive.model.optimizer.learning_rate = 2e-3
  for prior in (vae, autoregressive):
    prior.steps_per_dispatch, prior.log_every_steps, prior.evaluate_every_steps = 10, 50, 200
  for prior in (mixture, vae, autoregressive):
    recipes.add_evaluators(prior, 'classifier_features')
    prior.evaluators.classifier_features.num_generated = 2_000
    prior.evaluators_at_end = ('classifier_features',)
  recipes.add_evaluators(autoregressive, 'class_consistency')
