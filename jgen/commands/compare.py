"""Ranks runs by their stored scores, and refuses where these are not of one kind."""

import dataclasses
import json
from pathlib import Path
import re

from jgen import terminal
from jgen.errors import UserError
from jgen.run.receipt import MEASURE, MODEL, differing

# The best of several, by the usual name of a score.
BEST = {'fid': min, 'kid': min, 'inception_score': max, 'precision': max, 'recall': max, 'density': max,
        'coverage': max, 'mse': min, 'psnr': max, 'ssim': max}
_WORDS = {min: 'lowest', max: 'highest'}
_NAME = re.compile(r'(?:proxy_)?([a-z_]+?)\d*(?:\[.*\])?(?:@\w+)?')


@dataclasses.dataclass(frozen=True)
class Stored:
  """One stored evaluation."""

  step: int
  evaluator: str
  numbers: dict
  receipt: dict


def run(paths):
  """Prints, for each number that all have, the runs from the best on: their last value and their best one.

  Args:
    paths: run folders, folders that --mode=score wrote, or single files of their `evaluation` folders

  Raises:
    UserError: there are no two; no evaluator has measured all; scores are not of one kind, by the first field of their
      receipts that differs. What can be ranked is printed before.
  """
  runs = {str(path): read(path) for path in dict.fromkeys(paths)}
  if len(runs) < 2:
    raise UserError('--mode=compare takes two run folders or stored scores at least: python launch.py --mode=compare '
                    'runs/A runs/B')
  shared = [name for name in next(iter(runs.values())) if all(name in stored for stored in runs.values())]
  if not shared:
    raise UserError('nothing was measured by the same evaluator: ' + '; '.join(
        f'{path} has {", ".join(stored)}' for path, stored in runs.items()))
  refused = []
  for name in shared:
    evaluations = {path: stored[name] for path, stored in runs.items()}
    why = unlike(name, evaluations)
    refused += [why] if why else []
    terminal.say('' if why else table(name, evaluations), end='')
  if refused:
    raise UserError('; '.join(refused))


def read(path):
  """{evaluator: [Stored] by rising steps} of those with receipts. Raises UserError where there is none, or damage."""
  path = Path(path)
  files = sorted((path / 'evaluation').glob('*.json')) if path.is_dir() else [path]
  stored = {}
  for each in sorted(filter(None, map(_read_file, files)), key=lambda stored: stored.step):
    stored.setdefault(each.evaluator, []).append(each)
  if not stored:
    raise UserError(f'{path} holds no score with a receipt; measure it first: python launch.py --mode=evaluate '
                    f'--workdir={path} --evaluators=random_features')
  return stored


def _read_file(path):
  try:
    record = json.loads(path.read_text('utf-8'))
    if 'receipt' not in record:
      return None
    return Stored(int(record['step']), str(record['evaluator']), dict(record['results']), dict(record['receipt']))
  except FileNotFoundError as error:
    raise UserError(f'{path} is neither a run folder nor a file of scores') from error
  except (ValueError, TypeError, KeyError) as error:
    raise UserError(f'{path}: damaged, no stored scores; delete it and evaluate again') from error


def unlike(name, evaluations):
  """Why the last evaluations of the paths {path: [Stored]} cannot be ranked; '' where they can."""
  (first, reference), *others = ((path, stored[-1]) for path, stored in evaluations.items())
  for path, each in others:
    field = differing(reference.receipt, each.receipt)
    if field:
      return (f'{name} of {first} and {path} cannot be ranked: {field}, {MEASURE[field]}, is '
              f'{_shown(reference.receipt.get(field))} and {_shown(each.receipt.get(field))}')
  return ''


def _shown(value):
  return f'{value:,}' if isinstance(value, int) else str(value)


def table(name, evaluations):
  """The ranking by each number that the last evaluations {path: [Stored]} all have, and what else their models tell."""
  last = {path: stored[-1] for path, stored in evaluations.items()}
  shared = set.intersection(*(set(each.numbers) for each in last.values()))
  lines = []
  for number in next(iter(last.values())).numbers:
    better = direction(number)
    if better and number in shared:
      lines += [f'{name}/{number}, the {_WORDS[better]} first']
      ranked = sorted(last, key=lambda path: last[path].numbers[number], reverse=better is max)
      lines += [f'  {place}. {_line(path, number, evaluations[path], better)}' for place, path in enumerate(ranked, 1)]
  return '\n'.join([*lines, *_notes(last)]) + '\n'


def direction(number):
  """min or max, whichever of several is the best; None for a number that ranks nothing."""
  match = _NAME.fullmatch(number)
  return match and BEST.get(match[1])


def _line(path, number, stored, better):
  alike = [each for each in stored if not differing(each.receipt, stored[-1].receipt) and number in each.numbers]
  best = better(alike, key=lambda each: each.numbers[number])
  return (f'{path}: {stored[-1].numbers[number]:.6g} at step {stored[-1].step:,}, the last; best '
          f'{best.numbers[number]:.6g} at step {best.step:,}')


def _notes(last):
  """What may differ between models that are ranked, where it does."""
  notes = []
  for field in ('averaged_parameters', 'batch_norm'):
    values = {path: each.receipt.get(field) for path, each in last.items()}
    if len(set(values.values())) > 1:
      notes += [f'  note: {field}, {MODEL[field]}: ' + ', '.join(f'{path} {value}' for path, value in values.items())]
  return notes
