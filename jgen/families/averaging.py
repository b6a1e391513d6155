"""The state used after training: averaged parameters, with batch statistics recomputed for them.

Running statistics follow the trained parameters. Averaged parameters lag behind them, so their
activations have other means and variances, and normalising by the running statistics distorts samples. Therefore,
before averaged parameters are used, statistics are computed for them: the means over several batches in training mode
("standing statistics", Brock et al. 2019).
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from jgen.data.spec import Dataset
from jgen.errors import UserError
from jgen.families.base import Family
from jgen.families.train_state import TrainState
from jgen.images.pixels import to_float
from jgen.networks.layers import MOMENTUM
from jgen.parallel import AXIS, STATISTICS
from jgen.shapes import Array

NUM_BATCHES = 16
BATCH_SIZE = 128                        # over all devices


def needs_statistics(state: TrainState) -> bool:
  """Whether a network with averaged parameters has batch statistics."""
  return any('batch_stats' in state.model_state[name] for name in state.ema_params)


def with_averages(state: TrainState) -> TrainState:
  """The state with the averaged parameters as its params, if it has them; its statistics are unchanged."""
  return state.replace(params={**state.params, **state.ema_params}, ema_params={})


def recompute(family: Family, state: TrainState, batches: dict[str, Array]) -> TrainState:
  """The state of `with_averages` with batch statistics for its params; runs on each device, mapped over `AXIS`.

  Args:
    family: a Family.
    state: a TrainState that `needs_statistics`.
    batches: from `batches_for`, [S, B, ...] each, this device's share.
  """
  names, state = tuple(state.ema_params), with_averages(state)
  key = jax.random.fold_in(jax.random.key(0), STATISTICS)   # the same images for the same parameters and any seed
  def one_batch(model_state, step):
    i, batch = step
    model_state = with_statistics(model_state, statistics(model_state, names, jnp.zeros_like))
    batch = {**batch, 'image': to_float(batch['image'])}
    model_state = family.training_pass(state.replace(model_state=model_state), batch, jax.random.fold_in(key, i))
    return model_state, statistics(model_state, names, lambda x: x / (1 - MOMENTUM))
  model_state, of_batches = lax.scan(one_batch, state.model_state, (jnp.arange(NUM_BATCHES), batches))
  return state.replace(model_state=with_statistics(model_state, jax.tree.map(lambda x: x.mean(0), of_batches)))


def statistics(model_state: Any, names: Any, function: Callable) -> Any:
  """{network: batch statistics} of the networks `names` that have any, with `function` applied to each array."""
  return {name: jax.tree.map(function, model_state[name]['batch_stats'])
          for name in names if 'batch_stats' in model_state[name]}


def with_statistics(model_state: Any, statistics: Any) -> Any:
  return {**model_state, **{name: {**model_state[name], 'batch_stats': values} for name, values in statistics.items()}}


def batches_for(family: Family, dataset: Dataset | None) -> dict[str, np.ndarray]:
  """{'image': uint8 [S, G, H, W, C], 'label': int32 [S, G]} on the host: classes equally often, images evenly spread.

  Args:
    family: a Family.
    dataset: the training Dataset; may be None if the family's statistics do not need images.

  Raises:
    UserError: there is no data set, although the family's statistics need images.
  """
  count = NUM_BATCHES * BATCH_SIZE
  labels = np.arange(count, dtype=np.int32) % max(1, family.num_classes)
  images = np.zeros((count, 1), np.uint8)   # not read
  if family.statistics_need_images:
    if dataset is None:
      raise UserError('the averaged parameters of this model need training images, from which their batch statistics '
                      'are computed; name the data set')
    rows = np.arange(count) * len(dataset.images) // count
    images = np.asarray(dataset.images[np.random.default_rng(0).permutation(rows)])
  arrays: dict[str, np.ndarray] = {'image': images, 'label': labels}
  return {name: x.reshape(NUM_BATCHES, BATCH_SIZE, *x.shape[1:]) for name, x in arrays.items()}


def on_one_device(family: Family, state: TrainState, dataset: Dataset) -> TrainState:
  """The state used after training, for a state on the host; unchanged if no parameters are averaged."""
  if not needs_statistics(state):
    return with_averages(state)
  function = jax.vmap(functools.partial(recompute, family), (None, 0), axis_name=AXIS)
  batches = jax.tree.map(lambda x: x[None], batches_for(family, dataset))
  return jax.tree.map(lambda x: x[0], jax.jit(function)(state, batches))
