"""A progress line: rewritten in place on a terminal, printed every 15 seconds elsewhere."""

from collections.abc import Iterable, Iterator, Mapping, Sized
import contextlib
import time
from types import TracebackType
from typing import TypeVar

from jgen.host import terminal

T = TypeVar('T', bound=Sized)

_TERMINAL_SECONDS, _PLAIN_SECONDS = 0.5, 15.
_open: list['Counter'] = []             # the first one shows its line, not those that it contains
_tasks: list[str] = []                  # what the process is doing, the innermost last


def duration(seconds: float) -> str:
  """'1h02m', '3m20s' or '12s'."""
  seconds = round(seconds)
  if seconds >= 3600:
    return f'{seconds // 3600}h{seconds % 3600 // 60:02d}m'
  return f'{seconds // 60}m{seconds % 60:02d}s' if seconds >= 60 else f'{seconds}s'


def epochs_text(epochs: float) -> str:
  """'0.5 epochs', '20 epochs' or '1,234 epochs'."""
  return f'{epochs:,.0f} epochs' if epochs >= 100 else f'{epochs:.3g} epochs'


@contextlib.contextmanager
def task(name: str) -> Iterator[None]:
  """Context in which the lines of counters begin with `name`, such as that of an evaluator."""
  _tasks.append(name)
  try:
    yield
  finally:
    _tasks.pop()


class Counter:
  """Context that shows the number of images done, the speed and the time to go.

  It shows nothing if all is done at once, if it is quiet, or within the context of another counter.
  """

  def __init__(self, total: int, noun: str = 'images', quiet: bool = False) -> None:
    self._total, self._noun, self._quiet = total, noun, quiet
    self._terminal = terminal.is_terminal()

  def __enter__(self) -> 'Counter':
    self._start = self._shown = time.monotonic()
    _open.append(self)
    return self

  def update(self, done: int) -> None:
    """Shows the line when it is due; `done` is the number of images done."""
    now = time.monotonic()
    due = now - self._shown >= (_TERMINAL_SECONDS if self._terminal else _PLAIN_SECONDS)
    if not due or done >= self._total or self._quiet or _open[0] is not self:
      return
    self._shown = now
    rate = done / (now - self._start)
    line = ''.join([*(f'{name}: ' for name in _tasks[-1:]), f'{done:,} of {self._total:,} {self._noun} '
                    f'({done / self._total:.0%})  {rate:,.{0 if rate >= 10 else 1}f} images/s  '
                    f'{duration((self._total - done) / rate)} to go'])
    if self._terminal:
      terminal.rewrite(line, keep=False)
    else:
      terminal.say(line)

  def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
               trace: TracebackType | None) -> None:
    """Clears the line."""
    _open.remove(self)
    if self._terminal and self._shown > self._start:
      terminal.rewrite('', keep=False)


def counted(parts: Iterable[T], total: int, noun: str = 'images', quiet: bool = False) -> Iterator[T]:
  """Yields the parts, arrays [k, ...] of `total` images in all, and shows how many are done: see `Counter`."""
  done = 0
  with Counter(total, noun, quiet) as counter:
    for part in parts:
      yield part
      done += len(part)
      counter.update(done)


class Progress:
  """Shows step, percentage, speed, time to go and the losses."""

  def __init__(self, num_steps: int, images_per_step: int, quiet: bool = False) -> None:
    self._quiet = quiet
    self._num_steps, self._images_per_step = num_steps, images_per_step
    self._terminal = terminal.is_terminal()
    self._start: tuple[int, float] | None = None   # (step, time) at the end of the first dispatch
    self._shown = time.monotonic()
    if not quiet:
      self.write('compiling the training step, once', keep=False)

  def begin(self, step: int) -> None:
    """Measures the speed from now on; `step` is the last step of the first dispatch."""
    self._start = (step, time.monotonic())

  def update(self, step: int, scalars: Mapping[str, float]) -> None:
    """Shows the line when it is due; of this step's metrics `scalars`, those named `*/loss` are shown."""
    now = time.monotonic()
    start = self._start or (step, now)
    last = step >= self._num_steps
    if self._quiet or not last and now - self._shown < (_TERMINAL_SECONDS if self._terminal else _PLAIN_SECONDS):
      return
    self._shown = now
    self.write(self._line(start, step, now, scalars), keep=last)

  def _line(self, start, step, now, scalars):
    parts = [f'step {step:,} of {self._num_steps:,} ({step / self._num_steps:.0%})']
    steps, seconds = step - start[0], now - start[1]
    if steps and seconds:
      rate = steps / seconds
      parts += [f'{rate:.3g} steps/s', f'{rate * self._images_per_step:,.0f} images/s',
                f'{duration((self._num_steps - step) / rate)} to go']
    parts += [f'{name} {value:.4g}' for name, value in scalars.items() if name.endswith('/loss')]
    return '  '.join(parts)

  def say(self, line: str) -> None:
    """Writes a permanent line, unless quiet."""
    if not self._quiet:
      self.write(line)

  def write(self, line: str, keep: bool = True) -> None:
    """Writes a line; on a terminal, a line without `keep` is overwritten by the next."""
    if self._terminal:
      terminal.rewrite(line, keep)
    else:
      terminal.say(line)
