"""Times the input pipeline of training: python -m benchmarks.data

Serving: what the pipeline gathers, at random, out of memory, against plain copies of as many bytes that lie in one
piece, into new memory, as a batch that is handed out needs it, and to one place, which for a small batch is the
processor's cache. They take turns, so that a machine whose speed drifts is the same for all; medians are printed.

Preparing, where --dir=FOLDER holds CelebA (or another, --data=NAME): images a second from the published files to the
prepared cache, against nothing but reading and decoding the same JPEG files in TensorFlow, in as many threads as are
of use; and the same of processor time, which on a machine that is shared says more. Here the best of the rounds counts,
for decoding is to be a limit, and some of its rounds take twice as long.
"""

import argparse
import itertools
import os
from pathlib import Path
import statistics
import tempfile
import time

import numpy as np

IMAGE_SHAPE = (64, 64, 3)


def noise(num_images):
  from jgen.data.spec import Dataset, Spec
  images = np.random.default_rng(0).integers(0, 256, (num_images, *IMAGE_SHAPE), np.uint8)
  return Dataset(Spec('noise', IMAGE_SHAPE), images, np.zeros(num_images, np.int32), 'noise')


def serving(dataset, batch_size, num_bytes):
  """Seconds for each of endlessly many turns, in which batches of `num_bytes` in all are served."""
  from jgen.data import pipeline
  turn = num_bytes // dataset.images[:batch_size].nbytes
  batches = pipeline.batches(dataset, seed=0, first_step=0, num_steps=10**6, steps_per_dispatch=1, batches_per_step=1,
                             batch_size=batch_size, num_devices=1)
  while True:
    yield timed(lambda: [next(batches) for _ in range(turn)])


def copying(dataset, batch_size, num_bytes, copy):
  """The same for `copy` of batches that lie one behind the other."""
  turn = num_bytes // dataset.images[:batch_size].nbytes
  starts = itertools.cycle(range(0, len(dataset.images) - batch_size + 1, batch_size))
  while True:
    yield timed(lambda: [copy(dataset.images[start:start + batch_size]) for start in itertools.islice(starts, turn)])


def timed(work):
  start = time.perf_counter()
  work()
  return time.perf_counter() - start


def both_times(work):
  """(seconds of the clock, seconds of all cores) that `work` takes."""
  start = time.process_time()
  return timed(work), time.process_time() - start


def compare(dataset, batch_size, rounds, num_bytes=400_000_000):
  """Prints a line: gigabytes and images a second that are served, and gigabytes a second that are copied."""
  place = np.zeros_like(dataset.images[:batch_size])
  turn = num_bytes // dataset.images[:batch_size].nbytes * dataset.images[:batch_size].nbytes
  sides = [serving(dataset, batch_size, num_bytes), copying(dataset, batch_size, num_bytes, np.copy),
           copying(dataset, batch_size, num_bytes, lambda batch: np.copyto(place, batch))]
  rows = [[next(side) for side in sides] for _ in range(rounds + 1)][1:]
  served, copied, to_one_place = (turn / statistics.median(column) / 1e9 for column in zip(*rows, strict=True))
  print(f'{batch_size:>6} {served:>12.2f} {served * 1e9 / dataset.images[0].nbytes:>12,.0f} {copied:>12.2f} '
        f'{to_one_place:>18.2f}', flush=True)


def compare_preparing(name, folder, image_size, rounds):
  """Prints two lines: images that are prepared, and that are decoded, a second of the clock and of all cores' work."""
  paths = sorted(path for path in Path(folder).expanduser().rglob('*') if path.suffix.lower() in ('.jpg', '.jpeg'))
  rows = [(preparing(name, folder, image_size), decoding(paths)) for _ in range(rounds + 1)][1:]
  print(f'{name:>16} {"prepared/s":>12} {"decoded/s":>12} {"decoded/prepared":>18}')
  for n, what in enumerate(('clock', 'processor')):
    prepared = max(count / seconds[n] for (count, seconds), _ in rows)
    decoded = max(len(paths) / seconds[n] for _, seconds in rows)
    print(f'{what:>16} {prepared:>12,.0f} {decoded:>12,.0f} {decoded / prepared:>18.2f}')


def preparing(name, folder, image_size):
  """(images, their `both_times`) of a preparation into a cache that is thrown away."""
  from jgen import data, recipes
  section = recipes.base().data
  with tempfile.TemporaryDirectory() as scratch:
    section.update(name=name, dir=str(folder), image_size=image_size, cache_dir=scratch)
    prepared = []
    seconds = both_times(lambda: prepared.extend(data.load(section).labels))
    return len(prepared), seconds


def decoding(paths):
  """`both_times` of reading and decoding at their fastest: in TensorFlow alone, out of order, in its own threads."""
  from jgen.data.host import tensorflow
  tf = tensorflow()
  decode = lambda path: tf.reduce_sum(tf.cast(tf.io.decode_jpeg(tf.io.read_file(path), channels=3)[0, 0], tf.int32))
  decoded = tf.data.Dataset.from_tensor_slices([str(path) for path in paths]).map(
      decode, num_parallel_calls=2 * os.cpu_count(), deterministic=False).batch(256)
  return both_times(lambda: [None for _ in decoded])


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--batches', type=int, nargs='+', default=[128, 3200], help='images a batch')
  parser.add_argument('--images', type=int, default=40_000, help='images of 64x64x3 in memory')
  parser.add_argument('--rounds', type=int, default=7, help='timed turns of each side')
  parser.add_argument('--data', default='celeba', help='what is prepared')
  parser.add_argument('--dir', help='folder with its published files; without it, nothing is prepared')
  parser.add_argument('--size', type=int, default=64, help='pixels of a side, prepared')
  arguments = parser.parse_args()
  from jgen.host import runtime
  runtime.prepare()
  dataset = noise(arguments.images)
  print(f'{"batch":>6} {"served GB/s":>12} {"images/s":>12} {"copied GB/s":>12} {"to one place GB/s":>18}')
  for batch_size in arguments.batches:
    compare(dataset, batch_size, arguments.rounds)
  if arguments.dir:
    compare_preparing(arguments.data, arguments.dir, arguments.size, rounds=5)


if __name__ == '__main__':
  main()
