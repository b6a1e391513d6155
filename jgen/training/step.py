"""The compiled training step: what every device computes, for any family."""

import functools

import jax
from jax import lax

from jgen import images
from jgen.augmentation import images as augmentation
from jgen.families import train_state
from jgen.parallel import AXIS, over_devices


def step_on_device(family, augment, key, state, batches):
  """One step on one device: (state, {name: [] mean over the devices}). Its key is a function of (seed, step)."""
  batches = {**batches, 'image': augment(key, state.step, images.to_float(batches['image']))}
  state, metrics = family.train_step(state, batches, jax.random.fold_in(key, state.step))
  state = train_state.average(state, family.ema_decay)
  return state.replace(step=state.step + 1), lax.pmean(metrics, AXIS)


def make_dispatch(family, augment=augmentation.unchanged, devices=None):
  """The compiled function (state, {name: [D, S, K, B, ...]}, key) -> (state, {name: [D, S]})."""
  def dispatch(state, batches, key):
    return lax.scan(functools.partial(step_on_device, family, augment, key), state, batches)
  return over_devices(dispatch, in_axes=(0, 0, None), donate=0, devices=devices)


def compiled_dispatch(dispatch, state, batches, key):
  """`dispatch` compiled for these arguments before the first batch is there; arrays may be ShapeDtypeStructs."""
  return dispatch.lower(state, batches, key).compile()
