"""Starting points for configs: the defaults of all keys, and the settings shared by all runs of a family.

Each key is declared where it is read, with default, unit, range and meaning (`jgen.keys`); docs/config.md lists all. A
config overrides defaults; nothing but the section of an evaluator can be added:

  from jgen import recipes

  def get_config():
    config = recipes.gan_run('class_consistency')
    config.num_steps = 20_000
    config.evaluators.class_consistency.num_generated = 2_000
    return config
"""

from ml_collections import ConfigDict

from jgen import evaluation, families, keys
from jgen.errors import choose
from jgen.training.config import Config, Priors


def base() -> ConfigDict:
  """The keys of every run, a locked ConfigDict, without family, data set and evaluators."""
  return keys.default(Config).lock()


def model(family: str) -> ConfigDict:
  """The section `config.model` of a family."""
  return keys.default(choose('family', family, families.KEYS))


def evaluator(name: str) -> ConfigDict:
  """The section of an evaluator, to set as `config.evaluators.<name>`."""
  return evaluation.default_section(name)


def priors() -> ConfigDict:
  """The section `config.priors`: the priors that --mode=prior fits to the latents of a VQ-VAE."""
  return keys.default(Priors)


def add_evaluators(config: ConfigDict, *names: str) -> None:
  """Adds evaluators to a config, with the defaults of their keys."""
  with config.unlocked():
    for name in names:
      config.evaluators[name] = evaluator(name)


def run_of(family: str, *evaluators: str) -> ConfigDict:
  """Defaults for a run of a family with these evaluators."""
  config = base()
  config.family = family
  with config.unlocked():
    config.model = model(family)
  add_evaluators(config, *evaluators)
  return config


def gan_run(*evaluators: str, family: str = 'gan') -> ConfigDict:
  """Defaults for an adversarial family, with these evaluators in addition to those of every GAN."""
  config = run_of(family, 'critic_outputs', 'diversity', 'latent_interpolations', 'nearest_images', *evaluators)
  config.evaluate_every_steps = 1_000
  config.evaluators_at_end = ('nearest_images',)
  return config


def acgan_run(*evaluators: str) -> ConfigDict:
  """Defaults for an ACGAN."""
  return gan_run('attribute_pairs', 'class_consistency', *evaluators, family='acgan')


def infogan_run(*evaluators: str) -> ConfigDict:
  """Defaults for an InfoGAN."""
  return gan_run('code_grid', *evaluators, family='infogan')


def vae_run(*evaluators: str) -> ConfigDict:
  """Defaults for a VAE with test images, with these evaluators in addition to those of every VAE."""
  return _autoencoder_run('vae', 'ledger', 'reconstructions', 'interpolations', 'traversals', *evaluators)


def vqvae_run(*evaluators: str) -> ConfigDict:
  """Defaults for a VQ-VAE with test images, with these evaluators in addition to those of every VQ-VAE."""
  config = _autoencoder_run('vqvae', 'codebook', 'reconstructions', *evaluators)
  with config.unlocked():
    config.priors = priors()
  return config


def _autoencoder_run(family, *evaluators):
  config = run_of(family, *evaluators)
  config.data.test_splits = ('test',)
  config.evaluate_every_steps = config.checkpoint_every_steps = 5_000
  return config
