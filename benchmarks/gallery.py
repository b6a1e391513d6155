"""Trains and evaluates every system in a given time: python -m benchmarks.gallery --minutes=60 --data=DIR

DIR holds one folder of images per data set (`celeba`, `svhn`, ...) in the published layouts. Each system gets a share
of the time. When its share is over it is stopped, saved, and evaluated with the evaluators of its config; --jobs
systems are trained in parallel. The same command again skips the systems that are finished and resumes the others. On
a CPU, networks and batches are smaller than in the configs: `gallery_systems.py` lists the overrides, and the command
of each row shows them.

The table is written to RUNS/results.md and RUNS/results.json, the pictures to RUNS/pictures. With
--page=docs/results.md the rows of the systems in RUNS also replace those of that page, between its two markers; its
other rows stay. --from=RUNS writes the table of existing runs and trains nothing.

On one GPU, `--minutes=12 --jobs=4` is meant to cover all systems; this has only been run on CPUs so far.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

from benchmarks import gallery_table
from benchmarks.gallery_systems import EVALUATORS, LARGE, SMALL, SYSTEMS
from jgen.errors import UserError
from jgen.host.files import write_text

ROOT = Path(__file__).parent.parent
NOTE = gallery_table.NOTE
TRAINED = 0.7                           # share of a system's time spent on training; the rest is for evaluation
LEAST = 5                               # seconds; with less, a system is not started
GRACE = 180                             # seconds a stopped run may take to save
_LOOK = ('import jax; d = jax.devices(); print(d[0].platform, len(d), d[0].device_kind, sep="|")')


class Clock:
  """Divides the time among the systems that are not trained yet, in proportion to their weights."""

  def __init__(self, seconds, jobs, weights):
    self._end, self._jobs, self._waiting = time.monotonic() + seconds, jobs, dict(weights)
    self._busy = {}                     # {running system: when its share ends}
    self._lock = threading.Lock()

  def begin(self, name):
    """Seconds for this system: its share of the time left, less what the running systems still have."""
    with self._lock:
      now, total = time.monotonic(), sum(self._waiting.values())
      left = self._jobs * (self._end - now) - sum(max(end - now, 0) for end in self._busy.values())
      share = max(left, 0) * self._waiting.pop(name) / total
      self._busy[name] = now + share
      return share

  def finish(self, name):
    with self._lock:
      self._busy.pop(name, None)


@dataclasses.dataclass
class Gallery:
  """All systems, each in its own run folder."""

  folder: Path
  data: Path
  about: dict                           # see gallery_table.read_about()
  small: bool                           # use the overrides for a CPU
  hardware: str
  jobs: int
  stopping: threading.Event = dataclasses.field(default_factory=threading.Event)
  processes: set = dataclasses.field(default_factory=set)   # child processes that are running
  failed: list = dataclasses.field(default_factory=list)    # names of systems

  def stop(self, *signal_and_frame):
    """Stops and saves the running systems and starts no other; a signal handler."""
    del signal_and_frame
    self.stopping.set()
    for process in tuple(self.processes):
      process.terminate()

  def run(self, names, minutes):
    """Trains and evaluates the systems that are not done. A failure is printed and recorded; the others continue."""
    todo = [name for name in names if not self.note(name).get('done')]
    clock = Clock(60 * minutes, self.jobs, {name: SYSTEMS[name].weight for name in todo})
    over = {name: threading.Event() for name in todo}
    with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
      waiting = [pool.submit(self.one, name, clock, over) for name in todo]
      for count, future in enumerate(concurrent.futures.as_completed(waiting), len(names) - len(todo) + 1):
        print(f'{time.strftime("%H:%M:%S")} {count} of {len(names)}: {future.result()}', flush=True)

  def one(self, name, clock, over):
    """Trains and evaluates one system; returns one line about the outcome."""
    try:
      if SYSTEMS[name].needs in over:
        over[SYSTEMS[name].needs].wait()
      return f'{name}: {self.train_and_measure(name, clock.begin(name))}'
    finally:
      clock.finish(name)
      over[name].set()

  def train_and_measure(self, name, seconds):
    """Trains and evaluates one system and records how long it took; returns the outcome in words."""
    if self.stopping.is_set():
      return 'not started'
    if TRAINED * seconds < LEAST:
      return 'not started, as no time is left; repeat the command, or give more --minutes'
    system, note = SYSTEMS[name], self.note(name)
    run = self.folder / (system.needs or name)
    mode = ['--mode=prior'] if system.needs else [f'--config={ROOT}/configs/{system.config}.py', *self.overrides(name)]
    print(f'{time.strftime("%H:%M:%S")} {name}: {TRAINED * seconds:.0f} s of training', flush=True)
    start = time.monotonic()
    status, stopped = self.launch(name, [*mode, f'--workdir={run}'], TRAINED * seconds)
    trained = time.monotonic()
    if stopped and not system.needs and not any((run / 'checkpoints').glob('[0-9]*')):
      return f'stopped after {trained - start:.0f} s, before its first step; repeat the command, or give more --minutes'
    if not status and stopped and not system.needs and not self.stopping.is_set():
      status, _ = self.launch(name, ['--mode=evaluate', f'--workdir={run}'])
    if status:                          # without a note: a file in a folder without a run would keep it from starting
      self.failed.append(name)
      return f'failed: {last_line(self.log(name))}'
    note |= {'seconds': round(note.get('seconds', 0) + trained - start), 'hardware': self.hardware,
             'done': not self.stopping.is_set(), 'evaluation_seconds': round(time.monotonic() - trained)}
    write_text(self.note_path(name), json.dumps(note, indent=2) + '\n')
    return f'trained for {trained - start:.0f} s, evaluated in {note["evaluation_seconds"]} s'

  def overrides(self, name):
    """Command line flags for its data, sizes and evaluators."""
    system = SYSTEMS[name]
    about = self.about['data'].get(system.data, {})
    folder = about.get('folder') or system.data and self.data / system.data
    keys = {**({'data.dir': folder} if folder else {}), **about.get('config', {})}
    keys |= {**SMALL, **system.small} if self.small else {**LARGE, **system.large}
    flags = [f'--config.{key}={value}' for key, value in keys.items()]
    return flags + ([f'--evaluators={",".join(EVALUATORS[name])}'] if name in EVALUATORS else [])

  def launch(self, name, arguments, seconds=None):
    """Runs launch.py for at most `seconds`, output to a log file; returns (exit status, whether it was stopped)."""
    self.log(name).parent.mkdir(parents=True, exist_ok=True)
    with self.log(name).open('a') as log:
      process = subprocess.Popen([sys.executable, ROOT / 'launch.py', *map(str, arguments)], stdout=log, stderr=log,
                                 cwd=ROOT, env=self.environment())
      self.processes.add(process)
      try:
        return process.wait(seconds), False
      except subprocess.TimeoutExpired:
        return stopped(process), True
      finally:
        self.processes.remove(process)

  def environment(self):
    """Environment variables of a run: a shared compilation cache, and a share of the GPU's memory."""
    return {'JAX_COMPILATION_CACHE_DIR': str(self.folder / 'compiled'),
            'XLA_PYTHON_CLIENT_MEM_FRACTION': f'{0.9 / self.jobs:.2f}', **os.environ}

  def log(self, name):
    return self.folder / 'logs' / f'{name}.log'

  def note_path(self, name):
    return self.folder / (f'{SYSTEMS[name].needs}/priors/{NOTE}' if SYSTEMS[name].needs else f'{name}/{NOTE}')

  def note(self, name):
    path = self.note_path(name)
    return json.loads(path.read_text()) if path.exists() else {}


