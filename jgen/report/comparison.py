"""The comparison of runs, of a study or others: overlaid curves, a table of scores, pictures side by side.

Everything is drawn from the stored files of the runs.
"""

from collections.abc import Sequence
import dataclasses
import json
from pathlib import Path

import numpy as np
from PIL import Image

from jgen.errors import UserError
from jgen.host.files import read_json, remove_temporaries, replacing, write_text
from jgen.images.grids import headed, side_by_side
from jgen.report import captions
from jgen.report.comparison_table import (
  MEAN,
  Compared,
  are_seeds,
  best_of,
  csv_table,
  evaluated_numbers,
  markdown_table,
  over_seeds,
  table,
  why_unlike,
)
from jgen.report.drawing import Curves, number_text
from jgen.report.figures import FIGURES, save_figure
from jgen.report.overlay import overlay
from jgen.report.page import Best, Numbering, Table, config_text, write_page
from jgen.report.stored import last_pictures
from jgen.run import scores, seeds
from jgen.run.folder import read_config
from jgen.run.records import read_record

INDEX = 'study.json'                    # the list of a study's runs, in the folder above theirs
OWN_INDEX = 'comparison.json'           # the list of runs of a comparison, in its folder
PAGE = 'comparison.html'
MAX_COLUMNS = 5                         # runs side by side in one table of the page
MAX_PICTURE = 1_200                     # pixels of the longer side of a picture


def draw_comparison(folder: str | Path) -> None:
  """Draws the comparison of the study in `folder`, replacing an earlier one: see `write_comparison`.

  Raises UserError, naming the file, if a stored file is damaged.
  """
  folder = Path(folder)
  write_comparison(folder, read_study(folder))


def compare(folders: Sequence[Path], folder: Path) -> Path:
  """Writes the comparison of run folders to `folder`: see `write_comparison`. Returns the page's path.

  Raises:
    UserError: a folder holds no run, or a damaged file; `folder` holds anything but an earlier comparison.
  """
  check_folder(folder)
  runs = read_runs(folders)
  write_index(folder, folders)
  return write_comparison(folder, runs)


def write_comparison(folder: Path, runs: Sequence[Compared]) -> Path:
  """Writes comparison.html, comparison.csv, comparison.md and figures/* for runs [Compared] to a folder.

  Figures are PNG, curves also PDF. Figures of an earlier comparison and temporary files of killed processes are
  deleted. Returns the page's path.
  """
  remove_temporaries(folder, folder / 'figures')
  curves, pictures = _draw_curves(folder / 'figures', runs), _place_pictures(folder / 'figures', runs)
  names = {path.stem for path in (*curves, *pictures)}
  for path in [*(folder / 'figures').glob('*.png'), *(folder / 'figures').glob('*.pdf')]:
    if path.stem not in names:
      path.unlink()
  write_text(folder / 'comparison.csv', csv_table(runs))
  title = folder.absolute().name
  write_text(folder / 'comparison.md', '\n'.join([
      f'# {title}', '', markdown_table(runs),
      *(f'![{path.stem}](figures/{path.name})\n' for path in (*curves, *pictures))]))
  return write_page(folder / PAGE, PAGE, **_context(folder, title, runs, curves, pictures))


# ------------------------------------------------------------------------------------------- what is stored


def read_study(folder: Path) -> list[Compared]:
  """The runs [Compared] that the study in `folder` lists."""
  try:
    entries = read_json(folder / INDEX, 'run the study again', variations=list)['variations']
    return [_read_run(folder / entry['folder'], entry['name'], entry['settings'], entry['status'], entry['error'])
            for entry in entries]
  except (TypeError, KeyError) as error:
    raise UserError(f'{folder / INDEX}: damaged; run the study again') from error


def read_runs(folders: Sequence[Path]) -> list[Compared]:
  """The runs [Compared] of run folders, named by the shortest endings of their paths that are distinct."""
  runs = []
  for folder, name in zip(folders, _names(folders), strict=True):
    run = _read_run(folder, name, '', 'done', '')
    last = max((int(steps[-1]) for steps, _ in run.record.series.values()), default=0)
    total = read_config(folder)['num_steps']
    runs.append(run if last >= total else dataclasses.replace(run, status=f'step {last:,} of {total:,}'))
  return runs


def _read_run(folder, name, settings, status, error):
  evaluations = scores.read_all(folder)
  return Compared(name, settings, status, error, read_record(folder), last_pictures(folder),
                  {evaluation.evaluator: dict(evaluation.receipt) for evaluation in evaluations})


def _parts(folder):
  """The parts of a path; for one of several seeds, the last part is the name of the run with the seed."""
  whole = seeds.run_of(folder)
  return (*whole.parts[:-1], f'{whole.name} seed {folder.name}') if whole else folder.parts


def _names(folders):
  parts = [_parts(folder.absolute()) for folder in folders]
  for length in range(1, max(map(len, parts)) + 1):
    names = ['/'.join(part[-length:]) for part in parts]
    if len(set(names)) == len(names):
      return names
  raise UserError('the same folder is named twice; name different runs')


# ------------------------------------------------------------------------------------------- figures


def _draw_curves(folder, runs):
  """Writes a figure for every row of FIGURES that shows curves and has data in some run: {path: row}."""
  paths = {}
  for row in FIGURES:
    if isinstance(row, Curves) and any(row.has_data(run.record) for run in runs):
      figure = overlay(row, {run.name: run.record for run in runs}, with_mean=are_seeds(runs))
      save_figure(figure, folder / row.file, ('png', 'pdf'))
      paths[folder / row.file] = row
  return paths


