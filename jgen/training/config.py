"""The keys of a whole config, and the checks that involve several keys."""

import collections
from collections.abc import Mapping
import dataclasses
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jgen import evaluation, families, keys
from jgen.augmentation.images import Augmentation
from jgen.data import Keys as DataKeys
from jgen.errors import UserError
from jgen.keys import chosen, key, section, table
from jgen.networks.products import MATRIX_PRECISIONS, PRECISIONS
from jgen.run.checkpoints import Keys as CheckpointKeys
from jgen.run.folder import read_config
from jgen.training import length, profile
from jgen.training.doctor import Limits
from jgen.training.loggers import LOGGERS

# {family: the dataclass of its prior's section}, for the families that are priors.
_PRIORS = {name: prior.declarations[''] for name, declaration in families.KEYS.items()
           if isinstance(prior := keys.declared(declaration).get('prior'), keys.Section)}
_ALIGNED = ('num_steps', 'sample_every_steps', 'evaluate_every_steps', 'checkpoint_every_steps')


@dataclasses.dataclass(frozen=True)
class Steps:
  """Length and intervals: keys shared by a run and by the run of a prior."""

  family: str = key('', "the model family; '' with --mode=score alone",
                    names=collections.ChainMap[str, Any]({'': None}, families.FAMILIES))
  num_steps: int = key(10_000, 'total training steps; a GAN step is critic_steps updates of the critic '
                               '(discriminator), then generator_steps of the generator; 0 if num_epochs is set',
                       at_least=0)
  num_epochs: float = key(0., 'passes over the training images, instead of num_steps, such as 20 or 0.5; a GAN that '
                              'consumes several batches per step needs fewer steps for a pass; 0 for num_steps',
                          at_least=0)
  batch_size: int = key(64, 'images per batch, over all devices and processes', at_least=1)
  microbatch_size: int = key(0, 'images, over all devices, whose gradients are computed at once, to save '
                             'memory; BatchNorm then normalises over a microbatch; 0 for the whole batch', at_least=0)
  steps_per_dispatch: int = key(1, 'steps compiled into one call', at_least=1)
  log_every_steps: int = key(100, 'steps between rows of metrics.csv and TensorBoard scalars; a shorter run logs its '
                                  'last step', at_least=1)
  sample_every_steps: int = key(1_000, 'steps between sample grids, in addition to those at steps 0, 1, 3, 10, 30, 100 '
                                       'and 300', at_least=1)
  evaluate_every_steps: int = key(0, 'steps between evaluations; 0 evaluates at the end only', at_least=0)
  checkpoint_every_steps: int = key(1_000, 'steps between checkpoints', at_least=1)
  evaluators: object = table(evaluation.EVALUATORS, 'evaluators of the model, one section each')
  evaluators_at_end: tuple[str, ...] = key((), 'evaluators that run after the last step only, because they '
                                               'take long')
  model: object = chosen('family', families.KEYS, 'the section of the family')


@dataclasses.dataclass(frozen=True)
class PriorSteps(Steps):
  """The keys of the run of one prior; all other keys, such as data and seed, come from the VQ-VAE's config."""

  batch_size: int = key(100, 'latents per batch, over all devices', at_least=1)
  evaluate_every_steps: int = key(1_000, 'steps between evaluations; 0 evaluates at the end only', at_least=0)
  evaluators: object = table(evaluation.EVALUATORS, 'evaluators of the prior, one section each', ('test_loss',))
  model: object = chosen('family', _PRIORS, 'the section of the family')


@dataclasses.dataclass(frozen=True)
class Priors:
  """The keys of --mode=prior: the priors fitted to the latents of a trained VQ-VAE, one run each."""

  names: tuple[str, ...] = key(('mixture', 'vae', 'autoregressive'), 'the priors to fit, in this order',
                               names=('mixture', 'vae', 'autoregressive'))
  # A mixture is fitted before the first step; its batch is only measured, and is divisible by most numbers of devices.
  mixture: PriorSteps = section(PriorSteps, 'a mixture of Gaussians', family='mixture_prior', num_steps=1,
                                log_every_steps=1, batch_size=128)
  vae: PriorSteps = section(PriorSteps, 'a VAE', family='vae_prior')
  autoregressive: PriorSteps = section(PriorSteps, 'a transformer over the codes', family='autoregressive_prior')


@dataclasses.dataclass(frozen=True)
class Study:
  """The keys of --mode=study."""

  variations: tuple[str, ...] = key((), "one text per run, '[NAME:] KEY=VALUE KEY=VALUE ...', see docs/studies.md")


