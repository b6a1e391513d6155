"""The comparison of a study: curves over each other, numbers in a table, pictures side by side.

All of it is drawn from the files that the runs have stored, and from the list of them in `study.json`.
"""

import csv
import dataclasses
import io
from pathlib import Path
import re
import textwrap

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
import numpy as np
from PIL import Image

from jgen.errors import UserError
from jgen.files import read_json, replacing, write_text
from jgen.report.drawing import REFERENCE_STYLE, Curves, draw_curve, set_style, smoothing_note, smoothing_window
from jgen.report.figures import FIGURES
from jgen.report.grids import headed, side_by_side
from jgen.run import scores
from jgen.run.records import Record, read_record

INDEX = 'study.json'                    # the list of a study's runs, in the folder above theirs
LAST_STEP = '(last logged step)'        # among the names of numbers, before all others


@dataclasses.dataclass(frozen=True)
class Compared:
  """One run of a study, as stored."""

  name: str
  settings: str
  status: str
  error: str                            # of one that failed
  record: Record
  pictures: dict[str, tuple[int, Path]]   # the last of each kind: (step, file)


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
    entries = read_json(folder / INDEX, 'run the study again', variations=list)['variations']
    return [_read_run(folder / entry['folder'], entry) for entry in entries]
  except (TypeError, KeyError) as error:
    raise UserError(f'{folder / INDEX}: damaged; run the study again') from error


def _read_run(folder, entry):
  return Compared(entry['name'], entry['settings'], entry['status'], entry['error'], read_record(folder),
                  _last_pictures(folder))


def _last_pictures(folder):
  """{name: (step, path)} of the sample grid and of the evaluations' pictures."""
  found = {}
  for path in [*folder.glob('samples/*.png'), *folder.glob('evaluation/*.png')]:
    match = re.fullmatch(r'(?:(.+)_)?step_(\d+)', path.stem)
    if match:
      name = f'evaluation_{match[1]}' if match[1] else 'samples'
      found[name] = max(found.get(name, (0, path)), (int(match[2]), path))
  return found


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
  columns = row.shown({column for record in records.values() for column in record.series})
  shown = {column: {name: record.series[column] for name, record in records.items() if column in record.series}
           for column in columns}
  windows = [smoothing_window(max(len(steps) for steps, _ in curves.values())) for curves in shown.values()]
  figure = Figure(figsize=(7.5, 1), dpi=120, layout='constrained')
  panels = figure.subplots(len(columns), squeeze=False)[:, 0]
  for axes, column, window in zip(panels, columns, windows, strict=True):
    _draw_panel(axes, row, shown[column], records, colors, window)
    axes.set_title(column if len(columns) > 1 else '', fontsize='medium')
    axes.label_outer()
  left, right = zip(*(axes.get_xlim() for axes in panels), strict=True)
  for axes in panels:
    axes.set_xlim(min(left), max(right))
  figure.suptitle(row.title)
  figure.supylabel(row.ylabel, fontsize='medium')
  lines = [Line2D([], [], color=colors[name], linewidth=1.8, label=textwrap.fill(name, 50))
           for name in records if any(name in curves for curves in shown.values())]
  if _levels(row, records.values()):
    lines.append(Line2D([], [], label=row.reference_label, **REFERENCE_STYLE))
  legend_height = _add_legend(figure, lines, smoothing_note(*windows))
  figure.set_figheight(max(4.2, 3.1 * len(columns)) + legend_height)
  return figure