def stopped(process):
  """Asks a process to save and exit, kills it after GRACE seconds, and returns its exit status."""
  process.terminate()
  with contextlib.suppress(subprocess.TimeoutExpired):
    return process.wait(GRACE)
  process.kill()
  return process.wait()


def last_line(path):
  lines = path.read_text(errors='replace').strip().splitlines()
  return lines[-1] if lines else 'no output'


def look():
  """(whether JAX runs on a CPU, description of the hardware), asked of a child process so that it holds no device."""
  out = subprocess.run([sys.executable, '-c', _LOOK], capture_output=True, text=True, check=True).stdout
  platform, count, kind = out.strip().splitlines()[-1].split('|')
  cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
  return platform == 'cpu', f'{cores} CPU core{"s" * (cores > 1)}' if platform == 'cpu' else f'{count} {kind}'


def arguments(argv):
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--minutes', type=float, default=60., help='total time for all systems')
  parser.add_argument('--data', type=Path, help='folder with a folder of images for each data set')
  parser.add_argument('--runs', type=Path, default=Path('runs/gallery'), help='folder for the run folders')
  parser.add_argument('--from', dest='existing', type=Path, help='write the table of these runs; train nothing')
  parser.add_argument('--about', type=Path, help='JSON file with descriptions; see gallery_table.read_about()')
  parser.add_argument('--page', type=Path, help='Markdown page with the two markers for the table')
  parser.add_argument('--systems', default='', help='comma-separated names; default: all')
  parser.add_argument('--jobs', type=int, default=1, help='number of systems trained in parallel')
  parser.add_argument('--hardware', default='', help='description of the hardware; default: from JAX')
  return parser.parse_args(argv)


def main(argv=None):
  given = arguments(argv)
  asked = [name for name in given.systems.split(',') if name]
  unknown = [name for name in asked if name not in SYSTEMS]
  if unknown:
    raise UserError(f"unknown system '{unknown[0]}' in --systems; available: {', '.join(SYSTEMS)}")
  names = [name for name in SYSTEMS if name in asked or not asked]
  about = gallery_table.read_about(given.about)
  folder = (given.existing or given.runs).absolute()
  if not given.existing:
    if not given.data:
      raise UserError('--data is missing; give the folder with one folder of images per data set')
    small, hardware = look()
    gallery = Gallery(folder, given.data.absolute(), about, small, given.hardware or hardware, given.jobs)
    for number in (signal.SIGINT, signal.SIGTERM):
      signal.signal(number, gallery.stop)
    gallery.run(names, given.minutes)
  gallery_table.write(folder, names, about, given.page)
  if not given.existing and gallery.failed:
    raise UserError(f'{len(gallery.failed)} of {len(names)} systems failed: {", ".join(gallery.failed)}; the '
                    f'reasons are in {folder}/logs; the same command tries them again')


if __name__ == '__main__':
  try:
    main()
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)