@dataclasses.dataclass(frozen=True)
class Score:
  """The keys that --mode=score reads in addition to `data` and `evaluators`."""

  generated: str = key('', 'folder or zip of generated images; evaluators with num_generated 0 use all')
  real: str = key('', 'folder or zip of real images')


@dataclasses.dataclass(frozen=True)
class Config(Steps):
  """All keys."""

  seed: int = key(0, 'every random number of a run is a function of the seed and the step', at_least=0, below=2**32)
  num_seeds: int = key(1, 'number of runs trained in one compiled step, with the seeds config.seed, config.seed + 1, '
                       '...: docs/devices.md', at_least=1)
  samples_per_class: int = key(10, 'samples per class, one row of the sample grid', at_least=1)
  num_samples: int = key(100, 'images in the sample grid of a model without classes', at_least=1)
  report: bool = key(True, 'whether a run ends by writing its report, report.html')
  loggers: tuple[str, ...] = key(('tensorboard',), 'where metrics go in addition to metrics.csv', names=LOGGERS)
  precision: str = key('float32', 'number format of convolutions and matrix products in training; everything else, '
                                  'and evaluation, uses float32', names=PRECISIONS)
  matrix_precision: str = key('default', 'precision of float32 products in training on a GPU: the default of JAX, '
                              'TF32 (10 bits of each factor) or all bits; a CPU uses all', names=MATRIX_PRECISIONS)
  profile_steps: tuple[int, ...] = key((), "first and last step of a trace for TensorBoard's profiler; () for none",
                                       at_least=0)
  data: DataKeys = section(DataKeys, 'the images')
  augmentation: Augmentation = section(
      Augmentation, 'random changes of each training image, on the device; by default none')
  doctor: Limits = section(Limits, 'thresholds of the signs that an adversarial training fails: docs/gan.md')
  checkpoints: CheckpointKeys = section(CheckpointKeys, 'which checkpoints are kept')
  study: Study = section(Study, 'read by --mode=study alone')
  priors: Priors = section(Priors, 'read by --mode=prior alone', optional=True)
  score: Score = section(Score, 'read by --mode=score alone', optional=True)


def completed(stored: Mapping[str, Any]) -> dict[str, Any]:
  """A stored config, a nested dict, completed by the defaults of keys that later versions added."""
  return keys.completed(Config, stored)


def stored_config(folder: str | Path) -> ConfigDict:
  """The config stored in a run folder, a locked ConfigDict; raises UserError if there is none."""
  return ConfigDict(_with_tuples(length.as_asked(completed(read_config(folder))))).lock()


def _with_tuples(value):
  """Turns the lists of JSON into the tuples of configs."""
  if isinstance(value, dict):
    return {key: _with_tuples(entry) for key, entry in value.items()}
  return tuple(value) if isinstance(value, list) else value


def check_seeds(config: ConfigDict) -> None:
  """Raises UserError if several seeds cannot be trained in one step."""
  count = config.num_seeds
  if config.seed + count > 2**32:
    raise UserError(f'config.num_seeds is {count}: the last seed would be {config.seed + count - 1}, but seeds are '
                    f'below 2^32; lower config.num_seeds or config.seed, {config.seed}')
  for name, refused in {'config.checkpoints.best_metric': config.checkpoints.best_metric,
                        "config.loggers with 'wandb'": 'wandb' in config.loggers}.items() if count > 1 else ():
    if refused:
      raise UserError(f'config.num_seeds is {count}, with which {name} cannot be set; leave it out, '
                      'or train one seed')


def check(config: ConfigDict) -> None:
  """Raises UserError for an invalid config: the checks of `jgen.keys.check`, and those that involve several keys."""
  keys.check(Config, config, 'config')
  length.check(config)
  per_dispatch = config.steps_per_dispatch
  for name in _ALIGNED:
    if config[name] % per_dispatch:
      raise UserError(f'config.{name} is {config[name]}, not a multiple of config.steps_per_dispatch, {per_dispatch}; '
                      'change one of the two')
  profile.check(config)
  check_seeds(config)
  if config.checkpoints.best_metric and config.evaluate_every_steps % config.checkpoint_every_steps:
    raise UserError(
        f'config.evaluate_every_steps is {config.evaluate_every_steps}, not a multiple of '
        f'config.checkpoint_every_steps, {config.checkpoint_every_steps}; the best checkpoint can be kept only if '
        'every evaluated step is saved: change one of the two')
