"""Signals that stop the training: it saves a checkpoint first and can be resumed."""

from collections.abc import Callable
import os
import signal
import threading
import time
from typing import TypeVar

from jgen.host import terminal

T = TypeVar('T')

# Ctrl-C; kill, `timeout`, Kubernetes and schedulers; a closed terminal or connection; warnings that schedulers send
# before they kill (SLURM's --signal, Grid Engine, LSF); the CPU time limit.
_NAMES = ('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGXCPU')

_ONE_PRESS = 0.5                        # seconds; a terminal and a wrapper may both forward the same Ctrl-C


class _Interrupted(BaseException):
  """Interrupts the call of `StopRequest.interruptible`; not an Exception, so that `except Exception` lets it pass."""


class StopRequest:
  """Context in which a signal requests a stop; `requested` is True from then on.

  Further signals change nothing: a scheduler that warns with SIGUSR1 sends SIGTERM later, and `timeout` sends SIGTERM
  twice. Only further Ctrl-C does more: the second ends the process as soon as the state is saved, the third at once. A
  signal that the process ignores from its start, as under nohup, stays ignored.

  In a multi-process run, a signal to any process stops all: JAX's preemption service listens for SIGTERM, and the other
  signals are converted to SIGTERM.
  """

  def __enter__(self):
    import jax
    self.requested = False
    self._alone = jax.process_count() == 1
    self._interruptible = self._saved = False
    self._presses, self._last_press = 0, -_ONE_PRESS
    self._previous = {number: signal.signal(number, self._request) for number in self._numbers()}
    return self

  def _numbers(self):
    """The signals to handle; none outside the main thread, where Python allows no handlers."""
    if threading.current_thread() is not threading.main_thread():
      return []
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)
            and (self._alone or number != signal.SIGTERM)]

  def requested_at(self, dispatch: int) -> bool:
    """Whether to stop after the dispatch with this number, which increases by one at each call.

    All processes of a run stop after the same dispatch, so every process has to call this.
    """
    from jax.experimental import multihost_utils
    return self.requested if self._alone else multihost_utils.reached_preemption_sync_point(dispatch)

  def interruptible(self, call: Callable[[], T], otherwise: T) -> T:
    """`call()`, or `otherwise` if a stop is requested before or during it: slow calls must not delay a checkpoint.

    In a multi-process run nothing is interrupted, because the processes have to stay in step.
    """
    try:
      self._interruptible = True
      try:
        return otherwise if self.requested else call()
      finally:
        self._interruptible = False
    except _Interrupted:
      return otherwise

  def saved(self) -> None:
    """Call it once the state is saved; raises KeyboardInterrupt if Ctrl-C was pressed twice."""
    self._saved = True
    if self._presses > 1:
      raise KeyboardInterrupt

  def _request(self, number, frame):
    del frame
    again = number == signal.SIGINT and time.monotonic() - self._last_press >= _ONE_PRESS
    if again:
      self._presses, self._last_press = self._presses + 1, time.monotonic()
    if not self._alone and self._presses < 2:
      os.kill(os.getpid(), signal.SIGTERM)
    elif not self.requested:
      self.requested = True
      terminal.tell_from_signal(f'{signal.Signals(number).name}: saving, then stopping')
    elif again and self._presses > 1:
      self._press_again()
    if self._interruptible and self._alone:
      raise _Interrupted

  def _press_again(self):
    if self._saved or self._presses > 2 or not self._alone:
      raise KeyboardInterrupt
    terminal.tell_from_signal('exiting after the checkpoint is saved; Ctrl-C again exits at once, without saving')

  def __exit__(self, *exception):
    for number, handler in self._previous.items():
      signal.signal(number, handler)
