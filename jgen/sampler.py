"""Draws any number of images from a family's state, on all devices of this process."""

import jax
import numpy as np

from jgen import images as images_lib
from jgen.parallel import AXIS

_CHUNK = 128                            # images a call; the next multiple of the devices is taken


class Sampler:
  """Compiled once; the same (state, labels, seed) gives the same images on any number of devices.

  (With more than one device where their number divides 128.)
  """

  def __init__(self, family):
    devices = jax.local_devices()
    self._shape = (len(devices), -(-_CHUNK // len(devices)))
    def sample(state, key, labels):
      return images_lib.to_pixels(family.sample(state, key, labels))
    self._sample = jax.pmap(sample, axis_name=AXIS, in_axes=(0, None, 0), devices=devices)

  def __call__(self, state, labels, seed):
    """uint8 [n, H, W, C] for a replicated state, labels int [n] and a whole-number seed."""
    size = self._shape[0] * self._shape[1]
    padded = np.zeros(-(-len(labels) // size) * size, np.int32)
    padded[:len(labels)] = labels
    chunks = []
    for i, chunk in enumerate(padded.reshape(-1, *self._shape)):
      images = self._sample(state, jax.random.fold_in(jax.random.key(seed), i), chunk)
      chunks.append(np.asarray(images).reshape(size, *images.shape[2:]))
    return np.concatenate(chunks)[:len(labels)]
