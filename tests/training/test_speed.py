"""Where the time of training goes, with a clock that the test controls."""

import pytest

from jgen.training.speed import Parts


class Clock:
  now = 0.

  def __call__(self):
    return self.now


def test_the_last_line_says_how_fast_and_where_the_time_went():
  clock = Clock()
  parts = Parts(clock)
  def batches():
    for _ in range(4):
      clock.now += 0.5                  # 2 s of input
      yield 'batch'
  for _ in parts.waiting(batches(), 'input'):
    clock.now += 4                      # 16 s of steps
    with parts.of('evaluation'):
      clock.now += 0.5                  # 2 s of evaluation
  with pytest.raises(KeyError), parts.of('checkpoints'):
    raise KeyError                      # is counted as well
  assert parts.line(steps=4, images_per_step=100, flops=4e9) == (
      '20 images/s, 1 GFLOP/s on each device within steps; time: input 10.0%, evaluation 10.0%, '
      'checkpoints 0.0%, steps 80.0%')
  assert 'FLOP' not in parts.line(4, 100, 0)
