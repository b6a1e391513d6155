"""Two processes of two devices each are one process of four: they agree, stop, save and fail together."""

import json
import signal
import socket

from helpers.launching import FEW_FIGURES, MEASURED_ONCE, environment, rows, start, wait_for
import numpy as np
import pytest

from jgen.commands import main

pytestmark = pytest.mark.usefixtures('few_figures', 'optimised')   # as the processes that it starts


def table(workdir):
  lines = (workdir / 'metrics.csv').read_text().splitlines()
  return lines[0], np.array([[float(x) for x in line.split(',')] for line in lines[1:]])


def free_port():
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    return listener.getsockname()[1]


def start_both(tmp_path, *arguments, second=()):
  """Two processes of one run; the second with further arguments."""
  join = (*arguments, f'--coordinator=127.0.0.1:{free_port()}', '--num_processes=2')
  return [start(f'--workdir={tmp_path / "two"}', *join, *further, env=environment(2), program=FEW_FIGURES)
          for further in (['--process_id=0'], ['--process_id=1', *second])]


def ended(both):
  """[(exit status, standard output, standard error)] of processes that are waited for."""
  texts = [process.communicate(timeout=300) for process in both]
  return [(process.returncode, *text) for process, text in zip(both, texts, strict=True)]


def steps_of(folder):
  return sorted(int(path.name) for path in folder.iterdir())


def test_two_processes_are_one_stop_together_and_pass_over_a_damaged_checkpoint(tmp_path):
  measured = (*MEASURED_ONCE, '--config.evaluators.diversity.num_images=300')   # three chunks to share
  long = (*measured, '--config.num_steps=200000')
  both = start_both(tmp_path, *long)
  wait_for(lambda: rows(tmp_path / 'two') > 3 or any(process.poll() is not None for process in both))
  both[1].send_signal(signal.SIGTERM)
  for status, _, err in ended(both):
    assert status == 0, err
  checkpoints = tmp_path / 'two/checkpoints'
  *_, before, newest = steps_of(checkpoints)

  main.run([f'--workdir={tmp_path / "one"}', *MEASURED_ONCE, '--config.num_steps=10'])   # this process has four devices
  (names, two), (same_names, one) = table(tmp_path / 'two'), table(tmp_path / 'one')
  assert names == same_names
  # The first rows: later on, rounding that differs has grown.
  np.testing.assert_allclose(two[:2], one[:2], rtol=1e-3, atol=1e-5)

  for path in (checkpoints / str(newest) / 'state').rglob('*'):   # of the copies that Orbax keeps, every one
    if path.is_file() and path.stat().st_size > 1_000:
      path.write_bytes(path.read_bytes()[:-100])
  (status, _, err), (second_status, _, second_err) = ended(start_both(
      tmp_path, *measured, f'--config.num_steps={newest + 2}'))
  assert status == second_status == 0, err + second_err
  assert err.count(f'the checkpoint of step {newest} is damaged') == 1 and 'damaged' not in second_err
  assert steps_of(tmp_path / 'two/checkpoints_damaged') == [newest]
  assert before in steps_of(checkpoints) and steps_of(checkpoints)[-1] == newest + 2
  assert [int(row[0]) for row in table(tmp_path / 'two')[1]] == list(range(3, newest + 3, 3))

  score = next((tmp_path / 'two/evaluation').glob(f'diversity_step_*{newest + 2}.json'))
  of_both = json.loads(score.read_text())
  score.unlink()
  main.run(['--mode=evaluate', f'--workdir={tmp_path / "two"}'])
  assert json.loads(score.read_text()) == of_both and of_both['results']['num_images'] == 300


def test_processes_that_differ_are_told_so_at_the_start(tmp_path):
  second = ('--config.seed=1', '--config.num_steps=80', '--config.model.critic_optimizer.learning_rate=0.5',
            f'--workdir={tmp_path / "other"}')
  for status, out, err in ended(start_both(tmp_path, *MEASURED_ONCE, second=second)):
    assert status == 2 and all(line.startswith('[Gloo]') for line in out.splitlines()), err   # the library's own lines
    line = err.splitlines()[-1]
    assert line.startswith('error: the processes of a run differ') and 'Traceback' not in err
    for name in ('config.seed is 0 in process 0 and 1 in process 1', 'config.num_steps is 60', '--workdir is',
                 'learning_rate is'):
      assert name in line
  assert not list(tmp_path.iterdir())


def test_what_fails_on_one_process_ends_both(tmp_path):
  (tmp_path / 'two').mkdir()
  (tmp_path / 'two/thesis.tex').write_text('x')   # only the first process looks
  for status, _, err in ended(start_both(tmp_path, *MEASURED_ONCE)):
    assert status == 2 and 'error: process 0: ' in err and 'holds files but no run' in err
    assert 'Traceback' not in err
