"""Kinds of figures, as dataclasses that describe what a figure shows."""

from collections.abc import Collection, Iterable
import dataclasses
import fnmatch
from typing import Any

from jaxtyping import Float
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
import numpy as np

from jgen.errors import UserError
from jgen.host import terminal
from jgen.images.fonts import families_of, legible
from jgen.run.records import Record
from jgen.run.scores import direction_of

DPI = 150                 # resolution of the PNG files: 17 cm on paper at 170 dots per inch
REFERENCE_STYLE: dict[str, Any] = {'color': '0.25', 'linestyle': '--', 'linewidth': 1}
MAX_COLORS = 20           # values with separate colours; for more, a colour bar shows the order
_MAX_NAME = 24            # letters of a value's name
_MAX_LABEL = 38           # letters of a curve's label; two such labels fit side by side
_MAX_BARS = 100           # classes with separate bars; more are shown as a sorted outline

# What the numbers of an evaluator or a family are measured on, for figures that show several of them.
_MEASURED_ON = {'vae': 'training batches', 'vqvae': 'training batches', 'prior': 'training batches',
                'ledger': 'test images', 'codebook': 'test images', 'test_loss': 'test images'}
_NETWORKS = ('critic', 'generator')


def label(name: str) -> str:
  """The legend's name of the series `name`, '<source>/<entry>': 'codebook/mse' is 'mse (test images)'."""
  source, _, entry = name.rpartition('/')
  source, entry = source.partition('/')[0], entry.replace('_', ' ')
  if source in _NETWORKS:
    return f'{source} {entry}'
  where = _MEASURED_ON.get(source)
  if where == 'test images' and entry.startswith('train '):
    entry, where = entry.removeprefix('train '), 'training images'
  return f'{entry} ({where})' if where else entry


def number_text(value: float) -> str:
  """A number as readable text: '12,345', '0.02917', '3.1e-05'; at least four digits, and no e+04."""
  if isinstance(value, int) or abs(value) >= 10_000 and np.isfinite(value):
    return f'{value:,.0f}'
  return f'{value:.4g}'


@dataclasses.dataclass(frozen=True)
class Curves:
  """Scalars against training steps, and epochs on a second axis, raw and smoothed."""

  file: str
  title: str
  unit: str                                    # of the y axis; `ylabel` adds which direction is better
  columns: tuple[str, ...]                     # names in Record.series, * for any letters; missing ones are left out
  log: bool = False                            # logarithmic y axis
  limits: tuple[float, float] | None = None    # of the y axis; None for the range of the values
  reference: float | str | None = None         # a level: a number, or the name of a series, for its last value
  reference_label: str = ''
  ylabel_by: tuple[str, dict] = ('', {})       # (config key, {value of the key: ylabel}); else `ylabel`
  units: tuple[str, ...] = ()                  # config keys that determine the unit
  caption: str = ''                            # what it shows and how to read it

  def shown(self, names: Iterable[str]) -> list[str]:
    """The names that match `columns`, in this order."""
    return [name for column in self.columns for name in sorted(names) if fnmatch.fnmatchcase(name, column)]

  def has_data(self, record: Record) -> bool:
    return bool(self.shown(record.series))

  @property
  def ylabel(self) -> str:
    """The label of the y axis."""
    return '\n'.join(filter(None, (self.unit, direction_of(self.columns))))

  def draw(self, axes: Axes, record: Record) -> None:
    curves = {column: record.series[column] for column in self.shown(record.series)}
    windows = [smoothing_window(len(steps)) for steps, _ in curves.values()]
    for index, (name, (steps, values)) in enumerate(curves.items()):
      draw_curve(axes, steps, values, windows[index], label=label(name), color=f'C{index}')
    axes.set_ylabel(self.ylabel_of(record))
    if self.reference is not None:
      level = record.series[self.reference][1][-1] if isinstance(self.reference, str) else self.reference
      axes.axhline(level, label=self.reference_label, **REFERENCE_STYLE)
    self.set_ranges(axes, curves.values())
    add_epochs(axes, record.epochs_per_step)
    ncols = 2 if max(len(label(name)) for name in curves) <= _MAX_LABEL else 1
    axes.figure.legend(loc='outside lower center', ncols=ncols, frameon=False, title=smoothing_note(*windows))

  def ylabel_of(self, record: Record) -> str:
    """The label of the y axis, which may depend on the run's config."""
    key, labels = self.ylabel_by
    return labels.get(record.config.get(key), self.ylabel)

  def set_ranges(self, axes: Axes, curves: Collection[tuple[np.ndarray, np.ndarray]]) -> None:
    """Sets the ranges and scales of both axes for `curves`, (steps, values) each."""
    _set_steps(axes, np.concatenate([steps for steps, _ in curves]))
    if self.limits:
      margin = 0.02 * np.ptp(self.limits)   # so that a curve at a limit is not cut
      axes.set_ylim(self.limits[0] - margin, self.limits[1] + margin)
    else:
      values = np.concatenate([values for _, values in curves])
      if np.equal(values, np.rint(values)).all():
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))   # counts have no halves
      _set_scale(axes, values, self.log)


