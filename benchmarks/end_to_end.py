"""From the command to the first step and on to the end of a short run: what each phase takes, cold and warm.

  python -m benchmarks.end_to_end --data=FOLDER [--systems=quickstart,vae_celeba] [--output=FOLDER]

A cold start finds nothing: no prepared images, no compiled programs. A warm one is the same command after it, in
another run folder. Each run trains a few steps, draws, evaluates once and writes its figures. Seconds are of the clock
and, in brackets, of the process's CPU time: on a shared machine the latter tell more. Prints a Markdown table
and writes it, with the numbers as JSON, to the output folder. FOLDER holds the data sets, a folder each as in DATA.
"""

import argparse
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import threading
import time

from benchmarks.output import tell

ROOT = Path(__file__).parent.parent
DATA = {'quickstart': '', 'vae_celeba': 'celeba', 'dcgan_bitmoji': 'bitmoji', 'wgan_svhn': 'svhn'}
STEPS = {'quickstart': 100}                # of a run; of others SHORT
SHORT = 4
BATCH = {'dcgan_bitmoji': 64, 'wgan_svhn': 64}   # instead of what needs a GPU
# Phase: how its end is seen, a word of a line or a file.
PHASES = {'import and images': 'devices:', 'set-up': 'compiling the training step', 'compiling the step': 'GFLOP',
          'first samples': 'samples/step_00000000.png', 'first step': 'metrics.csv',
          'first evaluation': 'evaluation/*.json', 'figures and the rest': ''}


def arguments(system, data, folder):
  """The command line of a short run."""
  steps = STEPS.get(system, SHORT)
  line = [sys.executable, 'launch.py', f'--config={system}', f'--workdir={folder}', f'--config.num_steps={steps}',
          f'--config.log_every_steps={steps // 4 or 1}', f'--config.evaluate_every_steps={steps}',
          f'--config.sample_every_steps={steps}', f'--config.checkpoint_every_steps={steps}',
          '--config.evaluators_at_end=()', '--config.checkpoints.best_metric=', '--config.report=False']
  line += [f'--config.batch_size={BATCH[system]}'] if system in BATCH else []
  return line + ([f'--config.data.dir={Path(data) / DATA[system]}'] if DATA[system] else [])


def cpu_seconds(pid):
  """CPU time of a process so far; None where it has ended."""
  try:
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
  except OSError:
    return None
  return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def run(command, folder, cache):
  """{phase: (seconds, CPU seconds)} of a run in a process of its own."""
  env = {**os.environ, 'XDG_CACHE_HOME': str(cache)}
  start, lines, marks, spent = time.monotonic(), [], {}, 0.
  process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
  reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, '')), daemon=True)
  reader.start()
  while process.poll() is None:
    spent = cpu_seconds(process.pid) or spent
    for phase, mark in PHASES.items():
      if phase not in marks and mark and seen(mark, lines, folder):
        marks[phase] = time.monotonic() - start, spent
    time.sleep(0.02)
  reader.join()
  if process.returncode:
    raise SystemExit(f'{" ".join(command)} failed:\n' + ''.join(lines[-5:]))
  marks['figures and the rest'] = time.monotonic() - start, spent
  return durations(marks)


def seen(mark, lines, folder):
  """Whether a line has the word, or the file is there and has an entry."""
  if '.' not in mark:
    return any(mark in line for line in lines)
  return any(path.suffix != '.csv' or path.read_text().count('\n') > 1 for path in Path(folder).glob(mark))


def durations(marks):
  """{phase: (seconds, CPU seconds)} of {phase: (seconds, CPU seconds) from the start to its end}, and 'all'."""
  ends = sorted(marks.items(), key=lambda item: item[1])
  before, spent = (0., 0.), {}
  for phase, end in ends:
    spent[phase] = tuple(now - then for now, then in zip(end, before, strict=True))
    before = end
  until = marks.get('first step', before)
  return {**spent, 'until the first step is done': until, 'all': before}


def table(results):
  """The Markdown table of {system: {'cold' or 'warm': {phase: (seconds, CPU seconds)}}}."""
  columns = [(system, kind) for system, kinds in results.items() for kind in kinds]
  rows = [['phase', *(f'{system} {kind}' for system, kind in columns)], ['---'] * (len(columns) + 1)]
  for phase in [*PHASES, 'until the first step is done', 'all']:
    cells = [results[system][kind].get(phase) for system, kind in columns]
    rows.append([phase, *('' if cell is None else '{:.1f} ({:.1f})'.format(*cell) for cell in cells)])
  return '\n'.join('| ' + ' | '.join(row) + ' |' for row in rows) + '\n'


def main(argv):
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--data', default='.')
  parser.add_argument('--systems', default=','.join(DATA))
  parser.add_argument('--output', default='')
  options = parser.parse_args(argv)
  results = {}
  with tempfile.TemporaryDirectory() as scratch:
    for system in options.systems.split(','):
      for kind in ('cold', 'warm'):
        folder = Path(scratch) / f'{system}_{kind}'
        results.setdefault(system, {})[kind] = run(
            arguments(system, options.data, folder), folder, Path(scratch) / f'cache_{system}')
        print(system, kind, 'done', flush=True)
  tell('end_to_end', table(results), results, options.output)


if __name__ == '__main__':
  main(sys.argv[1:])
