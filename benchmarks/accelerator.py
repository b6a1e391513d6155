"""Images per second of each system on one accelerator, against PyTorch: python -m benchmarks.accelerator --out=FOLDER

Each case runs in a process of its own: compilation, a warm-up, then whole dispatches for --seconds. Results go to
FOLDER/accelerator.json after every case and, as a table, to FOLDER/accelerator.md; what the time did not suffice for is
in the table as such. Without an accelerator it runs on the CPU, slowly.
PyTorch: pip install -e '.[benchmark]'.
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path
import subprocess
import sys
import time

from benchmarks.train_step import IMAGE_SHAPE, NUM_CLASSES, SYSTEMS, config_of

# Dense matrix rates in TFLOP/s by precision, from the makers' data sheets; a float32 product is one of TF32 there.
PEAKS = {'H200': {'float32': 494., 'bfloat16': 989.}, 'H100': {'float32': 494., 'bfloat16': 989.},
         'A100': {'float32': 156., 'bfloat16': 312.}, 'L4': {'float32': 60., 'bfloat16': 121.}}
BATCHES = {'wgan': 3_200, 'dcgan': 3_200, 'acgan': 128, 'infogan': 128, 'vae_celeba': 32, 'vae_gaussian': 100,
           'vqvae': 128}               # as in the configs of these systems


@dataclasses.dataclass(frozen=True)
class Case:
  """One way to train one system."""

  system: str
  side: str = 'jgen'                    # or 'torch'
  precision: str = 'float32'
  steps_per_dispatch: int = 1
  on_device: bool = False               # whether the images lie in the device's memory
  num_seeds: int = 1                    # trained in one step
  deterministic: bool = False           # whether XLA may choose only kernels that add in a fixed order


def cases(systems):
  """What is measured, what matters most first."""
  first = [Case(system, precision=precision) for precision in ('float32', 'bfloat16') for system in systems]
  torch = [Case(system, 'torch', precision) for precision in ('float32', 'bfloat16') for system in systems]
  ways = [case for system in systems for case in (
      Case(system, steps_per_dispatch=10, on_device=True), Case(system, num_seeds=8))]
  return [*first, *torch, *ways, *(Case(system, deterministic=True) for system in systems)]


def measure(case, config, seconds, image_shape=IMAGE_SHAPE):
  """{'images_per_second', 'compile_seconds', 'gflop_per_step', 'waited', 'device'} of a case of jgen.

  Args:
    config: of the system, with the batch size to measure
    seconds: how long steps are counted, after the first dispatch
    image_shape: (H, W, C)
  """
  import jax

  from jgen.training import cost, feed, seeds, step
  dataset, family, state = begin(config, image_shape, case.num_seeds)
  dispatch = step.make_dispatch(family, precision=(case.precision,), seeds=case.num_seeds)
  shapes = feed.shapes(dataset, case.steps_per_dispatch, family.batches_per_step, config.batch_size, case.num_seeds)
  arguments, start = (state, shapes, seeds.keys_of(range(case.num_seeds))), time.perf_counter()
  compiled = step.compiled_dispatch(dispatch, *arguments)
  compile_seconds = time.perf_counter() - start
  batches = feed.batches(
      dataset, on_device=case.on_device, seeds=range(case.num_seeds), first_step=0,
      num_steps=10**6 * case.steps_per_dispatch,
      steps_per_dispatch=case.steps_per_dispatch, batches_per_step=family.batches_per_step,
      batch_size=config.batch_size)
  state, metrics = compiled(state, next(batches), arguments[2])
  jax.block_until_ready(metrics)
  dispatches, waited, start = 0, 0., time.perf_counter()
  while time.perf_counter() - start < seconds:
    before = time.perf_counter()
    batch = next(batches)
    waited += time.perf_counter() - before
    state, metrics = compiled(state, batch, arguments[2])
    dispatches += 1
    if dispatches % 4 == 0:             # some are always on their way, as in training
      jax.block_until_ready(metrics)
  jax.block_until_ready(metrics)
  elapsed = time.perf_counter() - start
  images = dispatches * case.steps_per_dispatch * family.batches_per_step * config.batch_size * case.num_seeds
  return {'images_per_second': images / elapsed, 'compile_seconds': compile_seconds, 'waited': waited / elapsed,
          'gflop_per_step': cost.of(dispatch, compiled, *arguments).flops / 1e9,
          'steps_per_second': dispatches * case.steps_per_dispatch / elapsed, 'device': jax.devices()[0].device_kind}


def begin(config, image_shape, num_seeds):
  """(random images as a Dataset, family, replicated state) of a config, of all seeds."""
  from flax import jax_utils
  import jax
  import numpy as np

  from jgen import families
  from jgen.data.spec import Dataset, Spec
  from jgen.training import seeds
  rng, count = np.random.default_rng(0), max(2_000, 2 * config.batch_size)
  dataset = Dataset(Spec('noise', image_shape, NUM_CLASSES), rng.integers(0, 256, (count, *image_shape), np.uint8),
                    rng.integers(0, NUM_CLASSES, count, np.int32), 'noise')
  family = families.create(config, dataset.spec)
  state = family.init_from_data(jax.jit(family.init)(jax.random.key(0)), dataset)
  return dataset, family, jax_utils.replicate(seeds.stacked([state] * num_seeds))


def measure_torch(case, config, seconds):
  """The same of a compiled PyTorch step on a fixed batch: channels last, TF32 or automatic bfloat16."""
  import torch

  from benchmarks.trainers import TRAINERS
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
  torch.backends.cudnn.benchmark = True
  torch.set_default_device(device)
  trainer = TRAINERS[config.family](config.model, NUM_CLASSES)
  shape = (trainer.batches_per_step, config.batch_size)
  images, labels = torch.rand(*shape, 3, *IMAGE_SHAPE[:2]) * 2 - 1, torch.randint(0, NUM_CLASSES, shape)
  step, start = torch.compile(trainer.step), time.perf_counter()
  wait = torch.cuda.synchronize if device == 'cuda' else lambda: None
  def run():
    with torch.autocast(device, torch.bfloat16, enabled=case.precision == 'bfloat16'):
      step(images, labels)
  run(), run(), wait()
  compile_seconds, steps, start = time.perf_counter() - start, 0, time.perf_counter()
  while time.perf_counter() - start < seconds:
    run()
    steps += 1
    if steps % 4 == 0:
      wait()
  wait()
  elapsed = time.perf_counter() - start
  return {'images_per_second': steps * trainer.batches_per_step * config.batch_size / elapsed,
          'compile_seconds': compile_seconds, 'steps_per_second': steps / elapsed, 'waited': 0.}


def in_a_process(case, batch_size, seconds, limit):
  """What `measure` gives, or {'failed': why}, of a process that is ended after `limit` seconds."""
  env = dict(os.environ)
  if case.deterministic:
    env['XLA_FLAGS'] = env.get('XLA_FLAGS', '') + ' --xla_gpu_deterministic_ops=true'
  command = [sys.executable, '-m', 'benchmarks.accelerator', f'--case={json.dumps(dataclasses.asdict(case))}',
             f'--batch={batch_size}', f'--seconds={seconds}']
  try:
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=limit, check=False)
  except subprocess.TimeoutExpired:
    return {'failed': f'not done after {limit:.0f} s'}
  if done.returncode:
    return {'failed': (done.stderr.strip().splitlines() or ['no message'])[-1][:200]}
  return json.loads(done.stdout.splitlines()[-1])


def table(rows):
  """The results as Markdown: a line a case, with the share of the device's matrix rate where that is known."""
  lines = ['| system | batch | case | images/s | steps/s | of the peak | waiting for input | compilation |',
           '|---|---|---|---|---|---|---|---|']
  return '\n'.join([*lines, *map(line, rows)]) + '\n'


