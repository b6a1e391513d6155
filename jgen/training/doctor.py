"""Watches the metrics of adversarial training for signs of failure, reports them and suggests remedies.

The signs are those of Chintala et al. 2016, "How to train a GAN? Tips and tricks to make GANs work", no. 10, and mode
collapse. The doctor reads only stored values, so a resumed run gets the same messages as an uninterrupted one.
"""

import collections
from collections.abc import Callable, Mapping
import csv
import dataclasses
import io
import operator
import os
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from jgen import keys
from jgen.host.files import write_text
from jgen.keys import key
from jgen.run.records import read_record

_LEAST_ROWS = 10                        # rows per window, which is extended if it has fewer
_PARTS = 5                              # parts of a window; a loss falls steadily if each part is below the one before
_HEADER = ('step', 'sign', 'event', 'value', 'threshold', 'advice')


@dataclasses.dataclass(frozen=True)
class Limits:
  """The keys of config.doctor: thresholds of the signs that an adversarial training fails, see docs/gan.md."""

  window_steps: int = key(1_000, 'steps of the window in which signs are looked for, at least 10 logged rows; '
                          'no sign is reported before', at_least=1)
  least_critic_loss: float = key(0.05, "mean of the critic's loss without its penalty, below which the critic has won; "
                                 '0 for none', at_least=0)
  largest_gradient_norm: float = key(100., "median of the norm of either network's gradient, above which it is too "
                                     'large; .inf for none', above=0, finite=False)
  largest_loss_variation: float = key(1., "standard deviation of the critic's loss divided by its mean; .inf for "
                                          'none', above=0, finite=False)
  largest_generator_fall: float = key(
      0.1, "fall of the generator's loss over the window, if it is steady and most samples are taken for real; .inf "
           'for none', above=0, finite=False)
  least_diversity: float = key(
      0.3, 'distance between samples relative to that between real images, below which a generator has collapsed; 0 '
           'for none', at_least=0)


@dataclasses.dataclass(frozen=True)
class Sign:
  """One sign that training fails."""

  name: str
  metrics: tuple[str, ...]              # inputs; runs that lack one of them are not checked for the sign
  measure: Callable                     # (values [R] of each metric in the window) -> number
  beyond: Callable                      # (number, threshold) -> whether the sign is present
  threshold: str                        # name of a field of Limits
  meaning: str                          # text that follows the number in a message
  advice: str
  windowed: bool = True                 # whether the window is measured, or the last row alone


def mean(values: np.ndarray, *_: Any) -> float:
  return values.mean()


def median(values: np.ndarray) -> float:
  return np.median(values)


def least(*values: np.ndarray) -> float:
  return min(value[-1] for value in values)


def variation(values: np.ndarray, *_: Any) -> float:
  """Standard deviation divided by the mean; 0 for a loss of 0."""
  return values.std() / abs(values.mean()) if values.any() else 0.


def fall_while_fooled(losses: np.ndarray, accuracies: np.ndarray) -> float:
  """The decrease of a loss from the first to the last part of the window, if it fell in every part.

  Otherwise 0; also 0 if the critic still classifies most generated images correctly in the last part.
  """
  parts = [part.mean() for part in np.array_split(losses, _PARTS)]
  fooled = np.array_split(accuracies, _PARTS)[-1].mean() < 0.5
  return parts[0] - parts[-1] if fooled and (np.diff(parts) < 0).all() else 0.


# A Wasserstein critic has no boundary between real and generated images, and so logs no accuracy. Its loss, which has
# no lower bound and may well be 0, shows none of the signs that read an accuracy.
SIGNS = (
    Sign('critic loss near 0', ('critic/adversarial', 'critic/real_accuracy'), mean, operator.lt, 'least_critic_loss',
         'on average, without a penalty: the critic has won, and the generator has little to learn from',
         "lower model.critic_optimizer.learning_rate, raise model.generator_steps, or make the critic's task harder: "
         'model.instance_noise, model.diff_augment, model.critic_targets, augmentation'),
    Sign("critic's gradient too large", ('critic/gradient_norm',), median, operator.gt, 'largest_gradient_norm',
         'is the median of its norm',
         'lower model.critic_optimizer.learning_rate, set model.critic.spectral_norm, or choose a model.penalty'),
    Sign("generator's gradient too large", ('generator/gradient_norm',), median, operator.gt, 'largest_gradient_norm',
         "is the median of its norm: the critic's output changes steeply with the image",
         'lower model.generator_optimizer.learning_rate, set model.critic.spectral_norm, or choose a model.penalty'),
    Sign('critic loss varies much', ('critic/adversarial', 'critic/real_accuracy'), variation, operator.gt,
         'largest_loss_variation', 'is its standard deviation divided by its mean: training oscillates',
         'lower both learning rates or b1, raise batch_size, or smooth the labels: model.critic_targets.real=0.9'),
    Sign('generator loss falls steadily', ('generator/adversarial', 'critic/fake_accuracy'), fall_while_fooled,
         operator.gt, 'largest_generator_fall',
         'is its decrease while the critic takes most samples for real: they may be poor',
         'raise model.critic_optimizer.learning_rate, model.critic_steps or the channels in model.critic.features'),
    Sign('mode collapse', ('diversity/pair_ratio', 'diversity/nearest_ratio'), least, operator.lt, 'least_diversity',
         'is the mean distance between samples divided by that between real images: samples look alike',
         "set model.loss='wasserstein' with model.penalty='gradient_penalty', lower "
         'model.generator_optimizer.learning_rate, raise batch_size or model.critic_steps', windowed=False))


