"""The systems of five course reports and the configs on digits: data, overrides for a CPU and for an accelerator, and
the metrics to report."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class System:
  """One row of the table of results."""

  report: str                           # '' for a config on digits, which reproduces none
  config: str                           # in configs/
  data: str                             # folder of its images in --data; '' for digits, which are part of scikit-learn
  published: str                        # the figure published in the report; '' if there is none
  numbers: tuple[str, ...]              # metrics to show, '<evaluator>/<entry>'; * matches any text
  pictures: tuple[str, ...]             # glob patterns in the run folder of generated images; the last match is shown
  weight: float = 1.                    # share of the time, relative to the other systems
  small: dict[str, Any] = dataclasses.field(default_factory=dict)   # config overrides on a CPU
  large: dict[str, Any] = dataclasses.field(default_factory=dict)   # config overrides on a GPU or TPU
  needs: str = ''                       # the system whose run --mode=prior is applied to; '' for a run of its own


# Logging, sampling and checkpoint intervals of every run.
SMALL = {'log_every_steps': 20, 'sample_every_steps': 250, 'checkpoint_every_steps': 500}
LARGE = {'log_every_steps': 50, 'sample_every_steps': 1_000, 'checkpoint_every_steps': 5_000, 'data.on_device': True}

# For a few minutes on a CPU: half the resolution, narrow networks, an averaged generator. Discriminators that narrow
# win within a hundred steps if they have BatchNorm; with spectral normalisation instead they do not.
_GAN = {'data.image_size': 32, 'batch_size': 32, 'augmentation.horizontal_flip': 0.5, 'model.ema_decay': 0.99,
        'evaluate_every_steps': 1_000, 'model.generator.features': (128, 64, 32),
        'model.critic.features': (32, 64, 128), 'model.critic.normalization': 'none',
        'model.critic.spectral_norm': True, 'model.critic.kernel_init': 'he', 'model.critic.use_bias': True,
        'model.generator_optimizer.learning_rate': 1e-3, 'model.critic_optimizer.learning_rate': 5e-4}
_VAE = {'batch_size': 32, 'evaluate_every_steps': 1_000}
_ACGAN = {'model.class_weight': 4.}
# The data sets may be small: flips double them. The averaging window is short because the runs are.
_LARGE_GAN = {'augmentation.horizontal_flip': 0.5, 'model.ema_decay': 0.99, 'evaluate_every_steps': 1_000}
_PROXIES = {'evaluators.inception_features.num_generated': 1_000, 'evaluators.inception_features.num_real': 2_000}
_DIGITS = {'batch_size': 32, 'evaluate_every_steps': 500, 'model.ema_decay': 0.995, **_PROXIES,
           'data.image_size': 32, 'model.latent_size': 32,
           'model.generator.features': (64, 32, 16), 'model.critic.features': (16, 32, 64)}
_LARGE_DIGITS = {'batch_size': 64, 'evaluate_every_steps': 500, 'model.ema_decay': 0.995, **_PROXIES}
_QUICK = {f'model.{network}_optimizer.learning_rate': 1e-3 for network in ('generator', 'critic')}

_ERROR, _ELBO = 'ledger/mse', 'ledger/elbo'
_CLASSES, _DIVERSITY, _APART = 'class_consistency/accuracy', 'diversity/nearest_ratio', 'critic_outputs/auc'
_FIDS = ('inception_features/fid*@*', 'classifier_features/proxy_fid*@*', 'random_features/proxy_fid*@*')
_INFORMATION = 'generator/information*'
_FEW = {'evaluators.inception_features.num_generated': 1_000}
_SAMPLES, _PAIRS = 'samples/step_*.png', 'evaluation/attribute_pairs_step_*.png'


def _vae(report, config, data, published, numbers=(_ERROR,), **others):
  return System(report, config, data, published, numbers, (_SAMPLES,), **{'small': _VAE} | others)


def _gan(report, config, data, published='', numbers=(_DIVERSITY, _APART), small=(), large=(), more=()):
  return System(report, config, data, published, numbers, (_SAMPLES, *more), small={**_GAN, **dict(small)},
                large={**_LARGE_GAN, **dict(large)})


def _acgan(report, config, small=()):
  return System(report, config, 'celeba', '', (_CLASSES, _DIVERSITY, _APART), (_PAIRS,), 1.5,
                {**_GAN, **_ACGAN, **dict(small)}, {**_LARGE_GAN, **_ACGAN})


def _digits(config, published, more):
  return System('R5', config, 'svhn', published, (_CLASSES, *_FIDS, _DIVERSITY), (_SAMPLES,), 1.5,
                {**_DIGITS, **more}, {**_LARGE_DIGITS, **more})


def _on_digits(config, *numbers, picture=_SAMPLES):
  return System('', config, '', '', numbers, (picture,), 0.5)


SYSTEMS = {system.config: system for system in (
    _vae('R1', 'vae_celeba', 'celeba', 'squared error 0.0291'),
    _gan('R1', 'dcgan_celeba', 'celeba'),
    _acgan('R1', 'acgan_celeba_smiling', {
        'model.critic.dropout': 0.2, 'model.critic.features': (16, 32, 32, 64, 64, 128),
        'model.critic.paddings': (1, 1, 1, 1, 1, 1)}),
    _vae('R2', 'vae_celeba_small', 'celeba', 'squared error 0.075'),
    _gan('R2', 'dcgan_celeba_small', 'celeba', small={
        'model.generator.kernel_init': 'he', 'model.generator_optimizer.learning_rate': 5e-4}),
    _acgan('R2', 'acgan_celeba_male', {
        'model.generator.kernel_init': 'he', 'model.generator_optimizer.learning_rate': 5e-4}),
    _vae('R3', 'vae_celeba_fullyconv', 'celeba', 'squared error 0.089'),
    _gan('R3', 'dcgan_celeba_wide', 'celeba'),
    _acgan('R3', 'acgan_celeba_wide', {
        'model.critic.features': (32, 64, 128, 64), 'model.critic.strides': (2, 2, 2, 1),
        'model.critic.paddings': (1, 1, 1, 0)}),
    _gan('R3', 'infogan_celeba', 'celeba', numbers=(_INFORMATION, _DIVERSITY, _APART), small={
        'model.generator.features': (112, 128, 64, 32)}, more=('evaluation/code_grid_0_step_*.png',)),
    _vae('R4', 'vae_anime', 'anime', '', (_ERROR, _ELBO)),
    _gan('R4', 'dcgan_anime', 'anime'),
    _gan('R4', 'lsgan_anime', 'anime'),
    _vae('R5', 'vae_celeba_gaussian', 'celeba', '', (_ERROR, _ELBO)),
    _vae('R5', 'vae_dsprites', 'dsprites', '', (_ERROR, _ELBO)),
    _vae('R5', 'vqvae_tiny_imagenet', 'tiny-imagenet-200', '', ('codebook/mse', 'codebook/perplexity')),
    System('R5', 'priors', 'tiny-imagenet-200', '', (), tuple(
        f'priors/{name}/samples/step_*.png' for name in ('mixture', 'vae', 'autoregressive')),
           needs='vqvae_tiny_imagenet'),
    _gan('R5', 'dcgan_bitmoji', 'bitmoji', 'FID 120', numbers=(*_FIDS, _DIVERSITY), small=_FEW, large={
        'batch_size': 128, **_FEW}),
    _digits('cdcgan_svhn', 'FID above 100', {}),
    _digits('wgan_svhn', 'FID below 100', {
        **_QUICK, 'model.critic.use_bias': True, 'model.critic.kernel_init': 'he'}),
    _on_digits('quickstart', _CLASSES, _DIVERSITY),
    _on_digits('dcgan_digits', _CLASSES, _DIVERSITY, _APART),
    _on_digits('acgan_digits', _CLASSES, _DIVERSITY),
    _on_digits('infogan_digits', 'code_classes/nmi', _INFORMATION, picture='evaluation/code_grid_0_step_*.png'),
    _on_digits('vqvae_digits', 'codebook/mse', 'codebook/perplexity'),
)}

# Evaluators that replace those of the config, which has one that takes an hour.
_VAES = ('ledger', 'reconstructions', 'interpolations', 'traversals')
EVALUATORS = {'vae_dsprites': _VAES}
