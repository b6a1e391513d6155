"""Signals in the orders that terminals, schedulers and `timeout` send them: what is trained is saved first."""

import contextlib
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

from helpers import tiny
from helpers.launching import FEW_FIGURES, TINY, environment, rows, wait_for
import pytest

from jgen.commands import train
from jgen.evaluation.class_consistency import ClassConsistency
from jgen.host.signals import StopRequest
from jgen.run import outputs

pytestmark = pytest.mark.usefixtures('few_figures', 'optimised')   # a classifier is trained

INT, TERM, HUP, USR1, USR2 = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2


@pytest.fixture(autouse=True)
def survive_every_signal():
  """Handlers beneath those that are tested, so that one that is missing fails a test and does not end all of them."""
  def fail(number, frame):
    raise AssertionError(f'{signal.Signals(number).name} was not handled')
  before = {number: signal.signal(number, fail) for number in (TERM, HUP, USR1, USR2, signal.SIGXCPU)}
  before[INT] = signal.signal(INT, signal.default_int_handler)   # a shell lets what it starts with `&` ignore it
  yield
  for number, handler in before.items():
    signal.signal(number, handler)


@pytest.mark.parametrize('order', [
    [TERM, TERM], [USR1, TERM, TERM], [USR2, TERM], [HUP, TERM], [INT, HUP], [signal.SIGXCPU, signal.SIGXCPU],
    [INT, TERM], [INT, INT]], ids=lambda order: '-'.join(number.name for number in order))
def test_signals_in_any_order_ask_once(order, capfd):
  with StopRequest() as stop:
    for number in order:
      os.kill(os.getpid(), number)
    assert stop.requested
    stop.saved()
  assert capfd.readouterr().err == f'{order[0].name}: saving, then stopping\n'


def press(stop):
  stop._last_press -= 1                 # the last one is longer ago
  os.kill(os.getpid(), INT)


def test_ctrl_c_again_ends_after_the_save_and_a_third_time_at_once():
  with StopRequest() as stop:
    press(stop)
    press(stop)                         # while the state is being saved
    with pytest.raises(KeyboardInterrupt):
      stop.saved()
  with StopRequest() as stop:
    press(stop)
    press(stop)
    with pytest.raises(KeyboardInterrupt):
      press(stop)
  with StopRequest() as stop:
    press(stop)
    stop.saved()
    with pytest.raises(KeyboardInterrupt):
      press(stop)


def test_what_nohup_ignores_stays_ignored_and_all_handlers_come_back():
  signal.signal(HUP, signal.SIG_IGN)
  before = signal.getsignal(INT)
  with StopRequest() as stop:
    os.kill(os.getpid(), HUP)
    assert not stop.requested
  assert signal.getsignal(HUP) == signal.SIG_IGN and signal.getsignal(INT) is before


def test_in_a_thread_there_are_no_signals_and_no_error():
  found = []
  def use():
    with StopRequest() as stop:
      found.append(stop.requested)
  thread = threading.Thread(target=use)
  thread.start()
  thread.join()
  assert found == [False]


def test_what_is_interruptible_ends_at_once_and_nothing_after_it_begins():
  def wait(seconds):
    threading.Timer(0.1, os.kill, (os.getpid(), TERM)).start()
    time.sleep(seconds)
  with StopRequest() as stop:
    start = time.monotonic()
    assert stop.interruptible(lambda: wait(60), 'stopped') == 'stopped'
    assert stop.interruptible(lambda: wait(60), 'stopped') == 'stopped'
    assert time.monotonic() - start < 30


