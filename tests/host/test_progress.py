"""The progress line, on a terminal and in a file."""

import io
import sys

import pytest

from jgen.host import progress
from jgen.host.progress import Counter, Progress, counted, duration


class Clock:
  now = 100.

  def monotonic(self):
    return self.now


@pytest.fixture
def shown(monkeypatch):
  """(clock, a function that makes a stream the standard output)."""
  clock = Clock()
  monkeypatch.setattr(progress, 'time', clock)
  def use(terminal):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, 'stdout', stream)
    return stream
  return clock, use


def test_plain_lines_come_every_15_seconds_and_at_the_end(shown):
  clock, use = shown
  stream = use(terminal=False)
  line = Progress(num_steps=100, images_per_step=10)
  for step in range(10, 101, 10):   # a step a second, after a first dispatch that took long
    clock.now += 10
    if step == 10:
      line.begin(step)
    line.update(step, {'critic/loss': step / 10, 'critic/penalty': 5.})
  _, *lines = stream.getvalue().splitlines()
  assert [text.split()[1] for text in lines] == ['20', '40', '60', '80', '100']
  assert lines[1] == 'step 40 of 100 (40%)  1 steps/s  10 images/s  1m00s to go  critic/loss 4'
  assert '\r' not in stream.getvalue()


def test_on_a_terminal_one_line_is_rewritten_and_the_last_one_stays(shown, monkeypatch):
  clock, use = shown
  monkeypatch.setenv('COLUMNS', '30')
  stream = use(terminal=True)
  line = Progress(num_steps=20, images_per_step=10)
  for step in (10, 20):
    clock.now += 1
    line.update(step, {'critic/loss': 1.})
  _, first, second, third = stream.getvalue().split('\r\033[K')
  assert len(third) > 29 and third.endswith('\n')
  assert len(second) == 29 and '\n' not in first + second   # cut to the terminal, or it would wrap


def test_a_quiet_process_says_nothing(shown):
  _, use = shown
  stream = use(terminal=False)
  Progress(num_steps=1, images_per_step=1, quiet=True).update(1, {'critic/loss': 1.})
  assert stream.getvalue() == ''


@pytest.mark.parametrize('seconds, text', [
    (0.4, '0s'), (59.6, '1m00s'), (61, '1m01s'), (3600, '1h00m'), (7384, '2h03m')])
def test_durations(seconds, text):
  assert duration(seconds) == text


def test_the_speed_is_of_the_steps_since_the_first_one_that_was_done(shown):
  clock, use = shown
  stream = use(terminal=False)
  line = Progress(num_steps=3, images_per_step=10)
  line.begin(1)
  clock.now += 2
  line.update(1, {})                    # told a dispatch later, and at once with the second where that is waited for
  line.update(3, {})
  assert '1 steps/s  10 images/s' in stream.getvalue()


def test_a_count_of_images_names_what_it_is_for_and_only_the_outermost_is_shown(shown):
  clock, use = shown
  stream = use(terminal=False)
  with progress.task('inception_features'):
    for part in counted(['a' * 40, 'b' * 40, 'c' * 20], 100, 'real images'):
      for _ in counted(part, len(part)):
        clock.now += 1
  assert stream.getvalue().splitlines() == [
      'inception_features: 40 of 100 real images (40%)  1.0 images/s  1m00s to go',
      'inception_features: 80 of 100 real images (80%)  1.0 images/s  20s to go']


def test_a_count_that_ends_early_makes_way_for_the_next(shown):
  clock, use = shown
  stream = use(terminal=True)
  parts = counted([[0] * 50, [0] * 50], 100)
  next(parts)
  clock.now += 5
  next(parts)
  assert '50 of 100 images (50%) 10 images/s 5s to go' in stream.getvalue()
  parts.close()                         # as when the consumer has failed
  assert stream.getvalue().endswith('\r\033[K')
  with Counter(100, quiet=True) as counter:
    clock.now += 5
    counter.update(50)
  with Counter(100) as counter:
    clock.now += 5
    counter.update(20)
  assert stream.getvalue().count(' of 100') == 2 and '20 of 100' in stream.getvalue()
