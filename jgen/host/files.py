"""Files that are written whole or not at all, and the reader of JSON that refuses damaged ones."""

from collections.abc import Iterator
import contextlib
import fnmatch
import json
import os
from pathlib import Path
import re
from typing import Any

import platformdirs

from jgen.errors import UserError

OUTPUT_MARK = '.jgen'                   # a file in folders that are written to, whose pictures are no data
_SCHEME = re.compile(r'([A-Za-z][A-Za-z0-9+.-]*):/')   # one slash, too: a Path has made one of two

_TEMPORARY = re.compile(r'\..+\.(\d+)\.tmp')


def expanded(path: str | os.PathLike) -> Path:
  """The Path that a user names, with `~` or `~name` expanded to a home folder.

  Every path from a flag, a config or the environment passes here.

  Raises:
    UserError: nobody is called so; the path is an address, as `gs://bucket/run`; no file system takes it.
  """
  text = os.fspath(path)
  scheme = _SCHEME.match(text)
  if scheme and not Path(f'{scheme[1]}:').is_dir():
    raise UserError(f'{text}: {scheme[1]}: addresses are not served; name a folder or file of this machine, such as a '
                    'place where the storage is mounted')
  if '\0' in text:
    raise UserError(f'{text!r} is no path: it has a NUL character')
  try:
    return Path(path).expanduser()
  except RuntimeError as error:
    raise UserError(f'{path}: there is no such home; name the folder or file by its whole path') from error


def folder(path: str | os.PathLike) -> Path:
  """The absolute path of a folder for a run that a user names, which is there or can be made.

  Raises:
    UserError: as `expanded`; it is a file, or below one; a link on the way leads nowhere or in a circle; its name is
      too long, or one that the libraries that write there cannot.
  """
  path = expanded(path).absolute()
  try:
    _check_name(path)
    for place in (path, *path.parents):
      if place.is_symlink() and not place.exists():
        raise UserError(f'{place} is a link to {os.readlink(place)}, which does not exist; name another folder')
      if place.exists():
        if not place.is_dir():
          raise UserError(f'{place} is a file; name a folder' + (' that is not below it' if place != path else ''))
        break
  except OSError as error:
    raise UserError(f'{path} cannot be a folder ({error.strerror}); name another') from error
  return path


def _check_name(path):
  """Raises UserError for a name that TensorBoard's writer refuses, or under which Orbax loses what it saves."""
  try:
    str(path).encode()
  except UnicodeEncodeError as error:
    raise UserError(f'{path} is not text in UTF-8; name a folder that is') from error
  if '\\' in str(path) or not fnmatch.fnmatchcase(str(path), str(path)):   # Orbax looks for files by patterns
    raise UserError(f'{path} has a backslash or brackets, under which checkpoints would be lost; name another folder')


def cache_folder() -> Path:
  """The folder for what can be made again: $JGEN_CACHE, else the platform's: $XDG_CACHE_HOME/jgen, ~/.cache/jgen."""
  return expanded(os.environ.get('JGEN_CACHE') or platformdirs.user_cache_path('jgen', appauthor=False))


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
  """Gives a path in the folder of `path` to write to; it replaces `path` at the end and is removed on an error."""
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')   # is_temporary recognises this form
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
  """Whether a file has the name of one that `replacing` writes to."""
  return bool(_TEMPORARY.fullmatch(name))


def remove_temporaries(*folders: Path) -> None:
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


def write_text(path: str | os.PathLike, text: str) -> None:
  """Writes a text file, whole or not at all, and brings it to the disk."""
  with replacing(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())


_KINDS = {int: 'a whole number', str: 'a text', dict: 'a mapping', list: 'a list'}


def read_json(path: str | os.PathLike, remedy: str, **kinds: type) -> dict[str, Any]:
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


def mark_output(folder: str | os.PathLike) -> None:
  """Marks a folder as this package's own output, if there is nothing in it yet."""
  folder = Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  if next(folder.iterdir(), None) is None:
    (folder / OUTPUT_MARK).touch()
