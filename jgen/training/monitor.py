"""Follows the metrics of a training, one dispatch behind it, so that the devices never wait for the host."""

from collections.abc import Mapping

import numpy as np

from jgen.errors import UserError
from jgen.run.metrics import EPOCH


class Monitor:
  """Checks every step's metrics, writes those that are due and shows them to the doctor, shows the progress."""

  def __init__(self, log_every_steps, epochs_per_step, metrics_file, writer, progress, doctor, speed):
    """`writer` is a clu metric writer, `doctor` a `Doctor` and `speed` a `Speed` of jgen.training."""
    self._log_every_steps, self._epochs_per_step = log_every_steps, epochs_per_step
    self._metrics_file, self._writer, self._progress, self._doctor = metrics_file, writer, progress, doctor
    self._speed, self._pending = speed, None

  def add(self, step, metrics):
    """Takes the metrics {name: [D, S]} of the dispatch that ends with `step`, and deals with those before."""
    before, self._pending = self._pending, (step, metrics)
    self._process(before)

  def flush(self):
    """Deals with all metrics so far, waiting for the devices, and brings them to the disk."""
    before, self._pending = self._pending, None
    self._process(before)
    self._metrics_file.sync()

  def _process(self, pending):
    if pending is None:
      return
    last, metrics = pending
    # All devices hold the same averages; the first one's are read.
    table = {name: np.asarray(value.addressable_shards[0].data)[0] for name, value in metrics.items()}
    steps = next(iter(table.values())).shape[0]
    for i in range(steps):
      step, scalars = last - steps + 1 + i, {name: float(values[i]) for name, values in table.items()}
      check_finite(step, scalars)
      if step % self._log_every_steps == 0:
        row = {EPOCH: step * self._epochs_per_step, **scalars}
        self._metrics_file.write(step, row)
        self._writer.write_scalars(step, {**row, **self._speed.add(step)})
        self._doctor.add(step, scalars)
    self._progress.update(last, scalars)


def check_finite(step: int, scalars: Mapping[str, float]) -> None:
  """Raises UserError at the first step whose metrics hold NaN or infinity, naming them and their values."""
  bad = {name: value for name, value in scalars.items() if not np.isfinite(value)}
  if bad:
    rest = {name: value for name, value in scalars.items() if name not in bad and name.endswith('/loss')}
    show = lambda values: ', '.join(f'{name} = {value:.4g}' for name, value in values.items())
    raise UserError(
        f'training diverged at step {step}: {show(bad)}' + (f' (finite: {show(rest)})' if rest else '') +
        '; the checkpoints before are kept; lower the learning rates, or look at the last rows of metrics.csv')
