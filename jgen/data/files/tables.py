"""Annotation lists of image files: columns separated by commas, semicolons, tabs or, as in CelebA, spaces; or JSON."""

from collections.abc import Callable, Collection, Iterable, Sequence
import contextlib
import csv
import dataclasses
import io
import math
from pathlib import Path
import re
from typing import Any

from jaxtyping import Int32
import numpy as np

from jgen.data.files import json_lists
from jgen.data.files.decoding import SUFFIXES
from jgen.data.spec import Annotation
from jgen.errors import UserError

# Names of the column with the file name, in order of preference: `id` may be a row number.
ID_COLUMNS = ('filename', 'file_name', 'file', 'path', 'image_id', 'image', 'id')
SPLIT_COLUMNS = ('partition', 'split', 'set', 'subset')   # names of the column with the split, if there are others
MAX_VALUES = 256                        # distinct values of a column that becomes an annotation by default
EMPTY = '(empty)'                       # the value of an empty cell
_UNNAMED = re.compile(r'|Unnamed: \d+')   # columns that pandas and spreadsheets add: row numbers, or empty
_DELIMITERS = (',', ';', '\t')
_OTHER_FILES = (                        # (first bytes, what such a file is)
    (b'PK\x03\x04', 'a zip or an Excel file; save the sheet as .csv'), (b'\xd0\xcf\x11\xe0', 'an Excel file; save the '
    'sheet as .csv'), (b'PAR1', 'a Parquet file; save it as .csv'), (b'\x1f\x8b', 'a gzip file; unpack it'),
    (b'BZh', 'a bzip2 file; unpack it'), (b'\xfd7zXZ', 'an xz file; unpack it'), (b'%PDF', 'a PDF file'),
    (b'SQLite format 3', 'an SQLite database; save its table as .csv'), (b'\x89HDF', 'an HDF5 file; save it as .csv'),
    (b'\x93NUMPY', 'a numpy array; save it as .csv with the names of the files'),
    *((bytes((0x80, protocol)), 'pickled, and unpickling can run any code; save it as .csv')
      for protocol in range(2, 6)), (b'MATLAB', 'a MATLAB file; save it as .csv'))
_SAMPLE = 20                            # lines from which the delimiter is inferred
_MAX_NAMED = 3                          # names that a message lists
_EXTENSIONS = frozenset(suffix[1:] for suffix in SUFFIXES)


@dataclasses.dataclass(frozen=True)
class Table:
  """An annotation list with one row per file."""

  where: str                            # its path, for messages
  columns: dict[str, Sequence[str]]     # {name: values, row by row}, without the column of file names
  rows: dict[str, int]                  # {file name without folder and extension: row number}, in order
  files: str = ''                       # the name of the column of file names
  unnamed: int = 0                      # number of columns without a name, which are left out


def key(name: str) -> str:
  """A file name without folder and extension, by which rows are matched to files."""
  name = name.replace('\\', '/').rsplit('/', 1)[-1]   # called 300,000 times at each start, so it has to be fast
  stem, dot, extension = name.rpartition('.')
  return stem if dot and extension.lower() in _EXTENSIONS else name


def read_table(content: bytes, where: str, keys: Collection[str] = (), header: Sequence[str] | None = None) -> Table:
  """Parses an annotation list.

  Args:
    content: the bytes of the file
    where: its path, for messages
    keys: `key` of the image files; a first row whose first cell is one of them, or an image file name, is no header
    header: names of the columns, for lists that have no header by definition

  Raises:
    UserError: not text; no row; rows of different lengths; a file or a column named twice.
  """
  lines, cells_of, columns_of = _lines(content, where)
  first = cells_of(lines[0])
  if header is None and (key(first[0]) in keys or first[0].lower().endswith(SUFFIXES)):
    header = tuple(f'column_{n}' for n in range(1, len(first)))
  if header is None:
    at, names = _id_column(first, cells_of(lines[1]) if len(lines) > 1 else (), keys, where)
    lines = lines[1:]
  else:
    at, names = 0, header
  if not lines:
    raise UserError(f'{where}: holds no row; expected one row per file')
  columns = columns_of(lines, len(names) + 1)
  if columns is None:
    n, count = next((n, count) for n, line in enumerate(lines) if (count := len(cells_of(line))) != len(names) + 1)
    raise UserError(f'{where}: row {n + 1} has {count} cells, expected {len(names) + 1}; fix the '
                    'file or download it again')
  others = dict(zip(names, columns[:at] + columns[at + 1:], strict=True))
  named = {name: column for name, column in others.items() if not _UNNAMED.fullmatch(name)}
  return Table(where, named, _places(columns[at], where), '' if header else first[at], len(names) - len(named))