@dataclasses.dataclass(frozen=True)
class ClassBars:
  """One bar per class, from the last evaluation of an evaluator."""

  file: str
  title: str
  ylabel: str
  evaluator: str
  entry: str                                   # a list, one number in [0, 1] per class
  entry_label: str
  reference: str                               # the list to compare with
  reference_label: str
  names: str                                   # the list of the classes' names
  caption: str = ''

  def has_data(self, record: Record) -> bool:
    return f'{self.evaluator}/{self.entry}' in record.latest

  def draw(self, axes: Axes, record: Record) -> None:
    entries = (self.entry, self.reference, self.names, 'step')
    values, reference, names, step = (record.latest[f'{self.evaluator}/{entry}'] for entry in entries)
    if len(values) > _MAX_BARS:
      self._draw_sorted(axes, values, reference, step)
      return
    places = np.arange(len(values))
    axes.bar(places, values, color='C0', label=f'{self.entry_label}, after {step:,} steps')
    axes.hlines(reference, places - 0.3, places + 0.3, color='0.1', linewidth=2, label=self.reference_label)
    # If the names would overlap, only every second, third, ... class is named.
    every, names = -(-len(names) // 40), [_shortened(name) for name in legible(names)]
    axes.set_xticks(places[::every], names[::every], parse_math=False, fontfamily=families_of(names))
    if sum(map(len, names[::every])) > 50:
      axes.tick_params('x', rotation=90)
    axes.set(xlabel='class', ylim=(0, 1.02))
    axes.figure.legend(loc='outside lower center', ncols=2, frameon=False)

  def _draw_sorted(self, axes, values, reference, step):
    """Both lists as outlines, each sorted separately."""
    edges = np.arange(len(values) + 1)
    axes.stairs(np.sort(values), edges, fill=True, color='C0', label=f'{self.entry_label}, after {step:,} steps')
    axes.stairs(np.sort(reference), edges, color='0.1', linewidth=1.5, label=self.reference_label)
    axes.set(xlabel=f'{len(values):,} classes, the lowest share first (each curve sorted separately)',
             xlim=(0, len(values)), ylim=(0, 1.02))
    axes.figure.legend(loc='outside lower center', ncols=2, frameon=False)


@dataclasses.dataclass(frozen=True)
class SortedBars:
  """One bar per entry of a list, the highest first, from the last evaluation of an evaluator."""

  file: str
  title: str
  ylabel: str                                  # with the unit
  xlabel: str
  evaluator: str
  entry: str
  caption: str = ''

  def has_data(self, record: Record) -> bool:
    return f'{self.evaluator}/{self.entry}' in record.latest

  def draw(self, axes: Axes, record: Record) -> None:
    values = np.sort(record.latest[f'{self.evaluator}/{self.entry}'])[::-1]
    step = record.latest[f'{self.evaluator}/step']
    # If gaps would be thinner than a pixel, the bars have none; if bars would be, one outline replaces them.
    text = f'after {step:,} steps, total {number_text(values.sum())}'
    if len(values) <= 1_000:
      axes.bar(np.arange(1, len(values) + 1), values, width=0.8 if len(values) <= 64 else 1, color='C0', label=text)
    else:
      axes.stairs(values, np.arange(len(values) + 1) + 0.5, fill=True, color='C0', label=text)
    axes.set_xlim(0.4, len(values) + 0.6)
    axes.set_xlabel(self.xlabel)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=(1, 2, 2.5, 5, 10), integer=True))
    axes.figure.legend(loc='outside lower center', frameon=False)


@dataclasses.dataclass(frozen=True)
class Histograms:
  """Outlines of histograms with the same bins, from the last evaluation of an evaluator: shares of each kind."""

  file: str
  title: str
  ylabel: str
  xlabel: str                                  # with the unit
  evaluator: str
  edges: str                                   # a list, the edges of the bins
  counts: str                                  # {kind: a list, images in each bin}
  labels: tuple[tuple[str, str], ...]          # (kind, label); kinds that a run lacks are left out
  caption: str = ''

  def has_data(self, record: Record) -> bool:
    return f'{self.evaluator}/{self.counts}' in record.latest

  def draw(self, axes: Axes, record: Record) -> None:
    edges, counts, step = (record.latest[f'{self.evaluator}/{entry}'] for entry in (self.edges, self.counts, 'step'))
    for index, (kind, label) in enumerate(self.labels):
      if kind in counts:
        shares = np.asarray(counts[kind]) / sum(counts[kind])
        axes.stairs(shares, edges, fill=True, color=f'C{index}', alpha=0.25)
        axes.stairs(shares, edges, color=f'C{index}', linewidth=1.8, label=f'{label} ({sum(counts[kind]):,})')
    axes.set(xlabel=self.xlabel, ylim=(0, None))
    axes.figure.legend(loc='outside lower center', ncols=3, frameon=False, title=f'after {step:,} steps')