def _add_legend(figure, lines, title):
  """Adds the legend below the panels; returns its height in inches, about."""
  labels = [line.get_label() for line in lines]
  columns = 2 if max(map(len, labels)) <= 24 else 1
  figure.legend(handles=lines, loc='outside lower center', ncols=columns, frameon=False, title=title)
  return 0.4 + 0.2 * -(-sum(label.count('\n') + 1 for label in labels) // columns)


def _draw_panel(axes, row, curves, records, colors, window):
  """`curves` {name: (steps, values)}, each smoothed over at most its own rows, and the levels that `row` refers to."""
  set_style(axes)
  for name, (steps, values) in curves.items():
    draw_curve(axes, steps, values, min(window, len(steps) - 1 | 1), label='', color=colors[name])
  for level in _levels(row, [records[name] for name in curves]):
    axes.axhline(level, **REFERENCE_STYLE)
  row.set_ranges(axes, curves.values())


def _levels(row, records):
  if isinstance(row.reference, str):
    return sorted({record.series[row.reference][1][-1] for record in records if row.reference in record.series})
  return [] if row.reference is None else [row.reference]


def _colors(count):
  return [f'C{i}' for i in range(count)] if count <= 10 else list(matplotlib.colormaps['turbo'](
      np.linspace(0.05, 0.95, count)))


# ------------------------------------------------------------------------------------------- numbers


def table(runs):
  """{name: its last value in each run, or None}: the evaluations' numbers first, then what training logged."""
  evaluated = [{name: value for name, value in run.record.latest.items() if isinstance(value, (int, float))}
               for run in runs]
  logged = [_last_logged(run.record, known) for run, known in zip(runs, evaluated, strict=True)]
  names = [*dict.fromkeys(name for values in evaluated for name in values),
           *sorted({name for values in logged for name in values})]
  columns = [{**one, **other} for one, other in zip(evaluated, logged, strict=True)]
  return {name: [column.get(name) for column in columns] for name in names}


def _last_logged(record, evaluated):
  """{name: value} of the last row of metrics.csv, and the step of that row."""
  last = {name: (int(steps[-1]), values[-1].item()) for name, (steps, values) in record.series.items()
          if name not in evaluated}
  values = {name: value for name, (_, value) in last.items()}
  return {**values, LAST_STEP: max(step for step, _ in last.values())} if last else {}


def csv_table(runs):
  """A row a run: its name, settings, status, and every number that any of them has, in full precision."""
  numbers = table(runs)
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(['variation', 'settings', 'status', *numbers])
  for index, run in enumerate(runs):
    writer.writerow([run.name, run.settings, run.status, *(values[index] for values in numbers.values())])
  return text.getvalue()


def markdown_table(runs):
  """A column a run and a row a number, the best one bold where it is known which that is; then what failed."""
  rows = [['', *(run.name for run in runs)], ['---'] * (len(runs) + 1),
          ['settings', *(run.settings for run in runs)], ['status', *(run.status for run in runs)]]
  numbers = table(runs)
  among = (scores.RUNS, scores.LIKELIHOOD) if _same_likelihood(numbers) else (scores.RUNS,)
  best = {name: _best(name, values, runs) for name, values in numbers.items() if scores.kind(name).among in among}
  rows += [[name, *(_cell(value, value == best.get(name)) for value in values)] for name, values in numbers.items()]
  lines = ['| ' + ' | '.join(cell.replace('|', r'\|') for cell in row) + ' |' for row in rows]
  if any(value is not None for value in best.values()):
    lines += ['', 'Bold: the best of those that are done.']
  lines += [f'\n{run.name} failed: {run.error}' for run in runs if run.status == 'failed']
  return '\n'.join(lines) + '\n'


def _same_likelihood(numbers):
  """Whether all runs' nats are of a Gaussian of the same variance: those of others rank nothing."""
  return len(set(numbers.get('ledger/pixel_variance', ()))) == 1


def _best(name, values, runs):
  """The best value of a number among the runs that are done, or None where that is not known."""
  final = {index: value for index, (value, run) in enumerate(zip(values, runs, strict=True))
           if run.status == 'done' and value is not None}
  return final.get(scores.best(final, scores.kind(name).better)) if len(final) > 1 else None


def _cell(value, best):
  if value is None:
    return ''
  text = f'{value:,}' if isinstance(value, int) else f'{value:.4g}'
  return f'**{text}**' if best else text


# ------------------------------------------------------------------------------------------- pictures


def _place_pictures(folder, runs):
  """Writes a picture for every kind that a run has stored, the runs' side by side; returns the paths."""
  paths = []
  for name in sorted({name for run in runs for name in run.pictures}):
    paths.append(folder / f'{name}.png')
    stored = [(run.name, *run.pictures[name]) for run in runs if name in run.pictures]
    picture = side_by_side([headed(np.asarray(Image.open(path).convert('RGB')), f'{run}, step {step:,}')
                            for run, step, path in stored])
    with replacing(paths[-1]) as temporary:
      Image.fromarray(picture).save(temporary, format='PNG')
  return paths
