"""Features of any number of images, computed on all devices of this process, batch by batch.

Processes that share work (`jgen.host.processes.sharing`) divide the batches among them.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import functools
from typing import Any

from flax import jax_utils
import jax
import numpy as np

from jgen.errors import UserError
from jgen.evaluation.features import moments
from jgen.evaluation.features.input_protocols import PROTOCOLS
from jgen.host import processes
from jgen.networks.inception import network as inception
from jgen.networks.inception import weights as inception_weights
from jgen.parallel import over_devices
from jgen.shapes import Features, Pixels


@dataclasses.dataclass(frozen=True)
class Summary:
  """The statistics of a set of images that scores need."""

  moments: moments.Moments              # of the features of all images
  features: np.ndarray | None           # float32 [n, F] of some images; None if none are kept
  logits: np.ndarray | None             # float32 [n, Y] of the same images


class Extractor:
  """A feature network, compiled for each size of images on first use.

  Features do not depend, beyond rounding, on the division into parts or on the number of devices.
  """

  def __init__(self, embed: Callable, params: Any, on_host: Callable[[np.ndarray], np.ndarray],
               batch_size: int) -> None:
    """An extractor for `embed(params, on_host(batch)) -> {name: [B, F]}`.

    Args:
      embed: a function that can be compiled
      params: a tree of arrays
      on_host: uint8 [n, H, W, C] -> array [n, ...]
      batch_size: images per batch on one device
    """
    self._devices = jax.local_devices()
    self._params = jax_utils.replicate(params, self._devices)
    self._embed = over_devices(embed, devices=self._devices)
    self._moments = over_devices(moments.of_batch, devices=self._devices)
    self._on_host = on_host
    self._shape = (len(self._devices), batch_size)

  def features(self, parts: Iterable[Pixels], names: Sequence[str]) -> dict[str, Features]:
    """{name: float32 [N, F]} on the host, the outputs `names` for `parts` (an iterable of uint8 [n, H, W, C])."""
    collected: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for outputs, mask in self._outputs(parts):
      for name, arrays in collected.items():
        arrays.append(np.asarray(outputs[name]).reshape(mask.size, -1)[mask.ravel() > 0])
    return {name: np.concatenate(arrays) for name, arrays in collected.items()}

  def summary(self, parts: Iterable[Pixels], name: str, kept: Sequence[int] | np.ndarray = (),
              logits: str = '') -> Summary:
    """The Summary of the features of one name, in one pass over the images.

    Args:
      parts: an iterable of uint8 [n, H, W, C], all of one shape but for n
      name: name of the features
      kept: sorted indices of the images whose features are kept; the memory grows only with their number
      logits: the name of another output to keep for these images; '' for none

    Raises:
      UserError: there is no image, or images are not uint8.
    """
    total, names = None, [name, *[logits] * bool(logits)]
    collected: dict[str, list[np.ndarray]] = {output: [] for output in names}
    for outputs, mask in self._outputs(parts):
      total = moments.none(outputs[name].shape[-1]) if total is None else total
      before, total = total.count, moments.collect(total, self._moments(outputs[name], mask))
      rows = np.asarray(kept, int)[slice(*np.searchsorted(kept, (before, total.count)))] - before
      for output in names if len(rows) else ():
        collected[output].append(np.asarray(outputs[output]).reshape(mask.size, -1)[rows])
    if total is None:
      raise UserError('there are no images for features; expected at least 2')
    joined = {output: np.concatenate(arrays) for output, arrays in collected.items() if arrays}
    return Summary(total, joined.get(name), joined.get(logits))

  def _outputs(self, parts):
    """({name: [D, B, F]} on the devices, mask float32 [D, B]) of each batch; 0 for rows that only fill the batch."""
    yield from processes.shared(self._output, _batches(parts, self._shape[0] * self._shape[1]))

  def _output(self, images):
    mask = np.zeros(self._shape, np.float32)
    mask.ravel()[:len(images)] = 1
    filled = np.zeros((mask.size, *images.shape[1:]), np.uint8)
    filled[:len(images)] = images
    prepared = self._on_host(filled)
    return self._embed(self._params, prepared.reshape(*self._shape, *prepared.shape[1:])), mask


def inception_extractor(weights: inception_weights.Weights, protocol: str, depth: str, batch_size: int,
                        image_size: int = inception.IMAGE_SIZE) -> Extractor:
  """The Extractor of an Inception with `inception_weights.Weights`.

  Args:
    weights: Weights
    protocol: a name in `PROTOCOLS`
    depth: the layer up to which the network is run, a name in `inception.DEPTHS`
    batch_size: images per batch on one device
    image_size: side in pixels to which images are resized; scores use the default

  Raises:
    UserError: the weights end before this depth.
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
  waiting: list[np.ndarray] = []
  for part in parts:
    _check(part, waiting[0] if waiting else part)
    for start in range(0, len(part), size):
      waiting.append(part[start:start + size])
      if sum(map(len, waiting)) >= size:
        joined = np.concatenate(waiting)
        yield joined[:size]
        waiting = [joined[size:]]
  if waiting and len(joined := np.concatenate(waiting)):
    yield joined


def _check(part, before):
  """Raises UserError unless `part` has uint8 images of the same shape as those before."""
  if part.dtype != np.uint8:
    trouble = ', some of them NaN or infinite' if part.dtype.kind == 'f' and not np.isfinite(part).all() else ''
    raise UserError(f'images are {part.dtype}{trouble}; expected uint8, 0 to 255')
  if part.shape[1:] != before.shape[1:]:
    raise UserError(f'images of {_size(part)} among images of {_size(before)}; expected one size and one number '
                    'of channels')


def _size(images):
  return ' x '.join(map(str, images.shape[1:]))
