"""The compiled training step that every device runs, for any family."""

from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
from jax import lax
import optax

from jgen.augmentation import images as augmentation
from jgen.families import optimizers, train_state
from jgen.families.accumulation import microbatches_of
from jgen.families.base import Family
from jgen.families.train_state import TrainState
from jgen.images import pixels
from jgen.networks.products import products_in
from jgen.parallel import AXIS, over_devices
from jgen.shapes import PRNGKey


def over_seeds(step: Callable, count: int) -> Callable:
  """Maps the step (key, state, batches) -> (state, metrics) of one seed over `count` seeds."""
  return step if count == 1 else jax.vmap(step)


def step_on_device(family: Family, augment: Callable, key: PRNGKey, state: TrainState,
                   batches: dict[str, Any]) -> tuple[TrainState, dict[str, Any]]:
  """One step on one device: (state, {name: [] mean over the devices}). Its key is a function of (seed, step)."""
  batches = {**batches, 'image': augment(key, state.step, pixels.to_float(batches['image']))}
  before = state
  state, metrics = family.train_step(state, batches, jax.random.fold_in(key, state.step))
  state = train_state.average(state, family.ema_decay)
  return state.replace(step=state.step + 1), {**lax.pmean(metrics, AXIS), **of_updates(before, state)}


def of_updates(before: TrainState, after: TrainState) -> dict[str, Any]:
  """{name: []}: for each network the norm of its parameter update, and its learning rate if that is scheduled."""
  norms = {f'{name}/update_norm': optax.tree.norm(optax.tree.sub(params, before.params[name]))
           for name, params in after.params.items()}
  rates = {f'{name}/learning_rate': rate for name, state in after.opt_state.items()
           for rate in optimizers.learning_rates(state)}
  return norms | rates


def make_dispatch(family: Family, augment: Callable = augmentation.unchanged,
                  precision: tuple[str, ...] = ('float32',), microbatch: int = 0, seeds: int = 1,
                  devices: Sequence[jax.Device] | None = None) -> Callable:
  """The compiled function (state, {name: [D, S, K, B, ...]}, key) -> (state, {name: [D, S]}).

  With several seeds it is (state [D, N, ...], {name: [D, S, N, K, B, ...]}, keys [N]) -> (state, {name: [D, S, N]}).

  Args:
    family: a Family.
    augment: an augmentation, see `jgen.augmentation.images.create`.
    precision: of the products in training: the arguments of `products_in`.
    microbatch: images per device that are differentiated at once, see `jgen.families.accumulation`; 0 for all.
    seeds: N, the number of seeds trained in one step.
    devices: see `over_devices`.
  """
  def dispatch(state, batches, key):
    with products_in(*precision), microbatches_of(microbatch):
      step = over_seeds(functools.partial(step_on_device, family, augment), seeds)
      return lax.scan(lambda state, batch: step(key, state, batch), state, batches)
  return over_devices(dispatch, in_axes=(0, 0, None), donate=(0,), devices=devices)


def compiled_dispatch(dispatch: Any, state: Any, batches: Any, key: Any) -> Callable:
  """Compiles `dispatch` for these arguments, before the first batch is available; arrays may be ShapeDtypeStructs."""
  return dispatch.lower(state, batches, key).compile()
