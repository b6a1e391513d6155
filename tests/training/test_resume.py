"""Exact resume, with real processes: a run that was killed and resumed equals an uninterrupted one."""

import json
import random
import signal
import time

from helpers import tiny
from helpers.launching import FEW_FIGURES, MEASURED_ONCE, environment, launch, rows, start, wait_for
import numpy as np
import orbax.checkpoint as ocp
import pytest

from jgen.commands import train

pytestmark = pytest.mark.usefixtures('few_figures')


def last_checkpoint(workdir):
  """(step, {name: array}, stored digest) of the newest checkpoint, read by Orbax alone."""
  with ocp.CheckpointManager(workdir / 'checkpoints') as manager:
    step = manager.latest_step()
    restored = manager.restore(step, args=ocp.args.Composite(
        state=ocp.args.StandardRestore(), meta=ocp.args.JsonRestore()))
  flat = {}
  def visit(prefix, node):
    if isinstance(node, dict):
      for key, value in node.items():
        visit(f'{prefix}/{key}', value)
    elif isinstance(node, (list, tuple)):
      visit(prefix, dict(enumerate(node)))
    elif node is not None:
      flat[prefix] = np.asarray(node)
  visit('', restored['state'])
  return step, flat, restored['meta']['digest']


@pytest.mark.parametrize('devices', [1, 4])
def test_killed_and_resumed_equals_uninterrupted(devices, tmp_path):
  env, arguments = environment(devices), (*MEASURED_ONCE, "--config.loggers=('tensorboard',)")
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  result = launch(f'--workdir={whole}', *arguments, env=env, program=FEW_FIGURES)
  assert result.returncode == 0, result.stderr

  process = start(f'--workdir={killed}', *arguments, env=env, program=FEW_FIGURES)
  rows_before = random.randrange(1, 12)   # of the 20 rows: killed at another moment in every test run
  wait_for(lambda: rows(killed) >= rows_before or process.poll() is not None)
  time.sleep(random.random() / 20)
  process.send_signal(signal.SIGKILL)
  process.communicate()
  assert not (killed / 'checkpoints' / '60').exists(), 'the run ended before it was killed'
  result = launch(f'--workdir={killed}', env=env, program=FEW_FIGURES)   # the folder alone: its own config
  assert result.returncode == 0, result.stderr

  assert (whole / 'metrics.csv').read_bytes() == (killed / 'metrics.csv').read_bytes()
  steps = [int(row.split(',')[0]) for row in (killed / 'metrics.csv').read_text().splitlines()[1:]]
  assert steps == list(range(3, 61, 3))
  (step, expected, digest), (resumed_step, resumed, resumed_digest) = last_checkpoint(whole), last_checkpoint(killed)
  assert step == resumed_step == 60 and digest == resumed_digest
  assert {name.split('/')[1] for name in expected} >= {'params', 'opt_state', 'model_state', 'ema_params', 'step'}
  for name, array in expected.items():
    np.testing.assert_array_equal(resumed[name], array, err_msg=name)
  starts = json.loads((killed / 'environment.json').read_text())['starts']
  assert len(starts) == 2 and 0 <= starts[1]['step'] < 60


def test_a_signal_saves_and_tells_how_to_go_on(tmp_path):
  process = start(f'--workdir={tmp_path / "run"}', *MEASURED_ONCE, '--config.num_steps=200000',
                  '--config.checkpoint_every_steps=100000', program=FEW_FIGURES)
  wait_for(lambda: rows(tmp_path / 'run') >= 2 or process.poll() is not None)
  process.send_signal(signal.SIGTERM)
  out, err = process.communicate(timeout=120)
  assert process.returncode == 0, err
  assert 'continue with: python ' in out and '--config.num_steps=200000' in out
  step, _, _ = last_checkpoint(tmp_path / 'run')
  assert f'step {step:,} of 200,000' in out


def test_in_bfloat16_stopped_and_continued_is_the_run_that_was_not_stopped(tmp_path):
  def run(folder, steps):
    train.run(tiny.learned_vae(precision='bfloat16', num_steps=steps, **{
        'model.encoder.features': (6,), 'model.decoder.features': (6,), 'sample_every_steps': 8}), folder, '')
  run(tmp_path / 'stopped', 4)
  for name in ('stopped', 'whole'):
    run(tmp_path / name, 8)
  assert (tmp_path / 'stopped/metrics.csv').read_bytes() == (tmp_path / 'whole/metrics.csv').read_bytes()
  digests = [last_checkpoint(tmp_path / name)[2] for name in ('stopped', 'whole')]
  assert digests[0] == digests[1]
