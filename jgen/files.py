"""Files that are there whole or not at all."""

import contextlib
import os
from pathlib import Path

from jgen.errors import UserError


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
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def write_text(path, text):
  """Writes a text file, whole or not at all, and brings it to the disk."""
  with replacing(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