@dataclasses.dataclass(frozen=True)
class LatentScatter:
  """Images as points, coloured by an annotation, from the last evaluation of the evaluator `tsne`."""

  file: str
  title: str
  xlabel: str
  ylabel: str
  caption: str = ''

  def has_data(self, record: Record) -> bool:
    return 'tsne/x' in record.latest

  def draw(self, axes: Axes, record: Record) -> None:
    stored = {name.removeprefix('tsne/'): value for name, value in record.latest.items() if name.startswith('tsne/')}
    names, values = [_shortened(name) for name in legible(stored['value_names'])], np.asarray(stored['values'])
    draw_points = _draw_by_order if len(names) > MAX_COLORS or _are_measures(names) else _draw_by_color
    draw_points(axes, stored['x'], stored['y'], values, names, stored['annotation'])
    axes.set(title='', xlabel=self.xlabel, xticks=[], yticks=[])
    # Above the whole figure: the axes may be narrower than the title.
    axes.figure.suptitle(f"{self.title}, coloured by {_shortened(stored['annotation'])}", parse_math=False)
    axes.set_aspect('equal', adjustable='datalim')
    axes.figure.supxlabel(
        f"{len(values):,} test images after {stored['step']:,} steps. A linear classifier of all latents, on held-out\n"
        f"images: accuracy {stored['linear_accuracy']:.1%}, balanced {stored['linear_balanced_accuracy']:.1%} over "
        f"{stored['num_values']} values; most frequent value: {stored['majority_share']:.1%}", fontsize='medium')


def draw_figure(row: Any, record: Record) -> Figure:
  """The Figure that `row`, one of the kinds above with data in `record`, describes."""
  figure = Figure(figsize=(7.5, 4.8), dpi=DPI, layout='constrained')
  axes = figure.add_subplot()
  axes.set_title(row.title)
  axes.set_ylabel(row.ylabel)
  set_style(axes)
  try:
    row.draw(axes, record)
  except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:   # of values read from files
    raise UserError(f'{row.file} cannot be drawn from evaluation/*.json ({terminal.one_line(error)[:100]}); '
                    'delete the damaged files and evaluate again') from error
  return figure


def set_style(axes: Axes) -> None:
  """The common style of all axes."""
  axes.grid(True, color='0.9', linewidth=0.6)
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)


def add_epochs(axes: Axes, epochs_per_step: float | None) -> None:
  """Adds the axis of epochs above that of training steps; none if `epochs_per_step` is None."""
  if epochs_per_step:
    above = axes.secondary_xaxis('top', functions=(lambda steps: np.multiply(steps, epochs_per_step),
                                                   lambda epochs: np.divide(epochs, epochs_per_step)))
    above.set_xlabel('epochs')
    above.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=(1, 2, 2.5, 5, 10)))
    above.spines['top'].set_visible(False)


def draw_curve(axes: Axes, steps: np.ndarray, values: np.ndarray, window: int, label: str, color: Any) -> None:
  """One curve: `values` [R] faint, their moving average bold; the values alone if the window is 1."""
  if window == 1:
    axes.plot(steps, values, 'o-', markersize=4, color=color, label=label)
    return
  axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
  axes.plot(steps, moving_average(values, window), color=color, linewidth=1.8, label=label)


def smoothing_note(*windows: int) -> str:
  """The note on smoothing in a legend."""
  smoothed = ' or '.join(str(window) for window in dict.fromkeys(windows) if window > 1)
  return smoothed and f'bold: moving average over {smoothed} logged rows, faint: each row'


def smoothing_window(rows: int) -> int:
  """The number of rows to average over, odd: about a twentieth of all; 1, no smoothing, below 40 rows."""
  return rows // 20 | 1


def moving_average(values: Float[np.ndarray, ' R'], window: int) -> Float[np.ndarray, ' R']:
  """The moving average of `values` [R] over `window` (odd, at most R) rows, fewer at both ends.

  Values that are not finite are excluded from the means and remain gaps.
  """
  finite = np.isfinite(values)
  sums = np.convolve(np.where(finite, values, 0), np.ones(window), 'same')
  counts = np.convolve(finite, np.ones(window), 'same')
  return np.where(finite, sums / np.maximum(counts, 1), np.nan)


