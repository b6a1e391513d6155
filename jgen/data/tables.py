"""Lists of what is known of image files: comma-separated, or columns between spaces as CelebA's."""

import csv
import dataclasses
import io
import math
from pathlib import Path

import numpy as np

from jgen.data.decoding import SUFFIXES
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
  columns: tuple[str, ...]              # without the one that names the file
  rows: dict[str, tuple[str, ...]]      # by the file's name without folder and extension


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
  lines = _lines(content, where)
  if header is None and (key(lines[0][0]) in known or lines[0][0].lower().endswith(SUFFIXES)):
    header = tuple(f'column_{n}' for n in range(1, len(lines[0])))
  if header is None:
    at, columns = _id_column(lines[0], where)
    lines = lines[1:]
  else:
    at, columns = 0, header
  rows = {}
  for n, line in enumerate(lines):
    if len(line) != len(columns) + 1:
      raise UserError(f'{where}: row {n + 1} has {len(line)} cells where {len(columns) + 1} were expected; mend the '
                      'file or fetch it again')
    name = key(line.pop(at))
    if name in rows:
      raise UserError(f"{where}: names '{name}' twice; expected one row a file")
    rows[name] = tuple(line)
  if not rows:
    raise UserError(f'{where}: holds no row; expected one a file')
  return Table(where, columns, rows)


def _lines(content, where):
  try:
    text = content.decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise UserError(f'{where}: is no UTF-8 text; expected a list with one row a file') from error
  if '\0' in text or text.lstrip()[:1] == '<':
    raise UserError(f'{where}: is no list but perhaps a web page; fetch it again')
  if Path(where).suffix.lower() == '.txt' and ',' not in text[:2000]:
    lines = [cells for line in text.splitlines() if (cells := line.split())]
    if lines and len(lines[0]) == 1 and lines[0][0].isdigit() and len(lines) > 1 and len(lines[1]) > 1:
      lines = [['image_id', *lines[1]], *lines[2:]]   # CelebA's: the count, the names of the columns, the rows
  else:
    lines = _separated(text, where)
  if not lines:
    raise UserError(f'{where}: is empty; expected a list with one row a file')
  return lines


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
  """An Annotation for every column of at most MAX_VALUES distinct values, and {column: its index}.

  Values are ordered as numbers where they all are, else as text.
  """
  found, places = [], {}
  for place, column in enumerate(table.columns):
    values = {row[place] for row in table.rows.values()}
    if len(values) <= MAX_VALUES:
      places[column] = place
      found.append(Annotation(column, tuple(sorted(values, key=_order(values)))))
  return tuple(found), places


def _order(values):
  """A key by which they are sorted in one way only, though '1' and '1.0' are the same number, and nan is none."""
  try:
    numbers = {value: float(value) for value in values}
  except ValueError:
    return str
  return lambda value: (math.isnan(numbers[value]), 0. if math.isnan(numbers[value]) else numbers[value], value)


def coded(table, names, found, places):
  """int32 [N, M]: the rows of `names`, each value as its index in its Annotation."""
  columns = []
  for annotation in found:
    codes = {value: code for code, value in enumerate(annotation.values)}
    place = places[annotation.name]
    columns.append([codes[table.rows[key(name)][place]] for name in names])
  return np.array(columns, np.int32).T.reshape(len(names), len(found))


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
  for name, row in table.rows.items():
    value = row[column].lower()
    if value not in numbers:
      raise UserError(f"{table.where}: '{name}' has the partition '{value}'; expected 0, 1, 2 or train, valid, test")
    found[name] = numbers[value]
  return found


def _split_column(table):
  named = [n for n, name in enumerate(table.columns) if name.lower() in SPLIT_COLUMNS]
  places = named or range(len(table.columns))
  if len(places) != 1:
    raise UserError(f"{table.where}: which column holds the splits? expected one beside the file's, or one of the name "
                    f"{', '.join(SPLIT_COLUMNS)}; found {few(table.columns) or 'none'}")
  return places[0]
