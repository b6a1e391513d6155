"""How fast a training is, and how long it took: speed.csv, beside metrics.csv, which says nothing of time.

metrics.csv is the same for the same seed, on any day; what depends on the machine has a file of its own.
"""

import time

from jgen.run.metrics import MetricsFile, read_rows

FILE = 'speed.csv'


class Speed:
  """Measures from one logged step to the next, pauses for drawing, measuring and saving included."""

  def __init__(self, folder, step, images_per_step, clock=time.monotonic):
    """Goes on after `step` of the run in `folder`.

    Args:
      folder: the run folder.
      step: of the checkpoint that the run goes on from.
      images_per_step: training images of a step.
      clock: gives seconds.
    """
    path = folder / FILE
    self._file = MetricsFile(path, step)
    self._clock, self._images = clock, images_per_step
    seconds = read_rows(path).series().get('speed/seconds')
    self._before = float(seconds[1][-1]) if seconds else 0.   # of earlier starts
    self._start, self._last = clock(), None

  def add(self, step: int) -> dict[str, float]:
    """{name: number} of the steps since the one before; {} at the first of a start, which compiles."""
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