def _draw_by_color(axes, x, y, values, names, title):
  """Points in stored order, so that no value covers the others, and a legend of the values that occur."""
  colors = matplotlib.color_sequences['tab10' if len(names) <= 10 else 'tab20']
  axes.scatter(x, y, c=[colors[value] for value in values], s=_point_size(len(values)), linewidths=0)
  there = np.unique(values)
  marks = [Line2D([], [], color=colors[value], marker='o', linestyle='', markersize=6) for value in there]
  legend = axes.figure.legend(marks, [f'{names[value]} ({(values == value).sum():,})' for value in there],
                              loc='outside right center', frameon=False, title=_shortened(title),
                              fontsize='medium' if len(there) <= 10 else 'small', labelspacing=0.4)
  for text in (legend.get_title(), *legend.get_texts()):
    text.set_parse_math(False)
    text.set_fontfamily(families_of([text.get_text()]))


def _draw_by_order(axes, x, y, values, names, title):
  """Points coloured by the rank of their value, and a colour bar that names some of the values."""
  colors = matplotlib.colormaps['viridis'].resampled(len(names))
  points = axes.scatter(x, y, c=values, s=_point_size(len(values)), linewidths=0, cmap=colors, vmin=-0.5,
                        vmax=len(names) - 0.5)
  bar = axes.figure.colorbar(points, ax=axes)
  bar.set_label(_shortened(title), parse_math=False)
  ticks = range(0, len(names), -(-len(names) // MAX_COLORS))
  bar.ax.set_yticks(ticks, [names[tick] for tick in ticks], parse_math=False, fontfamily=families_of(names))
  bar.ax.minorticks_off()


def _point_size(count):
  """Square markers, smaller if there are many points."""
  return float(np.clip(20_000 / count, 4, 40))


def _are_measures(names):
  """Whether the values are numbers, not all of them whole: whole numbers may be names, such as digits."""
  try:
    return any(not float(name).is_integer() for name in names)
  except ValueError:
    return False


def _shortened(name):
  return name if len(name) <= _MAX_NAME else f'{name[:_MAX_NAME - 1]}…'


def _set_steps(axes, steps):
  """Sets the range of steps to all that are logged, finite values or not; from step 0 on if only one is logged."""
  first, last = steps.min(), steps.max()
  first = first if first < last else 0
  margin = 0.02 * (last - first) or 1
  axes.set_xlim(first - margin, last + margin)
  axes.set_xlabel('training steps')
  axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=(1, 2, 2.5, 5, 10), integer=True))
  axes.xaxis.set_major_formatter(StrMethodFormatter('{x:,.0f}'))


def _set_scale(axes, values, log):
  """A logarithmic scale on request; linear near 0 only if 0, or an outlier, would hide other values."""
  finite = values[np.isfinite(values)]
  sizes = np.abs(finite[finite != 0])
  if not sizes.size:
    return
  small, large = sizes.min() if log else np.median(sizes), sizes.max()
  if log and finite.min() > 0:
    axes.set_yscale('log')
    # A twentieth of the decades as a margin, but at least one decade in all: a constant needs a height too.
    margin = max((large / small)**0.05, (10 * small / large)**0.5)
    axes.set_ylim(small / margin, large * margin)
    _name_decades(axes)
  elif large > (30 if log else 1_000) * small:
    axes.set_yscale('asinh', linear_width=small)
    axes.yaxis.set_major_locator(FixedLocator(_powers_of_ten(small, large)))
    # The default margin, a share of all decades, would extend that many decades beyond 0.
    if finite.min() >= 0:
      axes.set_ylim(bottom=-0.3 * small)
    if finite.max() <= 0:
      axes.set_ylim(top=0.3 * small)


def _name_decades(axes):
  """Sets a logarithmic y axis's ticks: 1, 2, 5, 10, ... within two decades, else powers of ten."""
  low, high = axes.get_ylim()
  axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
  axes.yaxis.set_minor_formatter(NullFormatter())
  if low > 1e-4 and high < 1e6:
    axes.yaxis.set_major_formatter(StrMethodFormatter('{x:,g}'))


def _powers_of_ten(small, large):
  """Ticks: 0 and up to four powers of either sign, far enough apart for labels; the axis is linear below `small`."""
  exponents = np.arange(np.ceil(np.log10(3 * small)), np.floor(np.log10(large)) + 1)
  every = -(-len(exponents) // 4)
  powers = 10.**exponents[every - 1::every]
  return [*-powers, 0., *powers]
