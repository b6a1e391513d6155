"""Traces training steps for TensorBoard's profiler."""

import math
from typing import Any

import jax

from jgen.errors import UserError


def check(section: Any) -> None:
  """Raises UserError unless `profile_steps` of a config is () or (first, last) within the run, between dispatches."""
  steps, per_dispatch = tuple(section.profile_steps), section.steps_per_dispatch
  if not steps:
    return
  last = section.num_steps or math.inf   # a length in epochs becomes steps only when the images are known
  if len(steps) != 2 or not 0 <= steps[0] < steps[1] <= last or any(s % per_dispatch for s in steps):
    raise UserError(f'config.profile_steps is {steps}; expected (), or two multiples of config.steps_per_dispatch '
                    f'({per_dispatch}), the first below the second, from 0 to the last step ({last})')


class Profiler:
  """Traces host and devices after the first of `steps`, up to the last."""

  def __init__(self, steps: tuple[int, ...], folder: str) -> None:
    """`steps` is (first, last), or () for no trace; `folder` is that of TensorBoard's event files."""
    self._first, self._last = steps or (-1, -1)
    self._folder, self._running = folder, False

  def after(self, step: int, metrics: Any) -> None:
    """Starts or ends the trace if `step` is the first or the last; it then waits for `metrics` of that step."""
    if step == self._first:
      jax.block_until_ready(metrics)
      jax.profiler.start_trace(self._folder)
      self._running = True
    elif step == self._last and self._running:
      jax.block_until_ready(metrics)
      self.close()

  def close(self) -> None:
    """Ends a running trace and writes it."""
    if self._running:
      self._running = False
      jax.profiler.stop_trace()