def line(row):
  case = Case(**row['case'])
  name = ', '.join(filter(None, [
      case.side, case.precision, f'{case.steps_per_dispatch} steps a dispatch' * (case.steps_per_dispatch > 1),
      'images on the device' * case.on_device, f'{case.num_seeds} seeds' * (case.num_seeds > 1),
      'deterministic' * case.deterministic]))
  begin = f'| {case.system} | {row["batch"]:,} | {name} | '
  if 'failed' in row:
    return begin + f'{row["failed"]} | | | | |'
  return begin + (f'{row["images_per_second"]:,.0f} | {row["steps_per_second"]:.3g} | {share_of_peak(row)} | '
                  f'{row["waited"]:.1%} | {row["compile_seconds"]:.0f} s |')


def share_of_peak(row):
  """Of the device's matrix rate, what the products of the steps are; '' where one of the two is not known."""
  peak = next((rates[row['case']['precision']] for chip, rates in PEAKS.items() if chip in row.get('device', '')), None)
  if peak is None or 'gflop_per_step' not in row:
    return ''
  return f'{row["gflop_per_step"] * row["steps_per_second"] / 1e3 / peak:.1%}'


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--systems', nargs='+', choices=SYSTEMS, default=list(SYSTEMS))
  parser.add_argument('--minutes', type=float, default=8., help='in all')
  parser.add_argument('--batch', type=int, help="images a batch; the systems' own without it")
  parser.add_argument('--out', type=Path, default=Path('accelerator'), help='folder for the results')
  parser.add_argument('--case', help=argparse.SUPPRESS)
  parser.add_argument('--seconds', type=float, default=4., help='that steps of a case are counted')
  arguments = parser.parse_args()
  if arguments.case:
    case = Case(**json.loads(arguments.case))
    if case.side == 'jgen':
      from jgen.host import runtime
      runtime.prepare()
      runtime.start_jax()
    config = config_of(case.system, arguments.batch)
    print(json.dumps((measure_torch if case.side == 'torch' else measure)(case, config, arguments.seconds)))
    return
  run(cases(arguments.systems), arguments)


def run(chosen, arguments):
  """Measures one case after the other until the time is over, and writes what there is after each."""
  arguments.out.mkdir(parents=True, exist_ok=True)
  end, rows = time.monotonic() + 60 * arguments.minutes, []
  for i, case in enumerate(chosen):
    batch, left = arguments.batch or BATCHES[case.system], end - time.monotonic()
    measured = {'failed': 'no time left'}
    if left > 10:
      measured = in_a_process(case, batch, arguments.seconds, left)
    rows.append({'case': dataclasses.asdict(case), 'batch': batch, **measured})
    print(f'{i + 1} of {len(chosen)}: {line(rows[-1])}', flush=True)
    (arguments.out / 'accelerator.json').write_text(json.dumps(rows, indent=2) + '\n')
    (arguments.out / 'accelerator.md').write_text(table(rows))


if __name__ == '__main__':
  main()
