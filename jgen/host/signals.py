"""Signals that ask a training to stop: it saves first, promptly, and can be continued."""

from collections.abc import Callable
import os
import signal
import threading
import time
from typing import TypeVar

from jgen.host import terminal

T = TypeVar('T')

# Ctrl-C; kill, `timeout`, Kubernetes and schedulers; a terminal or connection that is closed; what schedulers send some
# time before they kill (SLURM's --signal, Grid Engine, LSF); the limit of processor time.
_NAMES = ('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGXCPU')

_ONE_PRESS = 0.5                        # seconds; a terminal and a wrapper may both pass on the same Ctrl-C


class _Interrupted(BaseException):
  """Ends what `StopRequest.interruptible` runs; no `except Exception` may catch it."""


class StopRequest:
  """Within it, signals ask for a stop, and `requested` is True from then on.

  The same signal again, or another one, changes nothing: a scheduler that warns by SIGUSR1 sends SIGTERM later, and
  `timeout` sends SIGTERM twice. Only Ctrl-C pressed again ends more: the second time as soon as the state is saved, the
  third time at once. A signal that the process was started to ignore, as by nohup, stays ignored.

  Of several processes, a signal to any one stops all: there JAX's preemption service listens for SIGTERM, and the other
  signals are turned into it.
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
    """The signals to listen for; none in a thread, where Python has none."""
    if threading.current_thread() is not threading.main_thread():
      return []
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)
            and (self._alone or number != signal.SIGTERM)]

  def requested_at(self, dispatch: int) -> bool:
    """Whether to stop after the dispatch of this number, which rises by one at each call.

    All processes of a run agree: they stop at a number just ahead of all of them, so none may be left out.
    """
    from jax.experimental import multihost_utils
    return self.requested if self._alone else multihost_utils.reached_preemption_sync_point(dispatch)

  def interruptible(self, call: Callable[[], T], otherwise: T) -> T:
    """`call()`, or `otherwise` if a stop is requested before or during it: slow calls must not delay the checkpoint.

    Of several processes, which have to agree, none is interrupted.
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
    """To be called once the state is saved; raises KeyboardInterrupt if Ctrl-C was pressed again."""
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
    terminal.tell_from_signal('ending as soon as it is saved; Ctrl-C once more ends at once, unsaved')

  def __exit__(self, *exception):
    for number, handler in self._previous.items():
      signal.signal(number, handler)
