"""The folder of a run: who may write in it, and its files. Everything drawn later is drawn from these."""

import contextlib
import csv
import datetime
import importlib.metadata
import io
import json
import os
from pathlib import Path
import platform
import subprocess
import sys
import tempfile

import filelock
import jax
from ml_collections import ConfigDict

from jgen import locks
from jgen.errors import UserError
from jgen.files import OUTPUT_MARK, mark_output, write_text
from jgen.run import config as config_lib

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'scikit-learn', 'clu')

_BEFORE_A_RUN = ('.lock', '.lock.owner', OUTPUT_MARK, 'data.png')   # what may lie in a folder that holds no run yet


@contextlib.contextmanager
def opened(workdir, config):
  """The run folder as a Path, made or continued, and locked against a second writer.

  Raises:
    UserError: the folder holds another config's run, or files that are no run, or is in use.
  """
  folder = Path(workdir).absolute()
  check(folder, config)
  with locked(folder):
    write_text(folder / 'config.json', config_lib.dumps(config))
    for name in ('samples', 'evaluation'):
      (folder / name).mkdir(exist_ok=True)
    yield folder


@contextlib.contextmanager
def own_folder(workdir, config):
  """The folder that this process writes to: the run folder for process 0, a passing one for the others."""
  if jax.process_index() == 0:
    with opened(workdir, config) as folder:
      yield folder
  else:
    with tempfile.TemporaryDirectory() as scratch, opened(scratch, config) as folder:
      yield folder


@contextlib.contextmanager
def locked(folder):
  """Makes the folder, if need be, and keeps a second process out of it; raises UserError if one is there."""
  mark_output(folder)
  with contextlib.ExitStack() as stack:
    try:
      stack.enter_context(locks.held(folder / '.lock'))
    except filelock.Timeout as error:
      raise UserError(f'{folder} is in use by another process ({error.lock_file} is locked); wait for it or name '
                      'another --workdir') from None
    yield


def check(folder, config):
  """Raises UserError if `folder` cannot take a run of this config. Writes nothing."""
  if folder.exists() and not folder.is_dir():
    raise UserError(f'{folder} is a file; name a folder with --workdir')
  if (folder / 'config.json').exists():
    changed = config_lib.differences(config_lib.flatten(read_config(folder)), config_lib.flatten(config))
    if changed:
      raise UserError(f'{folder} holds a run of another config ({"; ".join(changed)}); name another --workdir')
  elif folder.is_dir() and any(entry.name not in _BEFORE_A_RUN for entry in folder.iterdir()):
    raise UserError(f'{folder} holds files but no run (no config.json); name another --workdir')


def read_config(folder):
  """The stored config as a nested dict; raises UserError where there is none."""
  try:
    config = json.loads((folder / 'config.json').read_text())
    if not isinstance(config, dict) or 'family' not in config:
      raise ValueError('no config of a run')
    return config_lib.without_removed(config)
  except (FileNotFoundError, NotADirectoryError):
    raise UserError(f'{folder} holds no run (no config.json); name the folder of one with --workdir') from None
  except ValueError:
    raise UserError(f'{folder}/config.json is damaged; name another --workdir') from None


def stored_config(folder):
  """The stored config as a locked ConfigDict; raises UserError where there is none."""
  return ConfigDict(_with_tuples(read_config(Path(folder)))).lock()


def _with_tuples(value):
  """JSON has lists where configs have tuples."""
  if isinstance(value, dict):
    return {key: _with_tuples(entry) for key, entry in value.items()}
  return tuple(value) if isinstance(value, list) else value


def record_start(folder, step, source):
  """Appends this start to environment.json: versions, devices, git state, command and first step."""
  path = folder / 'environment.json'
  starts = json.loads(path.read_text())['starts'] if path.exists() else []
  starts.append({
      'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
      'step': step, 'command': sys.argv, 'data': source, 'python': platform.python_version(),
      'platform': platform.platform(),
      'packages': {name: importlib.metadata.version(name) for name in _PACKAGES},
      'devices': [str(device) for device in jax.devices()], 'processes': jax.process_count(),
      'git': _git('rev-parse', 'HEAD'), 'git_changes': bool(_git('status', '--porcelain'))})
  write_text(path, json.dumps({'starts': starts}, indent=2) + '\n')


def _git(*arguments):
  here = Path(__file__).parent
  result = subprocess.run(['git', '-C', here, *arguments], capture_output=True, text=True, check=False)
  return result.stdout.strip()


class MetricsFile:
  """metrics.csv: one row per logged step, each step once, whatever was interrupted and resumed."""

  def __init__(self, path, step):
    """Opens the file and drops what an interrupted run wrote after `step`, which will be written again."""
    self._names = None
    text = path.read_text() if path.exists() else ''
    whole = [line for line in text.split('\n')[:-1] if line]   # a last line without its end was cut short
    if whole:
      self._names = whole[0].split(',')[1:]
    kept = whole[:1] + [row for row in whole[1:] if int(row.split(',')[0]) <= step]
    write_text(path, ''.join(f'{row}\n' for row in kept))
    self._file = path.open('a', newline='')

  def write(self, step, scalars):
    """Appends a row; `scalars` is {name: float}, the same names in every row."""
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator='\n')
    if self._names is None:
      self._names = sorted(scalars)
      writer.writerow(['step', *self._names])
    writer.writerow([step, *(repr(float(scalars[name])) for name in self._names)])
    self._file.write(rows.getvalue())
    self._file.flush()                  # whoever follows the file sees it; sync() is for the disk

  def sync(self):
    """Brings all rows to the disk, so that no checkpoint is ever ahead of its rows."""
    os.fsync(self._file.fileno())

  def close(self):
    self.sync()
    self._file.close()
