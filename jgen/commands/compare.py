"""--mode=compare: several runs side by side on one page, ranked by scores that were measured in the same way."""

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
  """Ranks runs by the scores that all have, and shows the runs side by side on one page.

  For each score that all have, the runs are printed from the best on: their last value and their best one. What is
  named and is no run is passed over with a notice.

  Args:
    paths: run folders, of which each seed counts as a run; folders that --mode=score wrote, or single files of their
      `evaluation` folders.
    workdir: folder of the page, of the runs among the paths; runs/comparison by default.

  Raises:
    UserError: fewer than two are left; the folder of the page holds something else; or, among scores that are not of
      runs, nothing can be ranked.
  """
  paths = [folder for path in dict.fromkeys(paths) for folder in seeds.folders(Path(path))]
  folders = [path for path in paths if (path / 'config.json').exists()]
  scored, without = _read_scores(paths)
  useless = [why for path, why in without.items() if path not in folders]
  if len(paths) - len(useless) < 2:
    raise UserError('; '.join(['--mode=compare takes two run folders or stored scores at least: python launch.py '
                               '--mode=compare runs/A runs/B', *useless]))
  for why in useless:
    terminal.tell(f'passed over, since it is no run: {why}')
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
  """({path as text: {evaluator: [Evaluation]}} of those that hold scores, {path: why} of the others)."""
  scored, without = {}, {}
  for path in paths:
    try:
      scored[str(path)] = read(path)
    except NoScoresError as error:
      without[path] = str(error)
  return scored, without


def _rank(scored):
  """Prints the rankings of {path: {evaluator: [Evaluation]}}; raises UserError where something cannot be ranked."""
  if len(scored) < 2:
    raise UserError('fewer than two hold scores with receipts')
  shared = [name for name in next(iter(scored.values())) if all(name in stored for stored in scored.values())]
  if not shared:
    raise UserError('nothing was measured by the same evaluator: ' + '; '.join(
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
  """A path that holds no stored scores."""


def read(path: str | Path) -> dict[str, list[Evaluation]]:
  """{evaluator: [Evaluation] by rising steps} of those with receipts.

  Raises:
    NoScoresError: there is none.
    UserError: a file is damaged.
  """
  path = Path(path)
  if not path.exists():
    raise NoScoresError(f'{path} is neither a run folder nor a file of scores')
  stored: dict[str, list[Evaluation]] = {}
  for each in read_all(path) if path.is_dir() else [Evaluation.read(path)]:
    if each.receipt:
      stored.setdefault(each.evaluator, []).append(each)
  if not stored and path.is_dir() and not (path / 'config.json').exists():
    raise NoScoresError(f'{path} holds no run and no score')
  if not stored:
    raise NoScoresError(f'{path} holds no score with a receipt; measure it first: python launch.py --mode=evaluate '
                    f'--workdir={path} --evaluators=random_features')
  return stored


def unlike(name: str, evaluations: Mapping[Any, list[Evaluation]]) -> str:
  """Why the last evaluations of the paths {path: [Evaluation]} cannot be ranked; '' where they can."""
  (first, reference), *others = ((path, stored[-1]) for path, stored in evaluations.items())
  for path, each in others:
    field = differing(reference.receipt, each.receipt)
    if field:
      return (f'{name} of {first} and {path} cannot be ranked: {field}, {MEASURE[field]}, is '
              f'{_shown(reference.receipt.get(field))} and {_shown(each.receipt.get(field))}')
  return ''


def _shown(value):
  return f'{value:,}' if isinstance(value, int) else str(value)


def table(name: str, evaluations: Mapping[Any, list[Evaluation]]) -> str:
  """The ranking by each score that the last evaluations {path: [Evaluation]} all have, and what else their models tell.

  A score that is not a number comes last.
  """
  last = {path: stored[-1] for path, stored in evaluations.items()}
  numbers = {path: each.numbers() for path, each in last.items()}
  lines = []
  for score in next(iter(numbers.values())):
    better = kind(score).better if kind(score).among == RUNS else ''
    if better and all(score in each for each in numbers.values()):
      lines += [f'{score}, the {_WORDS[better]} first']
      values = {path: each[score] for path, each in numbers.items()}
      lines += [f'  {place}. {_line(path, score, evaluations[path], better)}'
                for place, path in enumerate(_ranked(values, better), 1)]
  return '\n'.join([*lines, *_notes(last)]) + '\n'


def _ranked(values, better):
  """The keys of {key: number}, the best first."""
  ranked: list = []
  while len(ranked) < len(values):
    left = {key: value for key, value in values.items() if key not in ranked}
    first = best(left, better)
    ranked += left if first is None else [first]
  return ranked


def _line(path, score, stored, better):
  alike = {each.step: each.numbers()[score] for each in stored
           if not differing(each.receipt, stored[-1].receipt) and score in each.numbers()}
  last, first = stored[-1].step, best(alike, better)
  line = f'{path}: {alike[last]:.6g} at step {last:,}, the last; best '
  return line + ('none' if first is None else f'{alike[first]:.6g} at step {first:,}')


def _notes(last):
  """What may differ between models that are ranked, where it does."""
  notes = []
  for field in ('averaged_parameters', 'batch_norm'):
    values = {path: each.receipt.get(field) for path, each in last.items()}
    if len(set(map(repr, values.values()))) > 1:
      notes += [f'  note: {field}, {MODEL[field]}: ' + ', '.join(f'{path} {value}' for path, value in values.items())]
  return notes
