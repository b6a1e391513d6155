"""Images per second of the Inception features, against the same network in PyTorch: python -m benchmarks.inception

64x64 images, resized to 299x299 on the device, to 2,048 features; random weights. Each side runs in a process of its
own, with its usual environment and as many threads as there are cores, PyTorch channels last and without gradients; the
two take turns batch by batch. Medians and their ratio are printed. PyTorch: pip install -e '.[benchmark]'.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import numpy as np

SIZE = 64                               # pixels of a side of the images before they are resized


def weights():
  from benchmarks.inception_twin import randomized
  return randomized(0)


def jgen_side(images):
  """A function that computes the features of the images."""
  from jgen.evaluation.features.extractor import inception_extractor
  from jgen.networks.inception import weights as inception_weights
  params = inception_weights.from_state({name: tensor.numpy() for name, tensor in weights().items()}, 'random weights')
  extractor = inception_extractor(inception_weights.Weights(params, 'logits', ''), 'tf1', '2048', len(images))
  return lambda: extractor.features([images], ['2048'])['2048']


def torch_side(images):
  """The same in PyTorch."""
  import torch

  from benchmarks.inception_twin import Inception
  torch.set_num_threads(os.cpu_count())
  twin = Inception()
  twin.load_state_dict(weights())
  twin = twin.to(memory_format=torch.channels_last)
  batch = torch.tensor(images).permute(0, 3, 1, 2)
  resized = lambda: torch.nn.functional.interpolate(batch.float(), (299, 299), mode='bilinear')
  return lambda: twin(((resized() - 128) / 128).contiguous(memory_format=torch.channels_last))['2048']


SIDES = {'jgen': jgen_side, 'torch': torch_side}


def serve(side, batch_size):
  """Computes a batch for every line of standard input and answers with the seconds it took."""
  images = np.random.default_rng(0).integers(0, 256, (batch_size, SIZE, SIZE, 3), np.uint8)
  compute = SIDES[side](images)
  for _ in sys.stdin:
    start = time.perf_counter()
    compute()
    print(time.perf_counter() - start, flush=True)


def ask(worker):
  """The seconds of a batch, computed now by a process that serves."""
  worker.stdin.write('\n')
  worker.stdin.flush()
  return float(worker.stdout.readline())


def compare(batch_size, rounds, warmup=1):
  """Prints a line: images a second of both, by their median times, and the ratio of these."""
  workers = {side: subprocess.Popen(
      [sys.executable, '-m', 'benchmarks.inception', f'--side={side}', f'--batch={batch_size}'], text=True,
      stdin=subprocess.PIPE, stdout=subprocess.PIPE) for side in SIDES}
  rows = [{side: ask(worker) for side, worker in workers.items()} for _ in range(warmup + rounds)][warmup:]
  for worker in workers.values():
    worker.kill()
    worker.wait()
  median = {side: statistics.median(row[side] for row in rows) for side in SIDES}
  ratios = sorted(row['torch'] / row['jgen'] for row in rows)
  print(f'batch {batch_size}  jgen {batch_size / median["jgen"]:.1f} images/s  PyTorch '
        f'{batch_size / median["torch"]:.1f} images/s  PyTorch/jgen time {statistics.median(ratios):.2f} '
        f'({ratios[0]:.2f} to {ratios[-1]:.2f})', flush=True)


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--batch', type=int, default=32, help='images a batch')
  parser.add_argument('--rounds', type=int, default=5, help='timed batches of each side')
  parser.add_argument('--side', choices=SIDES, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.side:
    if arguments.side == 'jgen':
      from jgen.host import runtime
      runtime.prepare()
      runtime.start_jax()
    serve(arguments.side, arguments.batch)
  else:
    compare(arguments.batch, arguments.rounds)


if __name__ == '__main__':
  main()