@dataclasses.dataclass(frozen=True)
class Finding:
  """A sign that begins or ends."""

  step: int
  sign: Sign
  begins: bool
  value: float
  threshold: float

  def __str__(self):
    if not self.begins:
      return f'doctor, step {self.step:,}: no longer: {self.sign.name}'
    return (f'doctor, step {self.step:,}: {self.sign.name}: {self.value:.3g} {self.sign.meaning} (limit '
            f'{self.threshold:g}). Try: {self.sign.advice}')

  def row(self) -> str:
    """The finding as a line of doctor.csv."""
    text = io.StringIO()
    event = 'begins' if self.begins else 'ends'
    advice = self.sign.advice if self.begins else ''
    csv.writer(text, lineterminator='\n').writerow(
        (self.step, self.sign.name, event, repr(self.value), repr(self.threshold), advice))
    return text.getvalue()


class Watch:
  """Checks each row for one sign."""

  def __init__(self, sign: Sign, threshold: float, window_steps: int) -> None:
    self._sign, self._threshold, self._window = sign, threshold, window_steps
    self._rows: collections.deque[tuple] = collections.deque()   # (step, *values of the sign's metrics)
    self._last_seen = None              # last step that showed the sign; None once the sign has ended

  def add(self, step: int, numbers: Mapping[str, float]) -> Finding | None:
    """The Finding caused by the metrics {name: value} of a step, or None."""
    if any(name not in numbers for name in self._sign.metrics):
      return None
    self._rows.append((step, *(numbers[name] for name in self._sign.metrics)))
    while len(self._rows) > self._least_rows and self._rows[0][0] <= step - self._window:
      self._rows.popleft()
    if step < self._window or len(self._rows) < self._least_rows:
      return None                       # the first metrics of every run are unusual
    return self._evaluate(step)

  @property
  def _least_rows(self):
    return _LEAST_ROWS if self._sign.windowed else 1

  def _evaluate(self, step):
    _, *values = np.array(self._rows, np.float64).T
    value, was_present = float(self._sign.measure(*values)), self._last_seen is not None
    if self._sign.beyond(value, self._threshold):
      self._last_seen = step
    elif was_present and step - self._last_seen >= self._window:   # ends after a whole window, or it would flicker
      self._last_seen = None
    present = self._last_seen is not None
    return None if present == was_present else Finding(step, self._sign, present, value, self._threshold)


class Doctor:
  """Reports findings on the terminal, in TensorBoard and in doctor.csv."""

  def __init__(self, section: Any, folder: Path, step: int, writer: Any, say: Callable[[str], None]) -> None:
    """Continues after `step` of the run in `folder`, from the values stored up to that step.

    Args:
      section: config.doctor
      folder: the run folder
      step: step of the checkpoint from which the run continues
      writer: a clu metric writer
      say: called with each line for the terminal
    """
    limits = keys.read(Limits, section, 'config.doctor')
    self._watches = [Watch(sign, getattr(limits, sign.threshold), limits.window_steps) for sign in SIGNS]
    self._writer, self._say = writer, say
    self._path = folder / 'doctor.csv'
    self._file: TextIO | None = None
    series = read_record(folder).series
    before = ''.join(finding.row() for finding in self._replay(series, step))
    self._path.unlink(missing_ok=True)
    self._open(series, before)

  def _open(self, names, before=''):
    """Creates doctor.csv once metrics of a sign exist; non-adversarial runs have no such file."""
    if self._file is None and any(set(sign.metrics) <= set(names) for sign in SIGNS):
      write_text(self._path, ','.join(_HEADER) + '\n' + before)
      self._file = self._path.open('a', encoding='utf-8')

  def _replay(self, series, last):
    """All findings in the stored series {name: (steps, values)} up to the step `last`."""
    rows: dict[int, dict[str, float]] = collections.defaultdict(dict)
    for name, (steps, values) in series.items():
      for step, value in zip(steps.astype(int).tolist(), values.tolist(), strict=True):
        rows[step][name] = value
    return [finding for step in sorted(rows) if step <= last for finding in self._look(step, rows[step])]

  def _look(self, step, numbers):
    findings = [watch.add(step, numbers) for watch in self._watches]
    return [finding for finding in findings if finding]

  def add(self, step: int, numbers: Mapping[str, float]) -> None:
    """Checks the logged or evaluated numbers {name: value} of a step; steps must not decrease from call to call."""
    self._open(numbers)
    if self._file is None:              # no sign has all its metrics
      return
    for finding in self._look(step, numbers):
      self._file.write(finding.row())
      self._file.flush()
      self._writer.write_texts(step, {'doctor': str(finding)})
      self._say(str(finding))

  def close(self) -> None:
    if self._file is not None:
      os.fsync(self._file.fileno())
      self._file.close()
