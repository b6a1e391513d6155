"""The comparison of a study: curves over each other, numbers in a table, pictures side by side.

All of it is drawn from the files that the runs have stored, and from the list of them in `study.json`.
"""

import csv
import dataclasses
import io
import json
from pathlib import Path
import re

import matplotlib
from matplotlib.figure import Figure
import numpy as np
from PIL import Image

from jgen.errors import UserError
from jgen.files import replacing, write_text
from jgen.report.drawing import REFERENCE_STYLE, Curves, draw_curve, set_style, smoothing_note, smoothing_window
from jgen.report.figures import FIGURES
from jgen.report.grids import headed
from jgen.report.records import Record, read_record

INDEX = 'study.json'                    # the list of a study's runs, in the folder above theirs

# Numbers of which it is known whether the highest (or the lowest) is the best. The number by which a run keeps its best
# checkpoint is one, too.
HIGHEST_IS_BEST = {'class_consistency/accuracy': True}

MAX_WIDTH = 2_400                       # pixels of the pictures that stand side by side; further ones go below
GAP = 24                                # white pixels between them


@dataclasses.dataclass(frozen=True)
class Compared:
  """One run of a study, as stored."""

  name: str
  settings: str
  status: str
  error: str                            # of one that failed
  record: Record
  pictures: dict[str, tuple[int, Path]]   # the last of each kind: (step, file)
  best: dict[str, bool]                 # {number: whether its highest is the best}, as this run's config has it


def draw_comparison(folder):
  """Writes comparison.csv, comparison.md and figures/*.png of the study in `folder`, in place of earlier ones.

  Raises UserError, naming the file, where what is stored is damaged.
  """
  folder = Path(folder)
  runs = read_study(folder)
  figures = [*_draw_curves(folder / 'figures', runs), *_place_pictures(folder / 'figures', runs)]
  for path in (folder / 'figures').glob('*.png'):
    if path not in figures:
      path.unlink()
  write_text(folder / 'comparison.csv', csv_table(runs))
  title = folder.absolute().name
  write_text(folder / 'comparison.md', '\n'.join([
      f'# {title}', '', markdown_table(runs), *(f'![{path.stem}](figures/{path.name})\n' for path in figures)]))


# ------------------------------------------------------------------------------------------- what is stored


def read_study(folder):
  """The runs [Compared] that the study in `folder` lists."""
  try:
    entries = json.loads((folder / INDEX).read_text('utf-8'))['variations']
    return [_read_run(folder / entry['folder'], entry) for entry in entries]
  except (FileNotFoundError, ValueError, TypeError, KeyError) as error:
    raise UserError(f'{folder / INDEX}: missing or damaged; run the study again') from error


def _read_run(folder, entry):
  return Compared(entry['name'], entry['settings'], entry['status'], entry['error'], read_record(folder),
                  _last_pictures(folder), _best_by_config(folder))


def _last_pictures(folder):
  """{name: (step, path)} of the sample grid and of the evaluations' pictures."""
  found = {}
  for path in [*folder.glob('samples/*.png'), *folder.glob('evaluation/*.png')]:
    match = re.fullmatch(r'(?:(.+)_)?step_(\d+)', path.stem)
    if match:
      name = f'evaluation_{match[1]}' if match[1] else 'samples'
      found[name] = max(found.get(name, (0, path)), (int(match[2]), path))
  return found


def _best_by_config(folder):
  path = folder / 'config.json'
  if not path.exists():
    return {}
  section = json.loads(path.read_text('utf-8'))['checkpoints']
  return {section['best_metric']: section['best_is_highest']} if section['best_metric'] else {}


# ------------------------------------------------------------------------------------------- curves


def _draw_curves(folder, runs):
  """Writes a figure for every row of FIGURES that shows curves and that a run has numbers for; returns the paths."""
  paths = []
  for row in FIGURES:
    if isinstance(row, Curves) and any(row.has_data(run.record) for run in runs):
      paths.append(folder / row.file)
      with replacing(paths[-1]) as temporary:
        overlay(row, {run.name: run.record for run in runs}).savefig(temporary, format='png')
  return paths


