"""environment.json: versions, devices and command of each start of a run. Errors here do not stop a run."""

import datetime
import importlib.metadata
import json
import os
from pathlib import Path
import platform
import re
import subprocess
import sys

import jax

from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import read_json, write_text

_FILE = 'environment.json'
_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'scikit-learn', 'clu')
UNKNOWN = 'unknown'                     # recorded if git is missing or fails


def record_start(folder: Path, step: int, source: str, matrix_precision: str = 'default') -> None:
  """Appends this start to environment.json: versions, devices, git state, command and first step.

  A damaged file is kept under another name, with a warning.
  """
  path, starts = folder / _FILE, []
  if os.path.lexists(path):
    try:
      starts = read_json(path, 'it is kept', starts=list)['starts']
    except UserError as error:
      aside = path.with_name('environment_damaged.json')
      os.replace(path, aside)
      terminal.warn(f'{error}, as {aside}')
  write_text(path, json.dumps({'starts': [*starts, _start(step, source, matrix_precision)]}, indent=2) + '\n')


def _start(step, source, matrix_precision):
  changes = _git('status', '--porcelain')
  return {
      'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
      'step': step, 'command': sys.argv, 'data': source, 'python': platform.python_version(),
      'platform': platform.platform(), 'packages': {name: _version(name) for name in _PACKAGES},
      'devices': [str(device) for device in jax.devices()], 'device_kind': jax.devices()[0].device_kind,
      'processes': jax.process_count(), 'cpu': cpu(), 'matrix_precision': matrix_precision,
      'xla_flags': os.environ.get('XLA_FLAGS', ''),
      'git': _git('rev-parse', 'HEAD'), 'git_changes': changes if changes == UNKNOWN else bool(changes)}


def cpu() -> str:
  """The processor's name and the number of cores that this process may use."""
  try:
    model = re.search(r'^model name\s*:\s*(.+)$', Path('/proc/cpuinfo').read_text('utf-8', 'replace'), re.MULTILINE)
  except OSError:                       # not on Linux
    model = None
  count = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
  return f'{model[1] if model else platform.processor() or platform.machine()}, {count} cores'


def _version(package):
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return UNKNOWN


def _git(*arguments):
  """The output of a git command in this package's folder; UNKNOWN if git is missing or fails."""
  try:
    result = subprocess.run(['git', '-C', Path(__file__).parent, *arguments], capture_output=True, text=True,
                            check=True, timeout=60)
  except (OSError, ValueError, subprocess.SubprocessError):
    return UNKNOWN
  return result.stdout.strip()
