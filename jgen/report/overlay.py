"""The overlaid curves of several runs: one panel per series and unit, one colour per run."""

from collections.abc import Mapping
import functools
import textwrap
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
import numpy as np

from jgen.report import drawing
from jgen.report.drawing import (
  DPI,
  REFERENCE_STYLE,
  Curves,
  draw_curve,
  label,
  set_style,
  smoothing_note,
  smoothing_window,
)
from jgen.run.records import Record

MEAN_STYLE: dict[str, Any] = {'color': 'black', 'linewidth': 1.8}


def overlay(row: Curves, records: Mapping[str, Record], with_mean: bool = False) -> Figure:
  """The Figure of the Curves `row` for `records` {run: Record}.

  For runs that differ only in their seed, `with_mean` adds their mean and a band of one standard deviation.

  Runs whose series have different units, such as the logarithmic and the squared loss of a GAN, get separate
  panels: on one axis the smaller values would appear as a flat line at 0.
  """
  colors = dict(zip(records, _colors(len(records)), strict=True))
  panels = _panels(row, records)
  windows = [smoothing_window(max(len(steps) for steps, _ in curves.values())) for _, _, curves in panels]
  figure = Figure(figsize=(7.5, 1), dpi=DPI, layout='constrained')
  all_axes = figure.subplots(len(panels), squeeze=False)[:, 0]
  for axes, (title, ylabel, curves), window in zip(all_axes, panels, windows, strict=True):
    _draw_panel(axes, row, curves, records, colors, window)
    if with_mean:
      _draw_mean(axes, list(curves.values()), window)
    axes.set_title(title if len(panels) > 1 else '', fontsize='medium')
    axes.set_ylabel(ylabel if _differ(panels) else '')
    axes.label_outer()
  _share_steps(all_axes)
  per_step = {record.epochs_per_step for name, record in records.items()
              if any(name in curves for _, _, curves in panels)}
  drawing.add_epochs(all_axes[0], per_step.pop() if len(per_step) == 1 else None)   # it may differ between runs
  figure.suptitle(row.title)
  figure.supylabel('' if _differ(panels) else panels[0][1], fontsize='medium')
  lines = [Line2D([], [], color=colors[name], linewidth=1.8, label=textwrap.fill(name, 50))
           for name in records if any(name in curves for _, _, curves in panels)]
  if with_mean:
    lines.append(Line2D([], [], label='mean ± standard deviation', **MEAN_STYLE))
  if _levels(row, records.values()):
    lines.append(Line2D([], [], label=row.reference_label, **REFERENCE_STYLE))
  legend_height = _add_legend(figure, lines, smoothing_note(*windows))
  figure.set_figheight(max(4.2, 3.1 * len(panels)) + legend_height)
  return figure


def _panels(row, records):
  """[(title, y label, {run: (steps, values)})]: one panel per series and, among the runs that have it, per unit."""
  panels = []
  for column in row.shown({column for record in records.values() for column in record.series}):
    by_unit: dict[tuple[tuple[str, ...], str], dict] = {}
    for name, record in records.items():
      if column in record.series:
        unit = tuple(str(record.config[key]) for key in row.units if record.config.get(key))
        by_unit.setdefault((unit, row.ylabel_of(record)), {})[name] = record.series[column]
    for (unit, ylabel), curves in by_unit.items():
      panels.append((' of '.join([label(column), *([', '.join(unit)] if len(by_unit) > 1 and unit else [])]),
                     ylabel, curves))
  return panels


def _differ(panels):
  return len({ylabel for _, ylabel, _ in panels}) > 1


def _share_steps(all_axes):
  left, right = zip(*(axes.get_xlim() for axes in all_axes), strict=True)
  for axes in all_axes:
    axes.set_xlim(min(left), max(right))


def _add_legend(figure, lines, title):
  """Adds the legend below the panels; returns its approximate height in inches."""
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


def _draw_mean(axes, curves, window):
  """Draws the mean of `curves` [(steps, values)] at their common steps, and a band of one standard deviation."""
  steps = functools.reduce(np.intersect1d, [steps for steps, _ in curves])
  if len(curves) < 2 or not len(steps):
    return
  values = np.stack([values[np.isin(own, steps)] for own, values in curves])
  smooth = lambda values: drawing.moving_average(values, min(window, len(steps) - 1 | 1))
  mean, deviation = smooth(values.mean(0)), smooth(values.std(0, ddof=1))
  axes.fill_between(steps, mean - deviation, mean + deviation, color='black', alpha=0.15, linewidth=0)
  axes.plot(steps, mean, zorder=3, **MEAN_STYLE)


def _levels(row, records):
  if isinstance(row.reference, str):
    return sorted({record.series[row.reference][1][-1] for record in records if row.reference in record.series})
  return [] if row.reference is None else [row.reference]


def _colors(count):
  return [f'C{i}' for i in range(count)] if count <= 10 else list(matplotlib.colormaps['turbo'](
      np.linspace(0.05, 0.95, count)))
