"""Lists of what is known of image files: comma-separated, or columns between spaces as CelebA's."""

from collections.abc import Sequence
import csv
import dataclasses
import io
import math
from pathlib import Path
import re

import numpy as np

from jgen.data.files.decoding import SUFFIXES
from jgen.data.spec import Annotation
from jgen.errors import UserError

# What the column that names the file is called; of several, the first one here: `id` may be a row's number.
ID_COLUMNS = ('filename', 'file_name', 'file', 'path', 'image_id', 'image', 'id')
SPLIT_COLUMNS = ('partition', 'split', 'set', 'subset')   # what that of the splits is called, where there are others
MAX_VALUES = 256                        # distinct values of a column that is still an annotation
_MAX_NAMED = 3                          # files that a message names
_EXTENSIONS = frozenset(suffix[1:] for suffix in SUFFIXES)


@dataclasses.dataclass(frozen=True)
class Table:
  """A list: one row a file."""

  where: str                            # for messages
  columns: dict[str, Sequence[str]]     # {name: its values, row by row}, without the column that names the file
  rows: dict[str, int]                  # {file's name without folder and extension: number of its row}, in order


def key(name):
  """A file's name without folder and extension, by which lists and files meet."""
  name = name.rsplit('/', 1)[-1]        # 300,000 times at each start: nothing slower
  stem, dot, extension = name.rpartition('.')
  return stem if dot and extension.lower() in _EXTENSIONS else name


def read_table(content, where, known=(), header=None):
  """A list from its bytes.

  Args:
    content: bytes
    where: its path, for messages
    known: keys of image files; a first row that begins with one of them, or as image files end, is no header
    header: names of the columns where the list has no header by its nature

  Raises:
    UserError: no text, no row, rows of other lengths, a file or a column that is named twice.
  """
  lines, cells_of, columns_of = _lines(content, where)
  first = cells_of(lines[0])
  if header is None and (key(first[0]) in known or first[0].lower().endswith(SUFFIXES)):
    header = tuple(f'column_{n}' for n in range(1, len(first)))
  if header is None:
    at, names = _id_column(first, where)
    lines = lines[1:]
  else:
    at, names = 0, header
  if not lines:
    raise UserError(f'{where}: holds no row; expected one a file')
  columns = columns_of(lines, len(names) + 1)
  if columns is None:
    n, count = next((n, count) for n, line in enumerate(lines) if (count := len(cells_of(line))) != len(names) + 1)
    raise UserError(f'{where}: row {n + 1} has {count} cells where {len(names) + 1} were expected; mend the '
                    'file or fetch it again')
  return Table(where, dict(zip(names, columns[:at] + columns[at + 1:], strict=True)), _places(columns[at], where))


def _places(files, where):
  keys = list(map(key, files))
  places = {name: n for n, name in enumerate(keys)}
  if len(places) < len(keys):
    twice = next(name for n, name in enumerate(keys) if places[name] != n)
    raise UserError(f"{where}: names '{twice}' twice; expected one row a file")
  return places


def _lines(content, where):
  """(the lines, what makes cells of one, what makes columns of them all)."""
  try:
    text = content.decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise UserError(f'{where}: is no UTF-8 text; expected a list with one row a file') from error
  if '\0' in text or text.lstrip()[:1] == '<':
    raise UserError(f'{where}: is no list but perhaps a web page; fetch it again')
  if Path(where).suffix.lower() == '.txt' and ',' not in text[:2000]:
    lines = [line for line in text.splitlines() if line and not line.isspace()]
    if lines and lines[0].strip().isdigit() and len(lines) > 1 and len(lines[1].split()) > 1:
      lines = [f'image_id {lines[1]}', *lines[2:]]   # CelebA's: the count, the names of the columns, the rows
    found = lines, _spaced_cells, _spaced_columns
  else:
    found = _separated(text, where), list, _separated_columns
  if not found[0]:
    raise UserError(f'{where}: is empty; expected a list with one row a file')
  return found


def _spaced_cells(line):
  return re.findall('[^\\0- ]+', line)


