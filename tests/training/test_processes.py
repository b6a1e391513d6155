"""Two processes of two devices each are one process of four, and a SIGTERM to one of them stops and saves both."""

import signal
import socket
import time

from helpers.launching import TINY, environment, launch, start
import numpy as np


def table(workdir):
  lines = (workdir / 'metrics.csv').read_text().splitlines()
  return lines[0], np.array([[float(x) for x in line.split(',')] for line in lines[1:]])


def free_port():
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    return listener.getsockname()[1]


def test_two_processes_are_one_and_stop_together(tmp_path):
  long = (*TINY, '--config.num_steps=200000', '--config.checkpoint_every_steps=100000')
  join = (f'--coordinator=127.0.0.1:{free_port()}', '--num_processes=2')
  both = [start(f'--workdir={tmp_path / "two"}', *long, *join, f'--process_id={i}', env=environment(2)) for i in (0, 1)]
  metrics = tmp_path / 'two/metrics.csv'
  deadline = time.monotonic() + 200
  while not (metrics.exists() and metrics.read_text().count('\n') > 2):
    assert time.monotonic() < deadline and all(process.poll() is None for process in both)
    time.sleep(0.05)
  both[1].send_signal(signal.SIGTERM)
  for process in both:
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
  assert [path.name.isdigit() for path in (tmp_path / 'two/checkpoints').iterdir()] == [True]

  assert launch(f'--workdir={tmp_path / "one"}', *TINY, env=environment(4)).returncode == 0
  (names, two), (same_names, one) = table(tmp_path / 'two'), table(tmp_path / 'one')
  assert names == same_names
  # The first rows: later on, rounding that differs has grown.
  np.testing.assert_allclose(two[:2], one[:2], rtol=1e-3, atol=1e-5)
