"""Verifies the images and annotations of a prepared folder against the sha256 in its manifest.

Reading 10 GB takes noticeable time, so verified.json records the size and modification time of each verified file. A
file is read again only if these have changed, as after a copy or an edit.
"""

import contextlib
import hashlib
import json
from pathlib import Path

from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import write_text

FILES = {'images.npy': 'sha256', 'annotations.npy': 'annotations_sha256'}   # {file: its entry in manifest.json}
_STAMP = 'verified.json'
_MANY_BYTES = 1 << 30                   # above it, a line says what takes long


def verify(folder: Path, manifest: dict, again: bool = False) -> int:
  """Compares the files of a prepared folder with its manifest, unless they have not changed since the last time.

  Args:
    folder: the prepared folder
    manifest: the contents of its manifest.json
    again: whether to read the files even if they have not changed

  Returns:
    The number of bytes read.

  Raises:
    ValueError: the sha256 of a file differs from the manifest.
    OSError: a file cannot be read.
  """
  stats = _stats(folder)
  if not again and stats == _stamped(folder):
    return 0
  num_bytes = sum(stats[name][0] for name in FILES)
  if num_bytes > _MANY_BYTES:
    terminal.tell(f'verifying the {num_bytes / 1e9:.1f} GB of {folder}')
  for name, entry in FILES.items():
    if sha256(folder / name) != manifest[entry]:
      raise ValueError(f'{name} has changed: its sha256 differs from manifest.json')
  stamp(folder)
  return num_bytes


def stamp(folder: Path) -> None:
  """Records that the files in their current state are verified; does nothing if the folder is read-only."""
  with contextlib.suppress(OSError, UserError):   # in a shared, read-only cache: the files are read again next time
    write_text(folder / _STAMP, json.dumps(_stats(folder)) + '\n')


def sha256(path: Path) -> str:
  """The sha256 of a file's bytes, in hexadecimal."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _stats(folder):
  return {name: [(stat := (folder / name).stat()).st_size, stat.st_mtime_ns] for name in (*FILES, 'manifest.json')}


def _stamped(folder):
  try:
    return json.loads((folder / _STAMP).read_text('utf-8'))
  except (OSError, ValueError):
    return None