def _spaced_columns(lines, width):
  """The columns of lines of `width` cells, as arrays of str; None if a line has another number.

  All cells are found at once: CelebA's list has eight million, and is read at each start.
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
  if cells.max() < 128:                 # then str in numpy are the same numbers, of 32 bits
    return cells.astype(np.uint32).view(f'U{longest}')[:, 0]
  return np.char.decode(cells.astype(np.uint8).view(f'S{longest}')[:, 0], 'utf-8')


def _separated_columns(rows, width):
  return list(zip(*rows, strict=True)) if all(len(row) == width for row in rows) else None


def _separated(text, where):
  try:
    rows = list(csv.reader(io.StringIO(text, newline=None), strict=True))
  except csv.Error as error:
    raise UserError(f'{where}: is no comma-separated list ({error}); mend the file or fetch it again') from error
  return [[cell.strip() for cell in row] for row in rows if any(row)]


def _id_column(names, where):
  """(index of the column that names the file, the names of the others)."""
  twice = next((name for n, name in enumerate(names) if name in names[:n]), None)
  if twice is not None:
    raise UserError(f"{where}: its first row has '{twice}' twice; expected a name for each column, or the row of "
                    'one of these images')
  lowered = [name.lower() for name in names]
  at = next((lowered.index(name) for name in ID_COLUMNS if name in lowered), 0)
  return at, tuple(name for n, name in enumerate(names) if n != at)


def annotations(table):
  """An Annotation for every column of at most MAX_VALUES distinct values.

  Values are ordered as numbers where they all are, else as text.
  """
  of_columns = {column: set(map(str, values)) for column, values in table.columns.items()}   # no np.str_
  return tuple(Annotation(column, tuple(sorted(values, key=_order(values))))
               for column, values in of_columns.items() if len(values) <= MAX_VALUES)


def _order(values):
  """A key by which they are sorted in one way only, though '1' and '1.0' are the same number, and nan is none."""
  try:
    numbers = {value: float(value) for value in values}
  except ValueError:
    return str
  return lambda value: (math.isnan(numbers[value]), 0. if math.isnan(numbers[value]) else numbers[value], value)


def coded(table, names, found):
  """int32 [N, M]: the rows of `names`, each value as its index in its Annotation."""
  rows = [table.rows[key(name)] for name in names]
  columns = np.empty((len(found), len(names)), np.int32)
  for column, annotation in zip(columns, found, strict=True):
    codes = {value: code for code, value in enumerate(annotation.values)}
    column[:] = np.array([codes[value] for value in table.columns[annotation.name]], np.int32)[rows]
  return columns.T


def matched(table, names):
  """The names that have a row, and the (name, why) of those that have none.

  Raises:
    UserError: no name has a row.
  """
  there = [name for name in names if key(name) in table.rows]
  missing = [name for name in names if key(name) not in table.rows]
  if names and not there:
    raise UserError(f"{table.where}: names other images ('{next(iter(table.rows))}', ...) than there are "
                    f"('{names[0]}', ...); expected a list of these images")
  return there, [(name, f'has no row in {Path(table.where).name}') for name in missing]


def few(names):
  """'a, b, c and 7 others' for messages."""
  names = list(names)
  more = len(names) - _MAX_NAMED
  return ', '.join(names[:_MAX_NAMED]) + (f' and {more:,} other{"s" if more > 1 else ""}' if more > 0 else '')


def empty_splits(where, splits, numbers):
  """The error line about a list that puts no image into `splits`; `numbers` says where those are that there are."""
  counts = {name: numbers.count(number) for number, name in enumerate(('train', 'valid', 'test'))}
  told = ', '.join(f'{count:,} in {name}' for name, count in counts.items() if count)
  return (f"{where}: puts no image into {', '.join(splits)} ({told}); ask for a split that has some, or name another "
          'list with --config.data.partition_file=FILE')


def split_numbers(table):
  """{key: 0 train, 1 valid, 2 test} of a partition list, whose values may be those numbers or words.

  Raises:
    UserError: another value; several columns of which none, or more than one, is named as one of SPLIT_COLUMNS.
  """
  numbers = {'0': 0, '1': 1, '2': 2, 'train': 0, 'valid': 1, 'val': 1, 'validation': 1, 'test': 2}
  column = _split_column(table)
  found = {}
  for name, value in zip(table.rows, table.columns[column], strict=True):
    number = numbers.get(value.lower())
    if number is None:
      raise UserError(f"{table.where}: '{name}' has the partition '{value}'; expected 0, 1, 2 or train, valid, test")
    found[name] = number
  return found


def _split_column(table):
  named = [name for name in table.columns if name.lower() in SPLIT_COLUMNS] or list(table.columns)
  if len(named) != 1:
    raise UserError(f"{table.where}: which column holds the splits? expected one beside the file's, or one of the name "
                    f"{', '.join(SPLIT_COLUMNS)}; found {few(table.columns) or 'none'}")
  return named[0]
