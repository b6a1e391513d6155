"""Writes and reads metrics.csv: one row per logged step, each step once, even after interruptions.

A digest beside the file reveals rows that were changed later.
"""

from collections.abc import Mapping
import csv
import dataclasses
import hashlib
import io
import json
import os
from pathlib import Path
import re

import numpy as np

from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import read_json, write_text

EPOCH = 'epoch'                         # column with the number of passes over the training images; older runs lack it
_NUMBER = re.compile(r'-?(\d+(\.\d+)?(e[+-]?\d+)?|inf|nan)')   # as Python writes them; float() accepts more, like '1_0'
_REMEDY = 'restore the file from a copy, or start a new run with another --workdir'


@dataclasses.dataclass(frozen=True)
class Rows:
  """The contents of a csv file of metrics."""

  names: tuple[str, ...]                # of the columns after 'step'
  steps: np.ndarray                     # int64 [R], increasing
  values: np.ndarray                    # float64 [R, number of names]
  cut_short: bool = False               # whether the last line was truncated and left out

  def series(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{name: (steps, values)}; {} if nothing is logged yet."""
    return {name: (self.steps.astype(float), self.values[:, column])
            for column, name in enumerate(self.names)} if len(self.steps) else {}


def read_rows(path: Path) -> Rows:
  """The Rows of a csv file of metrics, with 'step' as the first column; no rows if the file does not exist.

  A last line without a newline is truncated, and left out.

  Raises:
    UserError: the file is damaged, its steps do not increase, or its rows are not those that were written; the message
      names the line where that is known.
  """
  path = Path(path)
  seal = Seal.read(path)                # before the file, to which another process may be adding rows
  names, lines, cut_short = _lines(path)
  rows = [_row(line, len(names), f'{path}, line {number}') for number, line in enumerate(lines, start=2)]
  for number, (before, after) in enumerate(zip(rows, rows[1:], strict=False), start=3):
    if after[0] <= before[0]:
      raise UserError(f'{path}, line {number}: damaged, step {after[0]:.0f} follows step {before[0]:.0f}; {_REMEDY}')
  seal.check(path)
  table = np.array(rows, np.float64).reshape(len(rows), len(names) + 1)
  return Rows(names, table[:, 0].astype(np.int64), table[:, 1:], cut_short)


def _lines(path):
  """(columns after 'step', the complete lines after the header, whether the last line is truncated) of a file."""
  path = Path(path)
  try:
    text = path.read_bytes().decode('utf-8') if path.exists() else ''
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or error}; {_REMEDY}') from error
  except UnicodeDecodeError as error:
    raise UserError(f'{path}: damaged, it is not UTF-8 text; {_REMEDY}') from error
  *lines, rest = text.split('\n')
  header = next(csv.reader(lines[:1], strict=True), None) if '\0' not in (lines or [''])[0] else ['']
  if lines and (not header or header[0] != 'step' or len(set(header)) < len(header) or '' in header):
    raise UserError(f"{path}, line 1: damaged, expected 'step' and the names of the columns; {_REMEDY}")
  return tuple(header[1:]) if header else (), lines[1:], bool(rest)


def _row(line, columns, where):
  cells = line.split(',')
  if len(cells) != columns + 1 or not cells[0].isdecimal() or not all(map(_NUMBER.fullmatch, cells)):
    raise UserError(f'{where}: damaged, expected a step and {columns} numbers; {_REMEDY}')
  return [float(cell) for cell in cells]


def last_step(path: Path) -> int:
  """The largest step in a csv file of metrics; 0 if it has no rows or does not exist."""
  content = path.read_bytes() if path.is_file() else b''
  return max((int(cell) for cell in re.findall(rb'^(\d{1,18}),', content, re.MULTILINE)), default=0)


@dataclasses.dataclass(frozen=True)
class Seal:
  """The bytes with which a csv file of metrics begins, stored beside it; runs of older versions have none."""

  size: int                             # number of bytes
  sha256: str                           # of these bytes, in hexadecimal

  @staticmethod
  def file_of(path: Path) -> Path:
    """The file with the seal of the csv file at `path`."""
    return path.with_name(f'.{path.name}.seal')

  @classmethod
  def read(cls, path: Path) -> 'Seal':
    """The seal of the csv file at `path`, of no bytes if it has none, or, with a warning, if the seal is damaged."""
    file = cls.file_of(path)
    if file.exists():
      try:
        stored = read_json(file, f'{path.name} is read without it', size=int, sha256=str)
        return cls(stored['size'], stored['sha256'])
      except UserError as error:
        terminal.warn(str(error))
    return cls(0, hashlib.sha256().hexdigest())

  def store(self, path: Path) -> None:
    """Writes the seal of the csv file at `path`."""
    file = self.file_of(path)
    if file.is_dir():
      raise UserError(f'{file} is a folder; move it away')
    write_text(file, json.dumps(dataclasses.asdict(self)) + '\n')

  def check(self, path: Path) -> None:
    """Raises UserError if the csv file at `path` does not begin with the sealed bytes."""
    begin = path.read_bytes()[:max(self.size, 0)] if self.size and path.exists() else b''
    if len(begin) != self.size or hashlib.sha256(begin).hexdigest() != self.sha256:
      raise UserError(f'{path}: damaged, its first {self.size:,} bytes are not those that the run wrote; {_REMEDY}; '
                      f'if the change is intended, delete {self.file_of(path)}')


class MetricsFile:
  """metrics.csv, open for writing."""

  def __init__(self, path: Path, step: int, every: int = 0) -> None:
    """Opens the file and drops rows after `step`, which an interrupted run wrote; they will be written again.

    Args:
      path: the file.
      step: step of the checkpoint from which the run resumes.
      every: steps between rows; every row up to `step` must be present. 0 keeps the existing rows.

    Raises:
      UserError: a row up to `step` is missing, duplicated, out of order, damaged or not what was written.
    """
    self._names, lines, _ = _lines(path)
    rows = lines[:step // every] if every else [line for line in lines if int(line.split(',')[0]) <= step]
    steps = [int(_row(line, len(self._names), f'{path}, line {number}')[0]) for number, line in enumerate(rows, 2)]
    for number, expected in enumerate(range(every, step + 1, every) if every else (), start=2):
      row_step = steps[number - 2] if number - 2 < len(steps) else 'none'
      if row_step != expected:
        raise UserError(f'{path}, line {number}: expected the row of step {expected}, found {row_step}, but the '
                        f'checkpoint is of step {step}; {_REMEDY}')
    self._names = list(self._names) if rows else None
    text = ''.join(f'{line}\n' for line in ([','.join(['step', *self._names]), *rows] if rows else []))
    if rows:
      Seal.read(path).check(path)
    self._path, self._size, self._hash = path, len(text.encode()), hashlib.sha256(text.encode())
    self._seal()                        # before the rows are dropped: it fits the file before and after
    write_text(path, text)
    self._file = path.open('a', newline='', encoding='utf-8')

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Appends a row of `scalars` {name: float}, the same names in every row; names not in the header are dropped."""
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator='\n')
    if self._names is None:
      self._names = sorted(scalars, key=lambda name: (name != EPOCH, name))
      writer.writerow(['step', *self._names])
    writer.writerow([step, *(repr(float(scalars[name])) for name in self._names)])
    self._file.write(rows.getvalue())
    self._file.flush()                  # makes the row visible to readers at once; sync() flushes to disk
    self._size += len(rows.getvalue().encode())
    self._hash.update(rows.getvalue().encode())

  def sync(self) -> None:
    """Flushes all rows to disk, so that no checkpoint is ever ahead of its rows, and seals them."""
    os.fsync(self._file.fileno())
    self._seal()

  def _seal(self):
    Seal(self._size, self._hash.hexdigest()).store(self._path)

  def close(self) -> None:
    self.sync()
    self._file.close()
