"""Reads the stored numbers of a run, `metrics.csv`, `speed.csv` and `evaluation/*.json`, and its config."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from jgen.host import terminal
from jgen.run.config import flatten
from jgen.run.folder import read_config
from jgen.run.metrics import EPOCH, read_rows
from jgen.run.scores import read_all


@dataclasses.dataclass(frozen=True)
class Record:
  """Metrics, evaluations and config of one run."""

  series: dict[str, tuple[np.ndarray, np.ndarray]]   # name: (increasing training steps [R], values [R])
  latest: dict[str, Any]                             # entries of each evaluator's last evaluation, including lists
  config: dict[str, object] = dataclasses.field(default_factory=dict)   # {dotted key: value} of config.json
  epochs_per_step: float | None = None               # passes over the training images; None if not stored


def read_record(workdir: str | Path) -> Record:
  """The Record of a run folder; evaluations are named as in TensorBoard, `<evaluator>/<entry>`.

  Warns if the last line of a csv file is truncated; raises a UserError that names the file if a file is damaged.
  """
  workdir = Path(workdir)
  series, latest = _read_evaluations(workdir)
  for name in ('metrics.csv', 'speed.csv'):
    rows = read_rows(workdir / name)
    if rows.cut_short:
      terminal.warn(f'{workdir / name}: the last line is truncated and was left out, as after a kill or on a full disk')
    series |= rows.series()
  config = flatten(read_config(workdir)) if (workdir / 'config.json').exists() else {}
  steps, epochs = series.pop(EPOCH, ((), ()))
  return Record(series, latest, config, epochs[-1] / steps[-1] if len(steps) else None)


def read_metrics(workdir: str | Path) -> dict[str, np.ndarray]:
  """{column: float64 [R]} of a run's metrics.csv, including 'step'; {} if nothing is logged yet.

  Raises:
    UserError: the file is damaged.
  """
  series = read_rows(Path(workdir) / 'metrics.csv').series()
  steps = {'step': next(iter(series.values()))[0]} if series else {}
  return steps | {name: values for name, (_, values) in series.items()}


def _read_evaluations(folder):
  """The series and the latest entries of a Record, from all evaluations in order of their steps."""
  scalars: dict[str, list[tuple[int, float]]] = {}
  latest: dict[str, Any] = {}
  for evaluation in read_all(folder):
    for name, value in evaluation.numbers().items():
      scalars.setdefault(name, []).append((evaluation.step, value))
    latest |= {f'{evaluation.evaluator}/{entry}': value for entry, value in evaluation.results.items()}
    latest[f'{evaluation.evaluator}/step'] = evaluation.step
  return {name: tuple(np.array(pairs, float).T) for name, pairs in scalars.items()}, latest