def test_a_signal_during_a_long_evaluation_saves_at_once_and_the_evaluation_is_made_up_for(
    tmp_path, monkeypatch, capsys):
  config = tiny.wgan(num_steps=8, evaluate_every_steps=4, sample_every_steps=4, checkpoint_every_steps=4, **{
      'checkpoints.best_metric': 'class_consistency/accuracy', 'checkpoints.keep_last': 1})
  with config.unlocked():
    config.evaluators.class_consistency = {'num_real': 200, 'num_generated': 20}
  train.run(config, tmp_path / 'whole', '')

  def take_long(*arguments):
    for number in (TERM, TERM):         # as `timeout` does
      os.kill(os.getpid(), number)
    time.sleep(600)
  with monkeypatch.context() as context:
    context.setattr(ClassConsistency, 'measure', take_long)
    assert train.run(config, tmp_path / 'run', '')
  assert [path.name for path in (tmp_path / 'run/checkpoints').iterdir()] == ['4']
  assert not list((tmp_path / 'run/evaluation').iterdir())
  (tmp_path / 'run/samples/step_00000004.png').unlink()   # as if the signal had come before it was drawn
  assert not train.run(config, tmp_path / 'run', '')
  for kind in ('evaluation/*', 'samples/*', 'metrics.csv'):
    whole, made_up = ({path.relative_to(folder): path.read_bytes() for path in folder.glob(kind)}
                      for folder in (tmp_path / 'whole', tmp_path / 'run'))
    assert whole and made_up == whole
  kept = [sorted(path.name for path in (folder / 'checkpoints').iterdir())   # the last, and the best if it is another
          for folder in (tmp_path / 'whole', tmp_path / 'run')]
  assert kept[0] == kept[1]

  assert outputs.are_complete(tmp_path / 'run', 8)
  (tmp_path / 'run/evaluation/class_consistency_step_00000008.json').unlink()
  (tmp_path / 'run/outputs.json').unlink()
  with monkeypatch.context() as context:
    context.setattr(ClassConsistency, 'measure', take_long)
    assert train.run(config, tmp_path / 'run', 'the same command')
  assert not outputs.are_complete(tmp_path / 'run', 8)   # or a study would pass over it
  assert 'pictures may be missing; continue with: the same command' in capsys.readouterr().out


LONG = (*TINY, '--config.num_steps=200000', '--config.checkpoint_every_steps=100000', '--config.log_every_steps=2')


def test_ctrl_c_with_tee(tmp_path):
  """The terminal sends it to all, and `tee`, which reads the output, ends first."""
  command = shlex.join([sys.executable, str(FEW_FIGURES), f'--workdir={tmp_path}/run', *LONG])
  shell = subprocess.Popen(['bash', '-c', f'{command} 2>&1 | tee {tmp_path}/log'], env=environment(),
                           start_new_session=True, stdout=subprocess.DEVNULL)
  try:
    wait_for(lambda: rows(tmp_path / 'run') >= 2 or shell.poll() is not None)
    os.killpg(shell.pid, INT)
    shell.wait(200)
    last = tmp_path / 'run/figures/losses.png'
    wait_for(lambda: last.exists() or not is_alive(shell.pid))   # the shell and `tee` end before the run does
  finally:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(shell.pid, signal.SIGKILL)   # else it would train on beside all other tests
  log = (tmp_path / 'log').read_text()
  assert last.exists(), f'the run has ended without its figures, after:\n{log}'
  assert len(list((tmp_path / 'run/checkpoints').iterdir())) == 1
  assert 'Traceback' not in log


def is_alive(group):
  """Whether a process of the process group lives."""
  try:
    os.killpg(group, 0)
  except ProcessLookupError:
    return False
  return True


@pytest.mark.skipif(not shutil.which('setsid'), reason='no setsid, which makes a terminal the controlling one')
def test_a_terminal_that_is_closed(tmp_path):
  terminal, inner = pty.openpty()
  launch = [sys.executable, str(FEW_FIGURES), f'--workdir={tmp_path}/run', *LONG]
  process = subprocess.Popen(['setsid', '--ctty', *launch],
                             env=environment(), stdin=inner, stdout=inner, stderr=inner)
  os.close(inner)
  reader = threading.Thread(target=read_until_closed, args=(terminal,), daemon=True)
  reader.start()
  wait_for(lambda: rows(tmp_path / 'run') >= 2 or process.poll() is not None)
  os.close(terminal)                    # the kernel sends SIGHUP, and fails what is written from then on
  assert process.wait(200) == 0
  assert len(list((tmp_path / 'run/checkpoints').iterdir())) == 1 and (tmp_path / 'run/figures/losses.png').exists()


def read_until_closed(descriptor):
  try:
    while os.read(descriptor, 1024):
      pass
  except OSError:
    pass
