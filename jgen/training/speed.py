"""Training speed and time, in speed.csv.

metrics.csv is reproducible from the seed, so measurements that depend on the machine go to a separate file.
"""

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import time
from typing import Any, TypeVar

from jgen.run.metrics import MetricsFile, read_rows

FILE = 'speed.csv'
T = TypeVar('T')


class Parts:
  """Splits the time since training started into parts, such as input and evaluation; the rest is steps."""

  def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
    """`clock` returns seconds."""
    self._clock, self._begin = clock, clock()
    self._spent: dict[str, float] = {}

  @contextlib.contextmanager
  def of(self, name: str) -> Iterator[None]:
    """A context manager whose time is attributed to the part `name`."""
    begin = self._clock()
    try:
      yield
    finally:
      self._spent[name] = self._spent.get(name, 0.) + self._clock() - begin

  def waiting(self, iterator: Iterator[T], name: str) -> Iterator[T]:
    """Yields the elements of `iterator`; the time spent waiting for each is attributed to the part `name`."""
    ended: Any = object()
    while True:
      with self.of(name):
        element = next(iterator, ended)
      if element is ended:
        return
      yield element

  def line(self, steps: int, images_per_step: int, flops: float) -> str:
    """The summary line of `steps` steps; `flops` are the operations of a step on each device, 0 if unknown."""
    total = self._clock() - self._begin
    in_steps = max(total - sum(self._spent.values()), 1e-9)
    rate = f', {flops * steps / in_steps / 1e9:,.3g} GFLOP/s on each device within steps' if flops else ''
    shares = ', '.join(f'{name} {seconds / total:.1%}' for name, seconds in self._spent.items())
    return f'{steps * images_per_step / total:,.0f} images/s{rate}; time: {shares}, steps {in_steps / total:.1%}'


class Speed:
  """Measures the time between logged steps, including drawing, evaluation and saving."""

  def __init__(self, folder: Path, step: int, images_per_step: int,
               clock: Callable[[], float] = time.monotonic) -> None:
    """Continues the measurement after `step` of the run in `folder`.

    Args:
      folder: the run folder.
      step: step of the checkpoint from which the run continues.
      images_per_step: training images per step.
      clock: returns seconds.
    """
    path = folder / FILE
    self._file = MetricsFile(path, step)
    self._clock, self._images = clock, images_per_step
    seconds = read_rows(path).series().get('speed/seconds')
    self._before = float(seconds[1][-1]) if seconds else 0.   # seconds of earlier starts
    self._start = clock()
    self._last: tuple[int, float] | None = None   # (step, time) of the last logged step

  def add(self, step: int) -> dict[str, float]:
    """{name: number} for the steps since the last logged one; {} at the first call, whose time includes compilation."""
    now, last = self._clock(), self._last
    self._last = (step, now)
    if last is None or now <= last[1]:
      return {}
    rate = (step - last[0]) / (now - last[1])
    numbers = {'speed/steps_per_second': rate, 'speed/images_per_second': rate * self._images,
               'speed/seconds': self._before + now - self._start}
    self._file.write(step, numbers)
    return numbers

  def close(self) -> None:
    self._file.close()