def _places(files, where):
  keys = list(map(key, files))
  places = {name: n for n, name in enumerate(keys)}
  if len(places) < len(keys):
    twice = next(name for n, name in enumerate(keys) if places[name] != n)
    raise UserError(f"{where}: names '{twice}' twice; expected one row per file")
  return places


_Lines = tuple[list, Callable[[Any], list], Callable[[list, int], list | None]]


def _lines(content, where) -> _Lines:
  """(the lines, a function from a line to its cells, a function from all lines to columns)."""
  text = _decoded(content, where)
  delimiter = _delimiter(text)
  if text[:1000].lstrip()[:1] in ('{', '[') and text[-1000:].rstrip()[-1:] in ('}', ']'):
    lines_and_readers: _Lines = json_lists.rows_of(text, where), list, _separated_columns
  elif Path(where).suffix.lower() == '.txt' and not delimiter:
    lines = [line for line in text.splitlines() if line and not line.isspace()]
    if lines and lines[0].strip().isdigit() and len(lines) > 1 and len(lines[1].split()) > 1:
      lines = [f'image_id {lines[1]}', *lines[2:]]   # CelebA's format: the count, the column names, the rows
    lines_and_readers = lines, _spaced_cells, _spaced_columns
  else:
    lines_and_readers = _separated(text, where, delimiter or ','), list, _separated_columns
  if not lines_and_readers[0]:
    raise UserError(f'{where}: is empty; expected a list with one row per file')
  return lines_and_readers


