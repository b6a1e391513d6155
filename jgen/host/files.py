"""Paths from the user, atomic file writes, and a JSON reader that refuses damaged files."""

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

OUTPUT_MARK = '.jgen'                   # marks folders written by jgen, whose images must not become data
_SCHEME = re.compile(r'([A-Za-z][A-Za-z0-9+.-]*):/')   # one slash, because Path merges two

_TEMPORARY = re.compile(r'\..+\.(\d+)\.tmp')


def expanded(path: str | os.PathLike) -> Path:
  """The Path that a user gives, with `~` or `~name` expanded to a home folder.

  Every path from a flag, a config or the environment passes through this function.

  Raises:
    UserError: there is no such user; the path is a URL, such as `gs://bucket/run`; it has a NUL character.
  """
  text = os.fspath(path)
  scheme = _SCHEME.match(text)
  if scheme and not Path(f'{scheme[1]}:').is_dir():
    raise UserError(f'{text}: {scheme[1]}: URLs are not supported; name a folder or file of this machine, such as '
                    'the mount point of the storage')
  if '\0' in text:
    raise UserError(f'{text!r} is not a path: it has a NUL character')
  try:
    return Path(path).expanduser()
  except RuntimeError as error:
    raise UserError(f'{path}: there is no such home folder; give the absolute path') from error


def folder(path: str | os.PathLike) -> Path:
  """The absolute path of a run folder that a user gives, which exists or can be created.

  Raises:
    UserError: as `expanded`; the path is a file, or below one; a symbolic link on it is broken or circular; the name is
      too long, or not supported by Orbax or TensorBoard.
  """
  path = expanded(path).absolute()
  try:
    _check_name(path)
    for place in (path, *path.parents):
      if place.is_symlink() and not place.exists():
        raise UserError(f'{place} is a link to {os.readlink(place)}, which does not exist; name another folder')
      if place.exists():
        if not place.is_dir():
          raise UserError(f'{place} is a file; name a folder' + (' outside of it' if place != path else ''))
        break
  except OSError as error:
    raise UserError(f'{path} cannot be a folder ({error.strerror}); name another') from error
  return path


def _check_name(path):
  """Raises UserError for a name that TensorBoard's writer refuses, or with which Orbax loses checkpoints."""
  try:
    str(path).encode()
  except UnicodeEncodeError as error:
    raise UserError(f'{path} is not UTF-8 text; name another folder') from error
  if '\\' in str(path) or not fnmatch.fnmatchcase(str(path), str(path)):   # Orbax finds its files by glob patterns
    raise UserError(f'{path} has a backslash or brackets, in which Orbax cannot find checkpoints; name another folder')


def cache_folder() -> Path:
  """The cache folder: $JGEN_CACHE, else the platform's cache folder, such as $XDG_CACHE_HOME/jgen or ~/.cache/jgen."""
  return expanded(os.environ.get('JGEN_CACHE') or platformdirs.user_cache_path('jgen', appauthor=False))


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
  """Yields a temporary path in the folder of `path` to write to; it replaces `path` at the end if no error occurred."""
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')   # is_temporary recognises this form
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
  """Whether a file name is that of a temporary file of `replacing`."""
  return bool(_TEMPORARY.fullmatch(name))


def remove_temporaries(*folders: Path) -> None:
  """Removes the temporary files that killed processes left in the folders, but not those of running processes."""
  for path in (path for folder in folders if folder.is_dir() for path in folder.iterdir()):
    match = _TEMPORARY.fullmatch(path.name)
    if match and not _is_running(int(match[1])):
      path.unlink(missing_ok=True)


def _is_running(pid):
  """Whether another process with this id is running."""
  try:
    os.kill(pid, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:
    pass
  return pid != os.getpid()


def write_text(path: str | os.PathLike, text: str) -> None:
  """Writes a text file atomically and flushes it to disk."""
  with replacing(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())


_KINDS = {int: 'a whole number', str: 'a string', dict: 'a mapping', list: 'a list'}


def read_json(path: str | os.PathLike, remedy: str, **kinds: type) -> dict[str, Any]:
  """The JSON object that a file holds, as a dict.

  Args:
    path: the file.
    remedy: what to do if it cannot be read; the end of the error line.
    **kinds: {key: int, str, dict or list}: required keys, and the types of their values.

  Raises:
    UserError: the file is missing, unreadable, damaged or not a JSON object; a key is missing or of another type.
  """
  try:
    value = json.loads(Path(path).read_bytes().decode('utf-8'))
  except OSError as error:
    raise UserError(f'{path}: {error.strerror or error}; {remedy}') from error
  except (ValueError, RecursionError) as error:   # not UTF-8, not JSON, or nested too deeply
    raise UserError(f'{path}: damaged, it is not JSON; {remedy}') from error
  if not isinstance(value, dict):
    raise UserError(f'{path}: damaged, it holds no JSON object; {remedy}')
  for key, kind in kinds.items():
    if not isinstance(value.get(key), kind) or isinstance(value[key], bool):
      raise UserError(f"{path}: damaged, its '{key}' is not {_KINDS[kind]}; {remedy}")
  return value


def mark_output(folder: str | os.PathLike) -> None:
  """Marks a folder as output of this package, if it is empty; creates it if needed."""
  folder = Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  if next(folder.iterdir(), None) is None:
    (folder / OUTPUT_MARK).touch()
