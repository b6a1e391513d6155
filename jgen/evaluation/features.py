"""Features of any number of images, on all devices of this process, batch by batch."""

import functools

from flax import jax_utils
import jax
import numpy as np

from jgen.errors import UserError
from jgen.evaluation import moments
from jgen.evaluation.input_protocols import PROTOCOLS
from jgen.networks import inception, inception_weights
from jgen.parallel import AXIS


class Extractor:
  """A network of features, compiled for each size of images when it comes first.

  Neither the parts in which images arrive nor the number of devices changes a feature beyond rounding.
  """

  def __init__(self, embed, params, on_host, batch_size):
    """Of `embed(params, what on_host gives for a batch) -> {name: [B, F]}`.

    Args:
      embed: can be compiled
      params: a tree of arrays
      on_host: uint8 [n, H, W, C] -> array [n, ...]
      batch_size: images a batch on one device
    """
    self._devices = jax.local_devices()
    self._params = jax_utils.replicate(params, self._devices)
    self._embed = jax.pmap(embed, axis_name=AXIS, devices=self._devices)
    self._moments = jax.pmap(moments.of_batch, axis_name=AXIS, devices=self._devices)
    self._on_host = on_host
    self._shape = (len(self._devices), batch_size)

  def features(self, parts, names):
    """{name: float32 [N, F]} on the host of the `names` asked for, of `parts` (an iterable of uint8 [n, H, W, C])."""
    collected = {name: [] for name in names}
    for outputs, mask in self._outputs(parts):
      for name, arrays in collected.items():
        arrays.append(np.asarray(outputs[name]).reshape(mask.size, -1)[mask.ravel() > 0])
    return {name: np.concatenate(arrays) for name, arrays in collected.items()}

  def moments(self, parts, name):
    """`Moments` of the features of one name; the memory does not grow with the number of images."""
    total = None
    for outputs, mask in self._outputs(parts):
      if total is None:
        total = moments.none(outputs[name].shape[-1])
      total = moments.collect(total, self._moments(outputs[name], mask))
    return total

  def _outputs(self, parts):
    """({name: [D, B, F]} on the devices, mask float32 [D, B]) of each batch; 0 where a row only fills the batch."""
    for images in _batches(parts, self._shape[0] * self._shape[1]):
      mask = np.zeros(self._shape, np.float32)
      mask.ravel()[:len(images)] = 1
      filled = np.zeros((mask.size, *images.shape[1:]), np.uint8)
      filled[:len(images)] = images
      prepared = self._on_host(filled)
      yield self._embed(self._params, prepared.reshape(*self._shape, *prepared.shape[1:])), mask


def inception_extractor(weights, protocol, depth, batch_size, image_size=inception.IMAGE_SIZE):
  """The Extractor of an Inception with `inception_weights.Weights`.

  Args:
    weights: Weights
    protocol: a name in `PROTOCOLS`
    depth: how far the network is run, a name in `inception.DEPTHS`
    batch_size: images a batch on one device
    image_size: pixels of a side that images are resized to; scores are of the default

  Raises:
    UserError: the weights do not reach that far.
  """
  if inception.DEPTHS.index(depth) > inception.DEPTHS.index(weights.depth):
    raise UserError(f"the Inception weights end at '{weights.depth}'; '{depth}' needs the published file; "
                    f'{inception_weights.FETCH}')
  prepare = functools.partial(PROTOCOLS[protocol].on_device, size=image_size)
  network = inception.Inception(depth)
  params = {name: weights.params[name] for name in inception.parameter_names(depth)}
  return Extractor(lambda params, images: network.apply({'params': params}, prepare(images)), params,
                   functools.partial(PROTOCOLS[protocol].on_host, size=image_size), batch_size)


def _batches(parts, size):
  """The rows of all parts in batches of `size`, in order; the last may be smaller."""
  waiting = []
  for part in parts:
    for start in range(0, len(part), size):
      waiting.append(part[start:start + size])
      if sum(map(len, waiting)) >= size:
        joined = np.concatenate(waiting)
        yield joined[:size]
        waiting = [joined[size:]]
  joined = np.concatenate(waiting)
  if len(joined):
    yield joined