def overlay(row, records):
  """The Figure of the Curves `row` for `records` {name: Record}: a panel a column, a colour a record."""
  colors = dict(zip(records, _colors(len(records)), strict=True))
  columns = [column for column in row.columns if any(column in record.series for record in records.values())]
  shown = {column: {name: record.series[column] for name, record in records.items() if column in record.series}
           for column in columns}
  names = [name for name in records if any(name in curves for curves in shown.values())]
  window = smoothing_window(max(len(steps) for curves in shown.values() for steps, _ in curves.values()))
  legend_columns = 2 if max(map(len, names)) <= 40 else 1
  height = max(4.2, 3.1 * len(columns)) + 0.6 + 0.2 * -(-len(names) // legend_columns)
  figure = Figure(figsize=(7.5, height), dpi=120, layout='constrained')
  panels = figure.subplots(len(columns), squeeze=False, sharex=True)[:, 0]
  for axes, column in zip(panels, columns, strict=True):
    _draw_panel(axes, row, shown[column], records, colors, window)
    axes.set_title(column if len(columns) > 1 else '', fontsize='medium')
  figure.suptitle(row.title)
  figure.supylabel(row.ylabel, fontsize='medium')
  lines = {line.get_label(): line for axes in panels for line in axes.lines}
  labels = [label for label in (*names, row.reference_label) if label in lines]
  figure.legend([lines[label] for label in labels], labels, loc='outside lower center', ncols=legend_columns,
                frameon=False, title=smoothing_note(window))
  return figure


def _draw_panel(axes, row, curves, records, colors, window):
  """`curves` {name: (steps, values)}, each smoothed over at most its own rows, and the levels that `row` refers to."""
  set_style(axes)
  for name, (steps, values) in curves.items():
    draw_curve(axes, steps, values, min(window, len(steps) - 1 | 1), label=name, color=colors[name])
  for level in _levels(row, [records[name] for name in curves]):
    axes.axhline(level, label=row.reference_label, **REFERENCE_STYLE)
  row.set_ranges(axes, curves.values())
  axes.label_outer()


def _levels(row, records):
  if isinstance(row.reference, str):
    return sorted({record.series[row.reference][1][-1] for record in records if row.reference in record.series})
  return [] if row.reference is None else [row.reference]


def _colors(count):
  return [f'C{i}' for i in range(count)] if count <= 10 else list(matplotlib.colormaps['turbo'](
      np.linspace(0.05, 0.95, count)))


# ------------------------------------------------------------------------------------------- numbers


def numbers(record):
  """{name: last value} of a Record, the evaluations' first, each with the step that it was measured at."""
  evaluated = {name: value for name, value in record.latest.items() if isinstance(value, (int, float))}
  logged = {name: values[-1].item() for name, (_, values) in record.series.items() if name not in evaluated}
  last = [steps[-1] for name, (steps, _) in record.series.items() if name in logged]
  return {**evaluated, **({'last logged step': int(max(last))} if last else {}), **logged}


def csv_table(runs):
  """A row a run: its name, settings, status, and every number that any of them has, in full precision."""
  columns = [numbers(run.record) for run in runs]
  names = _union(columns)
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(['variation', 'settings', 'status', *names])
  for run, column in zip(runs, columns, strict=True):
    writer.writerow([run.name, run.settings, run.status, *(column.get(name, '') for name in names)])
  return text.getvalue()


def markdown_table(runs):
  """A column a run and a row a number, the best one bold where it is known which that is; then what failed."""
  columns = [numbers(run.record) for run in runs]
  rows = [['', *(run.name for run in runs)], ['---'] * (len(runs) + 1),
          ['settings', *(run.settings for run in runs)], ['status', *(run.status for run in runs)]]
  best = {name: _best(name, runs, columns) for name in _union(columns)}
  rows += [[name, *(_cell(column.get(name), column.get(name) == value) for column in columns)]
           for name, value in best.items()]
  lines = ['| ' + ' | '.join(cell.replace('|', r'\|') for cell in row) + ' |' for row in rows]
  if any(value is not None for value in best.values()):
    lines += ['', 'Bold: the best of those that are done.']
  lines += [f'\n{run.name} failed: {run.error}' for run in runs if run.status == 'failed']
  return '\n'.join(lines) + '\n'


def _union(columns):
  """All names, in the order of their first occurrence."""
  return list(dict.fromkeys(name for column in columns for name in column))


def _best(name, runs, columns):
  """The best value of a number among the runs that are done, or None where that is not known."""
  directions = {run.best.get(name, HIGHEST_IS_BEST.get(name)) for run in runs}
  values = [column[name] for run, column in zip(runs, columns, strict=True) if run.status == 'done' and name in column]
  if len(values) < 2 or directions not in ({True}, {False}):
    return None
  return max(values) if directions == {True} else min(values)


def _cell(value, best):
  if value is None:
    return ''
  text = f'{value:,}' if isinstance(value, int) else f'{value:.4g}'
  return f'**{text}**' if best else text


# ------------------------------------------------------------------------------------------- pictures


def _place_pictures(folder, runs):
  """Writes a picture for every kind that a run has stored, the runs' side by side; returns the paths."""
  paths = []
  for name in _union([run.pictures for run in runs]):
    paths.append(folder / f'{name}.png')
    stored = [(run.name, *run.pictures[name]) for run in runs if name in run.pictures]
    picture = side_by_side([headed(np.asarray(Image.open(path).convert('RGB')), f'{run}, step {step:,}')
                            for run, step, path in stored])
    with replacing(paths[-1]) as temporary:
      Image.fromarray(picture).save(temporary, format='PNG')
  return paths


def side_by_side(pictures):
  """One picture, uint8 [height, width, 3], of several; in rows where they are wider than MAX_WIDTH together."""
  rows, width = [[]], 0
  for picture in pictures:
    width += picture.shape[1] + GAP
    if rows[-1] and width > MAX_WIDTH:
      rows.append([])
      width = picture.shape[1] + GAP
    rows[-1].append(picture)
  return _join([_join(row, axis=1) for row in rows], axis=0)


def _join(pictures, axis):
  """The pictures along an axis, white between them, and filled up with white along the other one."""
  longest = max(picture.shape[1 - axis] for picture in pictures)
  padded = []
  for picture in pictures:
    widths = [[0, 0], [0, 0], [0, 0]]
    widths[1 - axis][1] = longest - picture.shape[1 - axis]
    widths[axis][1] = GAP if picture is not pictures[-1] else 0
    padded.append(np.pad(picture, widths, constant_values=255))
  return np.concatenate(padded, axis=axis)