def _decoded(content, where):
  """The text of a list in UTF-8, or in UTF-16 as spreadsheets write it; raises UserError if it is neither."""
  kind = next((kind for magic, kind in _OTHER_FILES if content.startswith(magic)), '')
  if kind:
    raise UserError(f'{where}: is {kind}; expected a text file with one row per file')
  try:
    text = content.decode('utf-16' if content[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig')
  except UnicodeDecodeError as error:
    raise UserError(f'{where}: is not UTF-8 text; expected a list with one row per file: save it as UTF-8') from error
  if '\0' in text or text.lstrip()[:1] == '<':
    raise UserError(f'{where}: is not a list, but perhaps a web page; download it again')
  return text


def _delimiter(text):
  """The one of _DELIMITERS that gives the most cells in each of the first lines; '' if none separates any."""
  lines = [line for line in text[:100_000].splitlines() if line.strip()][:_SAMPLE]
  widths = {}
  for delimiter in _DELIMITERS:
    with contextlib.suppress(csv.Error):
      widths[delimiter] = min((len(row) for row in csv.reader(lines, delimiter=delimiter) if row), default=1)
  best = max(widths, key=widths.__getitem__, default='')
  tabs = {line.count('\t') for line in lines}
  if best == '\t' and len(tabs) > 1:      # columns separated by any whitespace, some of it tabs
    return ''
  return best if widths.get(best, 1) > 1 else ''


def _spaced_cells(line):
  return re.findall('[^\\0- ]+', line)


def _spaced_columns(lines, width):
  """The columns of lines with `width` cells each, as arrays of str; None if a line has another number of cells.

  Vectorised over all cells: CelebA's list has eight million, and is read at each start.
  """
  text = np.frombuffer('\n'.join(lines).encode(), np.uint8)
  edges = np.flatnonzero(np.diff(text <= ord(' '), prepend=True, append=True))
  starts, stops = edges[::2], edges[1::2]
  cells_before = np.searchsorted(starts, np.flatnonzero(text == ord('\n')))
  if len(starts) != width * len(lines) or np.any(cells_before != width * np.arange(1, len(lines))):
    return None
  starts, stops = starts.reshape(-1, width), stops.reshape(-1, width)
  return [_strings(text, starts[:, n], stops[:, n]) for n in range(width)]


def _strings(text, starts, stops):
  longest = (stops - starts).max()
  places = starts[:, np.newaxis] + np.arange(longest)
  cells = np.where(places < stops[:, np.newaxis], text.take(places, mode='clip'), 0)
  if cells.max() < 128:                 # ASCII, which numpy's str stores as the same numbers in 32 bits
    return cells.astype(np.uint32).view(f'U{longest}')[:, 0]
  return np.char.decode(cells.astype(np.uint8).view(f'S{longest}')[:, 0], 'utf-8')


def _separated_columns(rows, width):
  return list(zip(*rows, strict=True)) if all(len(row) == width for row in rows) else None


def _separated(text, where, delimiter):
  try:
    rows = list(csv.reader(io.StringIO(text, newline=None), delimiter=delimiter, strict=True))
  except csv.Error as error:
    raise UserError(f'{where}: is not a comma-separated list ({error}); fix the file or download it again') from error
  return [[cell.strip() for cell in row] for row in rows if any(row)]


def _id_column(names, row, keys, where):
  """(index of the column of file names, the names of the other columns); `row` is the first after the header."""
  twice = next((name for n, name in enumerate(names) if name in names[:n] and not _UNNAMED.fullmatch(name)), None)
  if twice is not None:
    raise UserError(f"{where}: its first row has '{twice}' twice; expected a distinct name for each column, or the "
                    'row of one of these images')
  lowered = [name.lower() for name in names]
  id_columns = [lowered.index(name) for name in ID_COLUMNS if name in lowered]
  named = [n for n, name in enumerate(names) if not _UNNAMED.fullmatch(name)]
  default = (id_columns + named + [0])[0]
  at = next((n for n in dict.fromkeys(id_columns + named + list(range(len(names)))) if n < len(row) and (
      key(row[n]) in keys or row[n].lower().endswith(SUFFIXES))), default)
  return at, tuple(name for n, name in enumerate(names) if n != at)


def annotations(table: Table, label: str = '') -> tuple[Annotation, ...]:
  """An Annotation for every column of at most MAX_VALUES distinct values, and for `label` whatever its number.

  Values are sorted as numbers if all of them are, else as text; empty cells come last. Empty cells of `label` are not a
  value.

  Raises:
    UserError: `label` has a different value for most images, so it cannot be a class.
  """
  values_of = {column: set(map(str, values)) for column, values in table.columns.items()}   # converts np.str_
  count = len(values_of.get(label, ()))
  if count > MAX_VALUES and 2 * count > len(table.rows):
    raise UserError(f"{table.where}: the column '{label}' has {count:,} values in {len(table.rows):,} rows, too many "
                    'for a label; expected at least two images per value')
  annotations = []
  for column, values in values_of.items():
    if len(values) <= MAX_VALUES or column == label:
      nonempty = values - {''}
      empty = () if len(nonempty) == len(values) or column == label else (EMPTY,)
      annotations.append(Annotation(column, (*sorted(nonempty, key=_order(nonempty)), *empty)))
  return tuple(annotations)


def _order(values):
  """The sort key of the values; unambiguous although '1' equals '1.0' and nan compares with no number."""
  try:
    numbers = {value: float(value) for value in values}
  except ValueError:
    return str
  return lambda value: (math.isnan(numbers[value]), 0. if math.isnan(numbers[value]) else numbers[value], value)


def coded(table: Table, names: Sequence[str], annotations: Sequence[Annotation]) -> Int32[np.ndarray, 'N M']:
  """int32 [N, M]: the rows of `names`, each value as its index in the Annotation's values."""
  rows = [table.rows[key(name)] for name in names]
  columns = np.empty((len(annotations), len(names)), np.int32)
  for column, annotation in zip(columns, annotations, strict=True):
    codes = {value: code for code, value in enumerate(annotation.values)}
    codes[''] = codes.get(EMPTY, 0)
    column[:] = np.array([codes[value] for value in table.columns[annotation.name]], np.int32)[rows]
  return columns.T


def matched(table: Table, names: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
  """(names with a row, [(name, why) of those without]).

  Raises:
    UserError: no name has a row.
  """
  listed = [name for name in names if key(name) in table.rows]
  missing = [name for name in names if key(name) not in table.rows]
  if names and not listed:
    raise UserError(f"{table.where}: lists none of the images: it has '{next(iter(table.rows))}', ... and the images "
                    f"are '{names[0]}', ...; expected a list of these images")
  return listed, [(name, f'has no row in {Path(table.where).name}') for name in missing]


def few(names: Iterable[str]) -> str:
  """'a, b, c and 7 others' for messages."""
  names = list(names)
  more = len(names) - _MAX_NAMED
  return ', '.join(names[:_MAX_NAMED]) + (f' and {more:,} other{"s" if more > 1 else ""}' if more > 0 else '')


def with_value(table: Table, names: Iterable[str], column: str) -> tuple[list[str], list[tuple[str, str]]]:
  """(names whose cell in a column is not empty, [(name, why) of the others])."""
  cells, names = table.columns[column], list(names)
  nonempty = [name for name in names if cells[table.rows[key(name)]]]
  labelled, why = set(nonempty), f"has no value of '{column}' in {Path(table.where).name}"
  return nonempty, [(name, why) for name in names if name not in labelled]


def notes_of(table: Table, annotations: Sequence[Annotation]) -> list[str]:
  """Lines about the columns of a list that are not among the annotations, for the person at the terminal."""
  names = {annotation.name for annotation in annotations}
  many = [f"{name} ({len(set(values)):,} values)" for name, values in table.columns.items() if name not in names]
  lines = [f'columns of {table.where} that are not annotations, having more than {MAX_VALUES} values: {few(many)}; '
           '--config.data.label=COLUMN uses one as the label'] if many else []
  return lines + ([f'{table.unnamed} columns of {table.where} have no name and are left out'] if table.unnamed else [])


def empty_splits(where: object, splits: Sequence[str], numbers: list[int]) -> str:
  """The error line about a list that puts no image into `splits`; `numbers` holds the splits of all images."""
  counts = {name: numbers.count(number) for number, name in enumerate(('train', 'valid', 'test'))}
  shares = ', '.join(f'{count:,} in {name}' for name, count in counts.items() if count)
  return (f"{where}: puts no image into {', '.join(splits)} ({shares}); choose a split that has images, or name "
          'another list with --config.data.partition_file=FILE')


def split_numbers(table: Table) -> dict[str, int]:
  """{key: 0 train, 1 valid, 2 test} of a partition list, whose values may be these numbers or words.

  Raises:
    UserError: another value; several columns, and not exactly one of them has a name in SPLIT_COLUMNS.
  """
  numbers = {'0': 0, '1': 1, '2': 2, 'train': 0, 'valid': 1, 'val': 1, 'validation': 1, 'test': 2}
  column = _split_column(table)
  splits = {}
  for name, value in zip(table.rows, table.columns[column], strict=True):
    number = numbers.get(value.lower())
    if number is None:
      raise UserError(f"{table.where}: '{name}' has the partition '{value}'; expected 0, 1, 2 or train, valid, test")
    splits[name] = number
  return splits


def _split_column(table):
  named = [name for name in table.columns if name.lower() in SPLIT_COLUMNS] or list(table.columns)
  if len(named) != 1:
    raise UserError(f"{table.where}: unclear which column holds the splits; expected a single column besides the file "
                    f"names, or one named {', '.join(SPLIT_COLUMNS)}; found {few(table.columns) or 'none'}")
  return named[0]
