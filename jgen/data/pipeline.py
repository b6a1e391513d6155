"""Batches for the devices: a pure function of (seed, step), prefetched.

The training images form an endless stream, epoch after epoch, each epoch in a different random order.
Row i of global batch k of step s is the image at position (s K + k) G + i of the stream. So a run can
resume at any step at no cost, and the batches of a step do not depend on the number of devices, of
processes or of steps per dispatch.
"""

from collections.abc import Iterator
from typing import Any

from jaxtyping import Int, UInt8
import numpy as np

from jgen.data.host import tensorflow
from jgen.data.spec import Dataset
from jgen.errors import UserError

# tf.random.experimental.index_shuffle uses 4 rounds of its cipher. Measured with 604,420 images in batches of 100,
# two images of a batch are then 5 times likelier than chance to share a batch in the next epoch (16 times in single
# epochs); 12 rounds cost the same and reduce this to chance.
_ROUNDS = 12
_READY = 2                              # dispatches to prefetch


def batches(dataset: Dataset, *, seed: int, first_step: int, num_steps: int, steps_per_dispatch: int,
            batches_per_step: int, batch_size: int, num_devices: int, process_index: int = 0, process_count: int = 1,
            indices_only: bool = False) -> Iterator[dict[str, np.ndarray]]:
  """The input of every dispatch from `first_step` on, in order.

  Device d of all devices gets rows d B to (d + 1) B - 1 of every global batch; process p has devices
  p D to (p + 1) D - 1.

  Args:
    dataset: a Dataset
    seed: int; with the step it determines every batch
    first_step: steps already done; the first dispatch covers steps first_step to first_step + S - 1
    num_steps: steps of the whole run; num_steps - first_step is a multiple of S
    steps_per_dispatch: S
    batches_per_step: K
    batch_size: G, over all devices and processes
    num_devices: D, of this process
    process_index: p
    process_count: processes of the run
    indices_only: yield {'index': int32 [D, S, K, B]}, the indices of the images in the data set, instead

  Returns:
    An iterator of {'image': uint8 [D, S, K, B, H, W, C], 'label': int32 [D, S, K, B]}, read-only.

  Raises:
    UserError: the batch cannot be divided equally among the devices.
  """
  if batch_size % (num_devices * process_count):
    raise UserError(f'config.batch_size is {batch_size}; expected a multiple of '
                    f'{num_devices * process_count}, the number of devices of all processes')
  if (num_steps - first_step) % steps_per_dispatch:
    raise ValueError(f'{first_step} to {num_steps} is not a multiple of {steps_per_dispatch} steps per dispatch')
  tf = tensorflow()
  step_size = batches_per_step * batch_size
  offsets = _offsets((steps_per_dispatch, batches_per_step, process_count, num_devices, -1),
                     steps_per_dispatch * step_size, process_index)
  serve = _as_indices if indices_only else _gatherer(dataset)

  @tf.autograph.experimental.do_not_convert   # there is nothing to convert, and autograph would write files into /tmp
  def dispatch(step):
    rows = stream_indices(step * step_size + offsets.ravel(), seed=seed, size=len(dataset.images))
    return serve(tf.reshape(rows, offsets.shape))

  steps = tf.data.Dataset.range(first_step, num_steps, steps_per_dispatch)
  return steps.map(dispatch).prefetch(_READY).with_options(_options(tf)).as_numpy_iterator()


def take(dataset: Dataset, count: int, seed: int) -> tuple[UInt8[np.ndarray, 'n H W C'], Int[np.ndarray, ' n']]:
  """A random sample without replacement, the same at every call; all images, shuffled, if there are fewer.

  Returns:
    images uint8 [n, H, W, C], labels int32 [n], where n = min(count, N)
  """
  size = len(dataset.images)
  before_the_first_epoch = np.arange(min(count, size)) - size
  rows = stream_indices(before_the_first_epoch, seed=seed, size=size).numpy()
  return np.asarray(dataset.images)[rows], dataset.labels[rows]


def stream_indices(positions: np.ndarray, *, seed: int, size: int) -> Any:
  """The index of the image at each position of the endless stream.

  Epoch e covers the positions e N to (e + 1) N - 1, and every image once. Its order is a permutation of [0, N)
  that is computed index by index (a format-preserving block cipher), keyed by Philox numbers of (seed, e):
  the cipher may use only 8 bits of each word of its key, so the epoch number as key would repeat after 256.

  Args:
    positions: int64 [n]
    seed: int
    size: N

  Returns:
    int64 [n] tensor of indices into the data set
  """
  tf = tensorflow()
  epochs = positions // size
  first = tf.reduce_min(epochs)
  keys = tf.map_fn(
      lambda epoch: tf.random.stateless_uniform((3,), (seed, epoch), None, None, tf.int64, alg='philox'),
      tf.range(first, tf.reduce_max(epochs) + 1))
  # the raw operation, because tf.random.experimental.index_shuffle fixes the rounds and takes no key per index
  return tf.raw_ops.RandomIndexShuffle(
      index=positions % size, seed=tf.gather(keys, epochs - first),
      max_index=tf.constant(size - 1, tf.int64), rounds=_ROUNDS)


def _offsets(shape, count, process_index):
  """Positions of this process's rows in a dispatch of shape [S, K, processes, D, B]: int64 [D, S, K, B]."""
  positions = np.arange(count, dtype=np.int64).reshape(shape)
  return np.moveaxis(positions[:, :, process_index], 2, 0)


def _gatherer(dataset):
  """A function from a tensor of indices [...] to tensors {'image': [..., H, W, C], 'label': [...]}."""
  tf = tensorflow()
  images = np.ascontiguousarray(dataset.images)   # else np.take would copy all images at every call
  labels = dataset.labels

  def gather(indices):
    out = _aligned_empty((*indices.shape, *images.shape[1:]))
    np.take(images, indices, axis=0, out=out, mode='clip')   # the default mode would use a temporary buffer
    return out, labels[indices]

  def serve(indices):
    image, label = tf.numpy_function(gather, [indices], (tf.uint8, tf.int32), stateful=False)
    return {'image': image, 'label': label}

  return serve


def _as_indices(indices):
  return {'index': tensorflow().cast(indices, 'int32')}


def _aligned_empty(shape):
  """A uint8 array aligned to 64 bytes, which TensorFlow uses without a copy."""
  num_bytes = int(np.prod(shape))
  buffer = np.empty(num_bytes + 64, np.uint8)
  start = -buffer.ctypes.data % 64
  return buffer[start:start + num_bytes].reshape(shape)


def _options(tf):
  """Options with a single thread: training needs the same cores."""
  options = tf.data.Options()
  options.threading.private_threadpool_size = 1
  options.threading.max_intra_op_parallelism = 1
  options.autotune.enabled = False
  options.deterministic = True
  return options
