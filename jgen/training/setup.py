"""Builds the objects that a config describes, before training starts: family, evaluators, augmentation, images."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from jgen import data, evaluation, families
from jgen.augmentation import images as augmentation
from jgen.data import cache
from jgen.data.spec import Splits
from jgen.errors import UserError
from jgen.evaluation.base import Evaluator
from jgen.families.base import Family
from jgen.training import actions, feed
from jgen.training.config import check


def check_devices(config: ConfigDict) -> None:
  """Raises UserError unless the batch divides evenly over all devices."""
  if config.batch_size % jax.device_count():
    raise UserError(f'config.batch_size is {config.batch_size}, which is not divisible by the number of devices, '
                    f'{jax.device_count()}; use a multiple of it')


def check_microbatch(config: ConfigDict, family: Family) -> None:
  """Raises UserError unless microbatches divide the batch, over all devices, and leave the objective unchanged."""
  size, batch = config.microbatch_size, config.batch_size
  if not size:
    return
  if batch % size or size % jax.device_count():
    raise UserError(f'config.microbatch_size is {size}; expected 0, or a divisor of config.batch_size, {batch}, '
                    f'that is a multiple of the number of devices, {jax.device_count()}')
  if family.couples_batch and size < batch:
    raise UserError(f'config.microbatch_size is {size}, but this model cannot be trained in microbatches: '
                    f'{family.couples_batch}; set it to 0')


def build(config: ConfigDict) -> tuple[Family, dict[str, Evaluator], Callable]:
  """(family, evaluators, augmentation) of a config; raises UserError if it is invalid."""
  check(config)
  check_devices(config)
  spec = data.describe(config.data)
  family = families.create(config, spec)
  check_microbatch(config, family)
  evaluators = evaluation.create(config.evaluators, spec, family, bool(config.data.test_splits))
  augment = augmentation.create(config.augmentation)
  actions.check_evaluators(config, evaluators, spec, family)
  return family, evaluators, augment


def load(config: ConfigDict, family: Family, evaluators: Mapping[str, Evaluator]) -> Splits:
  """The images of a config, as Splits; raises UserError if the config is invalid for them."""
  splits = data.load_splits(config.data)
  family.check_data(splits.train)
  evaluation.check_data(evaluators, splits)
  if config.data.on_device:
    feed.check_room(splits.train)
  return splits


def identities(splits: Splits) -> dict[str, dict[str, Any]]:
  """{'train' or 'test': count, digest and source of the images}, the argument of `run.images.check_images`."""
  parts = {'train': splits.train, 'test': splits.test}
  return {part: {'count': len(dataset.images), 'sha256': cache.digest(dataset), 'source': dataset.source}
          for part, dataset in parts.items() if dataset is not None}
