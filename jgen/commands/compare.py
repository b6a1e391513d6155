"""--mode=compare: several runs side by side on one page, ranked by scores measured in the same way."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jgen.errors import UserError
from jgen.host import terminal
from jgen.report import comparison
from jgen.run import seeds
from jgen.run.receipt import MEASURE, MODEL, differing
from jgen.run.scores import HIGHER, LOWER, RUNS, Evaluation, best, kind, read_all

_WORDS = {LOWER: 'lowest', HIGHER: 'highest'}


def run(paths: Sequence[Path], workdir: Path | None = None) -> None:
  """Ranks runs by their common scores, and shows the runs side by side on one page.

  For each common score, the runs are printed in order, the best first, with their last and their best value. Paths
  that hold no run are skipped with a notice.

  Args:
    paths: run folders (each seed counts as a run), folders that --mode=score wrote, or single files of their
      `evaluation` folders.
    workdir: folder for the page, which shows the runs among the paths; runs/comparison by default.

  Raises:
    UserError: fewer than two paths are usable; the folder for the page holds something else; or there are no runs and
      nothing can be ranked.
  """
  paths = [folder for path in dict.fromkeys(paths) for folder in seeds.folders(Path(path))]
  folders = [path for path in paths if (path / 'config.json').exists()]
  scored, without = _read_scores(paths)
  useless = [why for path, why in without.items() if path not in folders]
  if len(paths) - len(useless) < 2:
    raise UserError('; '.join(['--mode=compare takes at least two run folders or stored scores: python launch.py '
                               '--mode=compare runs/A runs/B', *useless]))
  for why in useless:
    terminal.tell(f'skipped, not a run: {why}')
  page = comparison.compare(folders, workdir or Path('runs/comparison')) if len(folders) > 1 else None
  try:
    _rank(scored)
  except UserError as error:
    if not page:
      raise
    terminal.tell(f'not ranked: {error}')
  if page:
    terminal.say(f'comparison   {page}')


def _read_scores(paths):
  """({path as text: {evaluator: [Evaluation]}} for paths with scores, {path: why not} for the others)."""
  scored, without = {}, {}
  for path in paths:
    try:
      scored[str(path)] = read(path)
    except NoScoresError as error:
      without[path] = str(error)
  return scored, without


def _rank(scored):
  """Prints the rankings of {path: {evaluator: [Evaluation]}}; raises UserError if something cannot be ranked."""
  if len(scored) < 2:
    raise UserError('fewer than two of them hold scores that can be ranked')
  shared = [name for name in next(iter(scored.values())) if all(name in stored for stored in scored.values())]
  if not shared:
    raise UserError('no evaluator has measured all of them: ' + '; '.join(
        f'{path} has {", ".join(stored)}' for path, stored in scored.items()))
  refused = []
  for name in shared:
    evaluations = {path: stored[name] for path, stored in scored.items()}
    why = unlike(name, evaluations)
    refused += [why] if why else []
    terminal.say('' if why else table(name, evaluations), end='')
  if refused:
    raise UserError('; '.join(refused))


class NoScoresError(UserError):
  """Raised for a path without stored scores."""


def read(path: str | Path) -> dict[str, list[Evaluation]]:
  """{evaluator: [Evaluation] in the order of their steps}, for evaluations with receipts and scores that rank runs.

  Raises:
    NoScoresError: there are none.
    UserError: a file is damaged.
  """
  path = Path(path)
  if not path.exists():
    raise NoScoresError(f'{path} is neither a run folder nor a file of scores')
  stored: dict[str, list[Evaluation]] = {}
  evaluations = read_all(path) if path.is_dir() else [Evaluation.read(path)]
  for evaluation in evaluations:
    if evaluation.receipt and any(map(_ranking, evaluation.numbers())):
      stored.setdefault(evaluation.evaluator, []).append(evaluation)
  if not evaluations and path.is_dir() and not (path / 'config.json').exists():
    raise NoScoresError(f'{path} holds no run and no score')
  if not stored:
    raise NoScoresError(f'{path} holds no score that can be ranked; measure one: python launch.py --mode=evaluate '
                    f'--workdir={path} --evaluators=random_features')
  return stored


def unlike(name: str, evaluations: Mapping[Any, list[Evaluation]]) -> str:
  """Why the last evaluations of the paths {path: [Evaluation]} cannot be ranked; '' if they can."""
  (first, reference), *others = ((path, stored[-1]) for path, stored in evaluations.items())
  for path, evaluation in others:
    field = differing(reference.receipt, evaluation.receipt)
    if field:
      values = _shown(reference.receipt.get(field), evaluation.receipt.get(field))
      return f'{name} of {first} and {path} cannot be ranked: {field}, {MEASURE[field]}, is {" and ".join(values)}'
  return ''


def _shown(*values):
  """Two different values as texts; of mappings the entries that differ."""
  if all(isinstance(value, dict) for value in values):
    keys = [key for key in dict.fromkeys([*values[0], *values[1]]) if values[0].get(key) != values[1].get(key)]
    return [', '.join(f'{key}={value.get(key)}' for key in keys) for value in values]
  return [f'{value:,}' if isinstance(value, int) else str(value) for value in values]


def table(name: str, evaluations: Mapping[Any, list[Evaluation]]) -> str:
  """The ranking by each common score of the last evaluations {path: [Evaluation]}, with notes on their models.

  A score that is not a number comes last.
  """
  last = {path: stored[-1] for path, stored in evaluations.items()}
  numbers = {path: evaluation.numbers() for path, evaluation in last.items()}
  lines = []
  for score in next(iter(numbers.values())):
    better = _ranking(score)
    if better and all(score in scores for scores in numbers.values()):
      lines += [f'{score}, the {_WORDS[better]} first']
      values = {path: scores[score] for path, scores in numbers.items()}
      lines += [f'  {place}. {_line(path, score, evaluations[path], better)}'
                for place, path in enumerate(_ranked(values, better), 1)]
  return '\n'.join([*lines, *_notes(last)]) + '\n'


def _ranking(score):
  """HIGHER or LOWER for a score that ranks runs, '' for others."""
  return kind(score).better if kind(score).among == RUNS else ''


def _ranked(values, better):
  """The keys of {key: number}, the best first."""
  ranked: list = []
  while len(ranked) < len(values):
    unranked = {key: value for key, value in values.items() if key not in ranked}
    first = best(unranked, better)
    ranked += unranked if first is None else [first]
  return ranked


def _line(path, score, stored, better):
  comparable = {evaluation.step: evaluation.numbers()[score] for evaluation in stored
                if not differing(evaluation.receipt, stored[-1].receipt) and score in evaluation.numbers()}
  last, first = stored[-1].step, best(comparable, better)
  line = f'{path}: {comparable[last]:.6g} at step {last:,}, the last; best '
  return line + ('none' if first is None else f'{comparable[first]:.6g} at step {first:,}')


def _notes(last):
  """Notes on properties in which ranked models are allowed to differ, if they do."""
  notes = []
  for field in ('averaged_parameters', 'batch_norm'):
    values = {path: evaluation.receipt.get(field) for path, evaluation in last.items()}
    if len(set(map(repr, values.values()))) > 1:
      notes += [f'  note: {field}, {MODEL[field]}: ' + ', '.join(f'{path} {value}' for path, value in values.items())]
  return notes
