"""Processes training metrics with a delay of one dispatch, so that the devices never wait for the host."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import jax
import numpy as np

from jgen.errors import UserError
from jgen.host.progress import Progress
from jgen.run.metrics import EPOCH, MetricsFile
from jgen.training.doctor import Doctor
from jgen.training.speed import Speed


@dataclasses.dataclass(frozen=True)
class Watcher:
  """The receivers of the metrics of one seed."""

  metrics_file: MetricsFile
  writer: Any                           # a clu metric writer
  doctor: Doctor
  name: str = ''                        # name of the seed; '' for a run of one seed

  def see(self, step: int, epoch: float, scalars: Mapping[str, float], speed: Mapping[str, float]) -> None:
    """Writes the metrics of a step; `epoch` is the number of passes over the images so far."""
    row = {EPOCH: epoch, **scalars}
    self.metrics_file.write(step, row)
    self.writer.write_scalars(step, {**row, **speed})
    self.doctor.add(step, scalars)


class Monitor:
  """Checks the metrics of every step, writes those that are due, passes them to the doctor and shows progress."""

  def __init__(self, log_every_steps: int, epochs_per_step: float, watchers: Sequence[Watcher], progress: Progress,
               speed: Speed) -> None:
    """`watchers` has one Watcher for each of N seeds; `speed` is a `Speed` of jgen.training."""
    self._log_every_steps, self._epochs_per_step = log_every_steps, epochs_per_step
    self._watchers, self._progress = watchers, progress
    self._speed, self._begun = speed, False
    self._pending: tuple[int, Mapping[str, jax.Array]] | None = None   # (last step, metrics) of the previous dispatch

  def add(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
    """Receives the metrics {name: [D, S], with N seeds [D, S, N]} of the dispatch that ends with `step`.

    Processes those of the previous dispatch.
    """
    if not self._begun:
      jax.block_until_ready(metrics)    # once, so that speed is measured from a completed step
      self._progress.begin(step)
      self._begun = True
    before, self._pending = self._pending, (step, metrics)
    self._process(before)

  def flush(self) -> None:
    """Processes all metrics so far, waiting for the devices, and flushes them to disk."""
    before, self._pending = self._pending, None
    self._process(before)
    for watcher in self._watchers:
      watcher.metrics_file.sync()

  def _process(self, pending):
    if pending is None:
      return
    last, metrics = pending
    # All devices hold the same averages; those of the first are read.
    table = {name: np.asarray(value.addressable_shards[0].data)[0] for name, value in metrics.items()}
    steps, shape = next(iter(table.values())).shape[0], (-1, len(self._watchers))
    table = {name: values.reshape(shape) for name, values in table.items()}
    for i in range(steps):
      step = last - steps + 1 + i
      of_seeds = [{name: float(values[i, k]) for name, values in table.items()} for k in range(shape[1])]
      for watcher, scalars in zip(self._watchers, of_seeds, strict=True):
        check_finite(step, scalars, watcher.name)
      if step % self._log_every_steps == 0:
        speed = self._speed.add(step)
        for watcher, scalars in zip(self._watchers, of_seeds, strict=True):
          watcher.see(step, step * self._epochs_per_step, scalars, speed)
    self._progress.update(last, {name: float(values[-1].mean()) for name, values in table.items()})


def check_finite(step: int, scalars: Mapping[str, float], of_seed: str = '') -> None:
  """Raises UserError at the first step whose metrics hold NaN or infinity, naming them and their values."""
  bad = {name: value for name, value in scalars.items() if not np.isfinite(value)}
  if bad:
    finite = {name: value for name, value in scalars.items() if name not in bad and name.endswith('/loss')}
    show = lambda values: ', '.join(f'{name} = {value:.4g}' for name, value in values.items())
    raise UserError(
        f'training{of_seed and f" of {of_seed}"} diverged at step {step}: {show(bad)}' +
        (f' (finite: {show(finite)})' if finite else '') +
        '; earlier checkpoints are kept; lower the learning rates, or look at the last rows of metrics.csv')
