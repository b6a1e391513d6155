"""Files that are written whole or not at all, and the reader of JSON that refuses damaged ones."""

import contextlib
import json
import os
from pathlib import Path
import re

from jgen.errors import UserError

OUTPUT_MARK = '.jgen'                   # a file in folders that are written to, whose pictures are no data

_TEMPORARY = re.compile(r'\..+\.(\d+)\.tmp')


def expanded(path):
  """The Path, with a home in the place of `~` or `~name`.

  Raises:
    UserError: nobody is called so.
  """
  try:
    return Path(path).expanduser()
  except RuntimeError as error:
    raise UserError(f'{path}: there is no such home; name the folder or file by its whole path') from error


@contextlib.contextmanager
def replacing(path):
  """Gives a path beside `path` to write to, which takes its place at the end, or goes on an error."""
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')   # is_temporary knows this form
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def is_temporary(name):
  """Whether a file has the name of one that `replacing` writes to."""
  return bool(_TEMPORARY.fullmatch(name))


def remove_temporaries(*folders):
  """Removes what killed processes have left half-written in the folders, not what a living process writes."""
  for path in (path for folder in folders if folder.is_dir() for path in folder.iterdir()):
    match = _TEMPORARY.fullmatch(path.name)
    if match and not _lives(int(match[1])):
      path.unlink(missing_ok=True)


def _lives(number):
  """Whether there is a process of this number, other than this one."""
  try:
    os.kill(number, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:
    pass
  return number != os.getpid()


def write_text(path, text):
  """Writes a text file, whole or not at all, and brings it to the disk."""
  with replacing(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())


_KINDS = {int: 'a whole number', str: 'a text', dict: 'a mapping', list: 'a list'}


def read_json(path, remedy, **kinds):
  """The JSON object that a file holds, as a dict.

  Args:
    path: the file.
    remedy: what to do where it cannot be read; the end of the error line.
    **kinds: {key: int, str, dict or list}: keys that it must have, and the type of their values.

  Raises:
    UserError: the file is missing, unreadable or damaged, is no JSON object, lacks a key or has one of another type.
  """
  try:
    value = json.loads(Path(path).read_bytes().decode('utf-8'))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or error}; {remedy}') from error
  except (ValueError, RecursionError) as error:   # no UTF-8, no JSON, or nested without an end
    raise UserError(f'{path}: damaged, it is no JSON; {remedy}') from error
  if not isinstance(value, dict):
    raise UserError(f'{path}: damaged, it holds no JSON object; {remedy}')
  for key, kind in kinds.items():
    if not isinstance(value.get(key), kind) or isinstance(value[key], bool):
      raise UserError(f"{path}: damaged, its '{key}' is not {_KINDS[kind]}; {remedy}")
  return value


def mark_output(folder):
  """Marks a folder as this package's own output, if there is nothing in it yet."""
  folder = Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  if next(folder.iterdir(), None) is None:
    (folder / OUTPUT_MARK).touch()