def _place_pictures(folder, runs):
  """Writes a picture for every kind that some run has stored, the runs side by side: {path: kind}."""
  paths = {}
  kinds = {kind for run in runs for kind in run.pictures}
  for kind in sorted(kinds, key=lambda kind: (kind != 'samples', kind)):
    path = folder / (f'{kind}.png' if kind == 'samples' else f'evaluation_{kind}.png')
    stored = [(run.name, *run.pictures[kind]) for run in runs if kind in run.pictures]
    picture = side_by_side([headed(_bounded(source), f'{name}, step {step:,}') for name, step, source in stored])
    with replacing(path) as temporary:
      Image.fromarray(picture).save(temporary, format='PNG')
    paths[path] = kind
  return paths


def _bounded(path):
  """The picture of a file, uint8 [height, width, 3], reduced where a side is longer than MAX_PICTURE."""
  with Image.open(path) as image:
    picture = image.convert('RGB')
  share = MAX_PICTURE / max(picture.size)
  if share < 1:
    width, height = picture.size
    picture = picture.resize((max(1, round(width * share)), max(1, round(height * share))), Image.Resampling.BOX)
  return np.asarray(picture)


# ------------------------------------------------------------------------------------------- the page


def _context(folder, title, runs, curves, pictures):
  numbers = Numbering()
  return {
      'title': title, 'runs': _runs_table(numbers, runs), 'settings': _settings_tables(numbers, runs),
      'scores': score_tables(numbers, runs),
      'unranked': _unranked(runs),
      'failed': [(run.name, run.error) for run in runs if run.status == 'failed'],
      'pictures': [numbers.picture(path, *_picture_text(kind, runs), folder=folder)
                   for path, kind in pictures.items()],
      'curves': [numbers.picture(path, row.title, f'{row.caption} One colour per run.',
                                 f'{row.title}: curves of {", ".join(run.name for run in runs[:12])} over training '
                                 'steps', folder) for path, row in curves.items()]}


def _picture_text(kind, runs) -> tuple[str, str, str]:
  """(title, caption, alternative text) for the pictures of a kind, side by side."""
  names = ', '.join(run.name for run in runs if kind in run.pictures)
  title, caption = captions.SAMPLES if kind == 'samples' else captions.of_picture(kind)
  if kind == 'samples':
    caption = ('The last samples of each run. Runs with the same seed and the same number of latents draw from the '
               'same latents.')
  return title, caption, f'{title} of {names}, side by side'


def _runs_table(numbers, runs):
  header = ['run', 'family', 'data', 'status', 'settings']
  rows = [(run.name, str(run.record.config.get('family', '')), str(run.record.config.get('data.name', '')),
           run.status, run.settings) for run in runs]
  num_columns = len(header) if any(run.settings for run in runs) else len(header) - 1
  return numbers.table('Runs', 'The compared runs.', [row[:num_columns] for row in rows], header[:num_columns])


def _settings_tables(numbers, runs):
  """The keys with different values, among those that more than one run has."""
  configs = [run.record.config for run in runs]
  keys = [key for key in sorted(set().union(*configs)) if not key.startswith('study.')
          and len({json.dumps(config[key]) for config in configs if key in config}) > 1]
  caption = 'Keys whose values differ among the runs that have them.'
  return _in_parts(numbers, 'Differences of the configs', caption, runs,
                   [(key, [config_text(config.get(key, '')) for config in configs]) for key in keys])


def score_tables(numbers: Numbering, runs: Sequence[Compared]) -> list[Table]:
  """Tables of the last value of every score of runs [Compared]; the best is bold if it is known."""
  names = [name for run in runs for name in evaluated_numbers(run)]
  values, rows = table(runs), []
  for name in sorted(dict.fromkeys(names), key=lambda name: not scores.kind(name).better):
    best = best_of(name, values[name], runs)
    rows.append((name, ['' if value is None else (Best if best is not None and value == best else str)(
        number_text(value)) for value in values[name]]))
  caption = 'The last value of each score. Bold: the best among the finished runs, if the score can be ' \
            'ranked and was measured in the same way for all of them.'
  tables = _in_parts(numbers, 'Scores', caption, runs, rows)
  if are_seeds(runs):
    means = [(name, mean) for name in dict.fromkeys(names) if (mean := over_seeds(values[name]))]
    tables.append(numbers.table('Scores over the seeds', f'The last value of each score: {MEAN} of the '
                                f'{len(runs)} seeds (of a sample: n - 1).', means, ('', MEAN)))
  return tables


def _in_parts(numbers, title, caption, runs, rows):
  """Tables of rows (name, [one text per run]), of a few runs each."""
  tables = []
  for start in range(0, len(runs) if rows else 0, MAX_COLUMNS):
    part = slice(start, start + MAX_COLUMNS)
    tables.append(numbers.table(title, caption, [(name, *texts[part]) for name, texts in rows],
                                ('', *(run.name for run in runs[part]))))
  return tables


def _unranked(runs):
  """[(score, why)] for the scores that several runs have but that were not measured in the same way."""
  names = dict.fromkeys(name for run in runs for name in evaluated_numbers(run) if scores.kind(name).better)
  return [(name, why) for name in names if (why := why_unlike(name, runs))]


def check_folder(folder: Path) -> None:
  """Raises UserError if a folder cannot take a comparison, because it holds anything but an earlier one."""
  if folder.exists() and not folder.is_dir():
    raise UserError(f'{folder} is a file; name a folder with --workdir')
  if folder.is_dir() and not (folder / OWN_INDEX).exists() and any(folder.iterdir()):
    raise UserError(f'{folder} holds files but no comparison (no {OWN_INDEX}); name another --workdir')


def write_index(folder: Path, paths: Sequence[Path]) -> None:
  """Marks a folder as one that holds a comparison of run folders."""
  write_text(folder / OWN_INDEX, json.dumps({'runs': [str(path) for path in paths]}, indent=2) + '\n')
