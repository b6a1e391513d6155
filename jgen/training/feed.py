"""Feeds training images to the devices: batch by batch, or the whole data set once and then indices."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import itertools
import os
from typing import Any

import jax
import numpy as np

from jgen.data import pipeline
from jgen.data.spec import Dataset
from jgen.errors import UserError
from jgen.parallel import AXIS

_SHARE = 0.8                            # largest share of the free memory for the images; training needs the rest


def batches(dataset: Dataset, *, on_device: bool, seeds: Sequence[int], **position: Any) -> Iterator[Any]:
  """The input of every dispatch of this process, in order; the numbers do not depend on `on_device`.

  Args:
    dataset: a Dataset
    on_device: whether to copy the data set into each device's memory first and gather the batches there
    seeds: one or more; each seed has its own order of the images
    **position: arguments of `pipeline.batches`, all but the seed, the devices and the processes

  Returns:
    An iterator of {'image': uint8 [D, S, K, B, H, W, C], 'label': int32 [D, S, K, B]}; with N seeds [D, S, N, ...].
  """
  here = dict(num_devices=jax.local_device_count(), process_index=jax.process_index(),
              process_count=jax.process_count())
  served = merged([pipeline.batches(dataset, indices_only=on_device, seed=seed, **position, **here)
                   for seed in seeds], axis=2)
  if on_device:
    return map(gatherer(dataset), served)
  # On CPU the batch is in the devices' memory already.
  return served if jax.default_backend() == 'cpu' else ahead(served)


def merged(batches: Sequence[Iterator[Any]], axis: int) -> Iterator[Any]:
  """Stacks the batches of several seeds, iterators of {name: array}, along a new axis of the seeds."""
  if len(batches) == 1:
    return batches[0]
  return ({name: np.stack([batch[name] for batch in step], axis) for name in step[0]}
          for step in zip(*batches, strict=True))


def shapes(dataset: Dataset, steps_per_dispatch: int, batches_per_step: int,
           batch_size: int, seeds: int = 1) -> dict[str, jax.ShapeDtypeStruct]:
  """The shapes and types of a dispatch's input, as `batches` yields it in a run of one process."""
  devices = jax.local_device_count()
  of_seeds = () if seeds == 1 else (seeds,)
  rows = (devices, steps_per_dispatch, *of_seeds, batches_per_step, batch_size // devices)
  return {'image': jax.ShapeDtypeStruct((*rows, *dataset.images.shape[1:]), np.uint8),
          'label': jax.ShapeDtypeStruct(rows, np.int32)}


def ahead(served: Iterable) -> Iterator[Any]:
  """Copies batches to the devices; the next batch is sent before the current one is yielded."""
  sent = (jax.device_put(batch, _sharding(AXIS)) for batch in served)
  return (batch for batch, _ in itertools.pairwise(itertools.chain(sent, [None])))


def gatherer(dataset: Dataset) -> Callable:
  """The function {'index': int32 [D, ...]} -> {'image': [D, ..., H, W, C], 'label': [D, ...]} on the devices."""
  arrays = jax.device_put({'image': np.asarray(dataset.images), 'label': dataset.labels}, _sharding())
  split = _sharding(AXIS)

  @jax.jit(out_shardings=split)
  def gather(arrays, index):
    return {name: array.at[index].get(mode='promise_in_bounds') for name, array in arrays.items()}

  return lambda batch: gather(arrays, jax.device_put(batch['index'], split))


def check_room(dataset: Dataset) -> None:
  """Raises UserError unless the data set fits into each device's memory or, on CPU, all copies fit into the host's."""
  needed = dataset.images.nbytes + dataset.labels.nbytes
  devices = jax.local_devices()
  room = _device_memory(devices[0]) or os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / len(devices)
  if needed > _SHARE * room:
    raise UserError(
        f'config.data.on_device: {dataset.spec.name} takes {needed / 1e9:.2f} GB on each of {len(devices)} devices, '
        f'which have {room / 1e9:.2f} GB each; expected at most {_SHARE:.0%} of that; leave it on the host with '
        '--config.data.on_device=False, or choose a smaller --config.data.image_size')


def _device_memory(device):
  """Free bytes on the device; None if the device does not report them, as on CPU."""
  stats = device.memory_stats()
  return stats and stats['bytes_limit'] - stats['bytes_in_use']


def _sharding(*axes):
  """The sharding of arrays on the devices of this process: (AXIS) splits the first axis, () replicates."""
  return jax.NamedSharding(jax.sharding.Mesh(np.array(jax.local_devices()), (AXIS,)), jax.P(*axes))
