"""Scores of several runs side by side, as CSV, as Markdown and as rows, with the best one marked."""

from collections.abc import Sequence
import csv
import dataclasses
import io
from pathlib import Path

import numpy as np

from jgen.report.drawing import number_text
from jgen.run import scores
from jgen.run.receipt import MEASURE, differing
from jgen.run.records import Record

MEAN = 'mean ± standard deviation'      # over the seeds
LAST_STEP = '(last logged step)'        # the first of the names of numbers
_LIKELIHOOD = 'ledger/pixel_variance'   # of the Gaussian likelihood that nats of images refer to


@dataclasses.dataclass(frozen=True)
class Compared:
  """One run of a comparison, as stored."""

  name: str
  settings: str
  status: str                           # 'done' for a run that is trained to its end
  error: str                            # of a run that failed
  record: Record
  pictures: dict[str, tuple[int, Path]]   # {kind: (step, file)} of the last picture of each kind
  receipts: dict[str, dict]             # {evaluator: the receipt of its last evaluation, {} for none}


def table(runs: Sequence[Compared], with_settings: bool = False) -> dict[str, list[float | None]]:
  """{name: [last value in each run, or None]}: first the numbers of evaluations, then those logged in training."""
  evaluated = [evaluated_numbers(run, with_settings) for run in runs]
  logged = [_last_logged(run.record, scores) for run, scores in zip(runs, evaluated, strict=True)]
  names = [*dict.fromkeys(name for values in evaluated for name in values),
           *sorted({name for values in logged for name in values})]
  columns = [{**scores, **metrics} for scores, metrics in zip(evaluated, logged, strict=True)]
  return {name: [column.get(name) for column in columns] for name in names}


def are_seeds(runs: Sequence[Compared]) -> bool:
  """Whether there are at least two runs that differ in their seed alone, so that a mean over them makes sense."""
  configs = [{**run.record.config, 'seed': None} for run in runs]
  seeds = {run.record.config.get('seed') for run in runs}
  return len(runs) > 1 and len(seeds) == len(runs) and all(config == configs[0] for config in configs)


def over_seeds(values: Sequence[float | None]) -> str:
  """'mean ± standard deviation' of a number over several runs; '' if a run lacks it."""
  present = [value for value in values if value is not None]
  if len(present) < len(values):
    return ''
  return f'{number_text(float(np.mean(present)))} ± {number_text(float(np.std(present, ddof=1)))}'


def evaluated_numbers(run: Compared, with_settings: bool = False) -> dict[str, float]:
  """{name: number} of each evaluator's last evaluation; its step and its settings only on request."""
  return {name: value for name, value in run.record.latest.items()
          if scores.is_number(value) and (with_settings or not scores.is_setting(name))}


def _last_logged(record, evaluated):
  """{name: value} of the last row of metrics.csv, which is the same on any machine, and the step of that row."""
  last = {name: (int(steps[-1]), values[-1].item()) for name, (steps, values) in record.series.items()
          if name not in evaluated and name not in record.latest and not name.startswith('speed/')}
  values = {name: value for name, (_, value) in last.items()}
  return {**values, LAST_STEP: max(step for step, _ in last.values())} if last else {}


def best_of(name: str, values: Sequence[float | None], runs: Sequence[Compared]) -> float | None:
  """The best value of a number [one per run], among finished runs; None if it is unknown.

  It is unknown if receipts differ, or if the number cannot rank runs with different likelihoods.
  """
  done = {index: value for index, (value, run) in enumerate(zip(values, runs, strict=True))
          if run.status == 'done' and value is not None}
  ranks = scores.kind(name).among == scores.RUNS or scores.kind(name).among == scores.LIKELIHOOD and len(
      {run.record.latest.get(_LIKELIHOOD) for run in runs}) == 1
  if len(done) < 2 or not ranks or why_unlike(name, runs):
    return None
  first = scores.best(done, scores.kind(name).better)
  return None if first is None else done[first]


def why_unlike(name: str, runs: Sequence[Compared]) -> str:
  """Why the runs with the score `name` cannot be ranked by it: a field in which receipts differ; '' for none."""
  evaluator = name.partition('/')[0]
  receipts = [(run.name, run.receipts[evaluator]) for run in runs if name in run.record.latest]
  for run, receipt in receipts[1:]:
    field = differing(receipts[0][1], receipt)
    if field:
      return f'{field}, {MEASURE[field]}, differs between {receipts[0][0]} and {run}'
  return ''


def csv_table(runs: Sequence[Compared]) -> str:
  """One row per run: its name, settings, status, and every number that any run has, in full precision."""
  numbers = table(runs, with_settings=True)
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(['variation', 'settings', 'status', *numbers])
  for index, run in enumerate(runs):
    writer.writerow([run.name, run.settings, run.status, *(values[index] for values in numbers.values())])
  return text.getvalue()


def markdown_table(runs: Sequence[Compared]) -> str:
  """One column per run and one row per number, the best one bold if it is known; then the errors of failed runs."""
  rows = [['', *(run.name for run in runs)], ['---'] * (len(runs) + 1),
          ['settings', *(run.settings for run in runs)], ['status', *(run.status for run in runs)]]
  numbers, with_mean = table(runs), are_seeds(runs)
  best = {name: best_of(name, values, runs) for name, values in numbers.items()}
  rows += [[name, *(_cell(value, value == best[name]) for value in values)] for name, values in numbers.items()]
  if with_mean:
    rows = [[*row, mean] for row, mean in zip(
        rows, [MEAN, '---', '', '', *map(over_seeds, numbers.values())], strict=True)]
  lines = ['| ' + ' | '.join(cell.replace('|', r'\|') for cell in row) + ' |' for row in rows]
  if any(value is not None for value in best.values()):
    lines += ['', 'Bold: the best among the finished runs.']
  lines += [f'\n{run.name} failed: {run.error}' for run in runs if run.status == 'failed']
  return '\n'.join(lines) + '\n'


def _cell(value, best):
  if value is None:
    return ''
  text = number_text(value)
  return f'**{text}**' if best and value is not None else text
