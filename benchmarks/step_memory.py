"""A training step's memory: the compiler's estimate and what a process grows by. python -m benchmarks.step_memory

Three steps of each config on noise, each in a process of its own, on a CPU under Linux. The estimate is the one that a
run prints at its start. What is used: the state and the batch, plus the growth of the peak resident memory during the
steps. The process itself takes about 8 MB more with the first step, so networks of a few MB are not compared.
"""

import argparse
from pathlib import Path
import re
import subprocess
import sys

from flax import jax_utils
import jax
import numpy as np

from jgen import families
from jgen.data.spec import Dataset, Spec
from jgen.host import runtime
from jgen.run import config_file
from jgen.training import cost, feed, step

BATCHES = {'vae_celeba': 32, 'dcgan_bitmoji': 64, 'wgan_svhn': 32}   # {config: images}


def status(name):
  """A size of /proc/self/status in bytes."""
  return int(re.search(rf'{name}:\s+(\d+)', Path('/proc/self/status').read_text())[1]) * 1024


def nbytes(tree):
  return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def measure(name, batch_size):
  """(estimated, used) bytes of a step of the config `name`."""
  runtime.prepare()
  runtime.start_jax()
  config, rng = config_file.load(name), np.random.default_rng(0)
  size = config.data.image_size
  images = rng.integers(0, 256, (500, size, size, 3), np.uint8)
  dataset = Dataset(Spec('noise', images.shape[1:], 10), images, rng.integers(0, 10, 500, np.int32), 'noise')
  family = families.create(config, dataset.spec)
  state = jax_utils.replicate(family.init_from_data(jax.jit(family.init)(jax.random.key(0)), dataset))
  shapes, key = feed.shapes(dataset, 1, family.batches_per_step, batch_size), jax.random.key(0)
  dispatch = step.make_dispatch(family)
  compiled = step.compiled_dispatch(dispatch, state, shapes, key)
  estimated = cost.of(dispatch, compiled, state, shapes, key).memory
  batches = {name: rng.integers(0, 10, shape.shape, shape.dtype) for name, shape in shapes.items()}
  held = nbytes(state) + nbytes(batches)
  Path('/proc/self/clear_refs').write_text('5')   # the peak counts from here
  before = status('VmRSS')
  for _ in range(3):
    state, metrics = compiled(state, batches, key)
    jax.block_until_ready(metrics)
  return estimated, held + status('VmHWM') - before


def main(argv):
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--config', choices=BATCHES, help='measures this one in this process')
  options = parser.parse_args(argv)
  if options.config:
    estimated, used = measure(options.config, BATCHES[options.config])
    print(f'| {options.config} | {BATCHES[options.config]} | {estimated / 1e6:.0f} MB | {used / 1e6:.0f} MB '
          f'| {used / estimated:.2f} |', flush=True)
    return
  print('| config | batch | estimated | used | ratio |\n|---|---|---|---|---|', flush=True)
  for name in BATCHES:
    subprocess.run([sys.executable, '-m', 'benchmarks.step_memory', f'--config={name}'], check=True)


if __name__ == '__main__':
  main(sys.argv[1:])
