"""Starts launch.py as a user does: a process of its own."""

import os
from pathlib import Path
import subprocess
import sys
import time

from helpers import compiling

ROOT = Path(__file__).parent.parent.parent
FEW_FIGURES = Path(__file__).parent / 'few_figures.py'   # in the place of launch.py: draws few figures

# The quickstart with networks and counts that take seconds.
_SMALL = (
    '--config.num_steps=60', '--config.batch_size=16', '--config.steps_per_dispatch=2', '--config.log_every_steps=3',
    '--config.checkpoint_every_steps=4', '--config.sample_every_steps=30', '--config.evaluate_every_steps=0',
    '--config.samples_per_class=2', '--config.report=False', '--config.loggers=()',
    '--config.model.critic_steps=2',
    '--config.model.latent_size=4', '--config.data.image_size=8', '--config.model.generator.features=(8,8)',
    '--config.model.critic.features=(8,8)')
TINY = (*_SMALL, '--config.evaluators.class_consistency.num_generated=20')
# For many starts: less to import, to compile and to save.
MEASURED_ONCE = (*_SMALL, '--evaluators=diversity', '--config.evaluators.diversity.num_images=20',
                 '--config.checkpoint_every_steps=10')


def environment(devices=1):
  return {**os.environ, 'XLA_FLAGS': compiling.flags(devices)}


def start(*arguments, env=None, program=ROOT / 'launch.py'):
  return subprocess.Popen([sys.executable, program, *map(str, arguments)], env=env or environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def launch(*arguments, env=None, program=ROOT / 'launch.py'):
  """The CompletedProcess of a launch that is waited for."""
  process = start(*arguments, env=env, program=program)
  out, err = process.communicate(timeout=300)
  return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def wait_for(condition, seconds=200):
  """Waits until `condition()` holds."""
  deadline = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < deadline, 'nothing happened'
    time.sleep(0.01)


def rows(workdir):
  """The lines of a run's metrics.csv."""
  path = Path(workdir) / 'metrics.csv'
  return path.read_text().count('\n') if path.exists() else 0
