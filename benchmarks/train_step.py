"""Times whole training steps against the same mathematics in PyTorch: python -m benchmarks.train_step

Each side runs in a process of its own, with its usual environment and as many threads as there are cores; the two
take turns step by step, so that a machine whose speed drifts is the same for both. Medians and their ratio are printed,
and the share of a step that training waits for its input. PyTorch: pip install -e '.[benchmark]'.
"""

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple


class System(NamedTuple):
  config: str                           # the module of its config
  batch_size: int                       # images a batch, unless --batch says otherwise


SYSTEMS = {
    'wgan': System('configs.wgan_svhn', 64),
    'dcgan': System('configs.cdcgan_svhn', 64),
    'acgan': System('configs.acgan_celeba_smiling', 64),
    'infogan': System('configs.infogan_celeba', 64),
    'vae_celeba': System('configs.vae_celeba', 32),
    'vae_gaussian': System('configs.vae_celeba_gaussian', 100),
    'vqvae': System('configs.vqvae_tiny_imagenet', 128),
}
NUM_CLASSES, IMAGE_SHAPE = 10, (64, 64, 3)


def config_of(system, batch_size):
  config = importlib.import_module(SYSTEMS[system].config).get_config()
  config.batch_size = batch_size
  return config


def jgen_steps(config):
  """An iterator that does a training step each time, fed by the pipeline; yields the seconds waited for input."""
  from flax import jax_utils
  import jax
  import numpy as np

  from jgen import families
  from jgen.data import pipeline
  from jgen.data.spec import Dataset, Spec
  from jgen.training.step import make_dispatch
  spec = Spec('noise', IMAGE_SHAPE, NUM_CLASSES)
  rng = np.random.default_rng(0)
  dataset = Dataset(spec, rng.integers(0, 256, (20_000, *IMAGE_SHAPE), np.uint8),
                    rng.integers(0, NUM_CLASSES, 20_000, np.int32), 'noise')
  family, key = families.create(config, spec), jax.random.key(0)
  state = jax_utils.replicate(family.init_from_data(jax.jit(family.init)(key), dataset))
  dispatch = make_dispatch(family)
  batches = pipeline.batches(
      dataset, seed=0, first_step=0, num_steps=100_000, steps_per_dispatch=1, batches_per_step=family.batches_per_step,
      batch_size=config.batch_size, num_devices=jax.local_device_count())
  while True:
    start = time.perf_counter()
    batch = next(batches)
    waited = time.perf_counter() - start
    state, metrics = dispatch(state, batch, key)
    jax.block_until_ready((state, metrics))
    yield waited


def torch_steps(config):
  """The same in PyTorch, on a fixed batch: it waits for no input."""
  import torch

  from benchmarks.trainers import TRAINERS
  torch.set_num_threads(os.cpu_count())
  trainer = TRAINERS[config.family](config.model, NUM_CLASSES)
  shape = (trainer.batches_per_step, config.batch_size)
  images = torch.rand(*shape, 3, 64, 64) * 2 - 1
  labels = torch.randint(0, NUM_CLASSES, shape)
  while True:
    trainer.step(images, labels)
    yield 0.


SIDES = {'jgen': jgen_steps, 'torch': torch_steps}


def serve(side, config):
  """Does a step for every line of standard input and answers with the seconds it took and waited."""
  steps = SIDES[side](config)
  for _ in sys.stdin:
    start = time.perf_counter()
    waited = next(steps)
    print(time.perf_counter() - start, waited, flush=True)


class Worker:
  """The other end of `serve`."""

  def __init__(self, side, system, batch_size):
    self._process = subprocess.Popen(
        [sys.executable, '-m', 'benchmarks.train_step', f'--side={side}', f'--systems={system}',
         f'--batch={batch_size}'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

  def step(self):
    """(seconds, seconds of it spent waiting for input) of one training step."""
    self._process.stdin.write('\n')
    self._process.stdin.flush()
    return tuple(map(float, self._process.stdout.readline().split()))

  def close(self):
    self._process.kill()
    self._process.wait()


def compare(system, batch_size, rounds, warmup=2):
  """Prints a line: median milliseconds of both, their ratio, and the input's share of jgen's step."""
  workers = {side: Worker(side, system, batch_size) for side in SIDES}
  times = {side: [] for side in SIDES}
  for i in range(warmup + rounds):
    for side, worker in workers.items():
      measured = worker.step()
      if i >= warmup:
        times[side].append(measured)
  for worker in workers.values():
    worker.close()
  median = {side: statistics.median(seconds for seconds, _ in rows) for side, rows in times.items()}
  ratios = sorted(b[0] / a[0] for a, b in zip(times['jgen'], times['torch'], strict=True))
  waited = sum(row[1] for row in times['jgen']) / sum(row[0] for row in times['jgen'])
  print(f'{system:<12} batch {batch_size:<3}  jgen {median["jgen"] * 1e3:7.0f} ms  '
        f'PyTorch {median["torch"] * 1e3:7.0f} ms  '
        f'PyTorch/jgen {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})  '
        f'waiting for input {waited:.1%}', flush=True)


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--systems', nargs='+', choices=SYSTEMS, default=list(SYSTEMS))
  parser.add_argument('--batch', type=int, help="images a batch; the system's own without it")
  parser.add_argument('--rounds', type=int, default=7, help='timed steps of each side')
  parser.add_argument('--side', choices=SIDES, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.side:
    if arguments.side == 'jgen':
      from jgen.host import runtime
      runtime.prepare()
      runtime.start_jax()
    serve(arguments.side, config_of(arguments.systems[0], arguments.batch))
    return
  for system in arguments.systems:
    compare(system, arguments.batch or SYSTEMS[system].batch_size, arguments.rounds)


if __name__ == '__main__':
  main()
