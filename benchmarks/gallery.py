"""Trains and measures every system in a given time: python -m benchmarks.gallery --minutes=60 --data=DIR

DIR holds a folder of images for each data set: `celeba`, `svhn` and so on, in the published layouts. Each system gets a
share of the time, is stopped and saved when it is over, and measured by the evaluators of its config; --jobs of them
are trained beside each other. What is done is left alone when the same command is given again, and what was stopped
goes on, so that a page can be filled in several sittings. On a CPU networks and batches are smaller than their
configs': `gallery_systems.py` says by how much, and the commands in the table show it.

The table goes to RUNS/results.md and results.json, the pictures to RUNS/pictures; with --page=docs/results.md also
between the two marks of that page, and beside it. --from=RUNS only tells of runs that are there.

On one GPU `--minutes=12 --jobs=4` is meant to fill the page; so far it has been run on CPUs alone.
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
from jgen.files import write_text

ROOT = Path(__file__).parent.parent
NOTE = gallery_table.NOTE
TRAINED = 0.7                           # share of a system's time that it is trained for; the rest is for measuring
GRACE = 180                             # seconds that a run may take to save
_LOOK = ('import jax; d = jax.devices(); print(d[0].platform, len(d), d[0].device_kind, sep="|")')


class Clock:
  """Shares the time among the systems that are still to be trained, by their weights."""

  def __init__(self, seconds, jobs, weights):
    self._end, self._jobs, self._waiting = time.monotonic() + seconds, jobs, dict(weights)
    self._busy = {}                     # {system: when its time will be over}
    self._lock = threading.Lock()

  def begin(self, name):
    """Seconds for this system: its share of what neither the past nor the systems under way take."""
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
  """All systems, each in a folder of its own."""

  folder: Path
  data: Path
  about: dict                           # see gallery_table.read_about()
  small: bool                           # whether the sizes are those for a CPU
  hardware: str
  jobs: int
  stopping: threading.Event = dataclasses.field(default_factory=threading.Event)
  processes: set = dataclasses.field(default_factory=set)   # that are under way

  def stop(self, *signal_and_frame):
    """Has the runs under way save and end, and starts no other."""
    del signal_and_frame
    self.stopping.set()
    for process in tuple(self.processes):
      process.terminate()

  def run(self, names, minutes):
    """Trains and measures the systems that are not done; a failure is told and noted, and the others go on."""
    todo = [name for name in names if not self.note(name).get('done')]
    clock = Clock(60 * minutes, self.jobs, {name: SYSTEMS[name].weight for name in todo})
    over = {name: threading.Event() for name in todo}
    with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
      waiting = [pool.submit(self.one, name, clock, over) for name in todo]
      for count, future in enumerate(concurrent.futures.as_completed(waiting), len(names) - len(todo) + 1):
        print(f'{time.strftime("%H:%M:%S")} {count} of {len(names)}: {future.result()}', flush=True)

  def one(self, name, clock, over):
    """A line on what became of a system."""
    try:
      if SYSTEMS[name].needs in over:
        over[SYSTEMS[name].needs].wait()
      return f'{name}: {self.train_and_measure(name, clock.begin(name))}'
    finally:
      clock.finish(name)
      over[name].set()

  def train_and_measure(self, name, seconds):
    """What became of it, in words; how long it took is added to its note."""
    if self.stopping.is_set():
      return 'left for the next time'
    system, note = SYSTEMS[name], self.note(name)
    run = self.folder / (system.needs or name)
    mode = ['--mode=prior'] if system.needs else [f'--config={ROOT}/configs/{system.config}.py', *self.overrides(name)]
    print(f'{time.strftime("%H:%M:%S")} {name}: {TRAINED * seconds:.0f} s of training', flush=True)
    start = time.monotonic()
    status, stopped = self.launch(name, [*mode, f'--workdir={run}'], TRAINED * seconds)
    trained = time.monotonic()
    if not status and stopped and not system.needs and not self.stopping.is_set():
      status, _ = self.launch(name, ['--mode=evaluate', f'--workdir={run}'])
    note |= {'seconds': round(note.get('seconds', 0) + trained - start), 'hardware': self.hardware, 
             'done': not status and not self.stopping.is_set(), 'measuring_seconds': round(time.monotonic() - trained)}
    write_text(self.note_path(name), json.dumps(note, indent=2) + '\n')
    if status:
      return f'failed: {last_line(self.log(name))}'
    return f'trained for {trained - start:.0f} s, measured in {note["measuring_seconds"]} s'

  def overrides(self, name):
    """The flags that set its data, its sizes and its evaluators."""
    system = SYSTEMS[name]
    about = self.about['data'].get(system.data, {})
    keys = {'data.dir': about.get('folder') or self.data / system.data, **about.get('config', {})}
    keys |= {**SMALL, **system.small} if self.small else {**LARGE, **system.large}
    flags = [f'--config.{key}={value}' for key, value in keys.items()]
    return flags + ([f'--evaluators={",".join(EVALUATORS[name])}'] if name in EVALUATORS else [])

  def launch(self, name, arguments, seconds=None):
    """(exit status, whether it had to be stopped) of a launch, which has so many seconds; its words go to a log."""
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
    """That of this process; several runs share the memory of a GPU, and what is compiled is found again."""
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
  """The exit status of a process that is told to save and end."""
  process.terminate()
  with contextlib.suppress(subprocess.TimeoutExpired):
    return process.wait(GRACE)
  process.kill()
  return process.wait()


def last_line(path):
  lines = path.read_text(errors='replace').strip().splitlines()
  return lines[-1] if lines else 'nothing was said'


def look():
  """(whether JAX has a CPU alone, the hardware in words)."""
  out = subprocess.run([sys.executable, '-c', _LOOK], capture_output=True, text=True, check=True).stdout
  platform, count, kind = out.strip().splitlines()[-1].split('|')
  cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
  return platform == 'cpu', f'{cores} CPU core{"s" * (cores > 1)}' if platform == 'cpu' else f'{count} {kind}'


def arguments(argv):
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--minutes', type=float, default=60., help='for all systems together')
  parser.add_argument('--data', type=Path, help='folder with a folder of images for each data set')
  parser.add_argument('--runs', type=Path, default=Path('runs/gallery'), help='where the run folders go')
  parser.add_argument('--from', dest='told', type=Path, help='tell of the runs in this folder and train nothing')
  parser.add_argument('--about', type=Path, help='JSON on the data and on what is seen: gallery_table.read_about()')
  parser.add_argument('--page', type=Path, help='a page that has the marks to put the table between')
  parser.add_argument('--systems', default='', help='names, separated by commas; all without it')
  parser.add_argument('--jobs', type=int, default=1, help='systems that are trained at the same time')
  parser.add_argument('--hardware', default='', help='in words; as JAX names it without it')
  return parser.parse_args(argv)


def main(argv=None):
  given = arguments(argv)
  asked = [name for name in given.systems.split(',') if name]
  unknown = [name for name in asked if name not in SYSTEMS]
  if unknown:
    raise UserError(f'--systems names {unknown[0]}; there are {", ".join(SYSTEMS)}')
  names = [name for name in SYSTEMS if name in asked or not asked]
  about = gallery_table.read_about(given.about)
  folder = (given.told or given.runs).absolute()
  if not given.told:
    if not given.data:
      raise UserError('--data is not given; name the folder that holds a folder of images for each data set')
    small, hardware = look()
    gallery = Gallery(folder, given.data.absolute(), about, small, given.hardware or hardware, given.jobs)
    for number in (signal.SIGINT, signal.SIGTERM):
      signal.signal(number, gallery.stop)
    gallery.run(names, given.minutes)
  gallery_table.write(folder, names, about, given.page)


if __name__ == '__main__':
  try:
    main()
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)
