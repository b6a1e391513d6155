"""Whether a prepared folder still holds what its manifest names: the sha256 of images and of annotations.

Reading 10 GB takes long enough to be noticed, so what was read and found right is remembered in verified.json, with
each file's size and time of change; another size or time, as after a copy or a change, and it is read again.
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
_MANY_BYTES = 1 << 30                   # beyond, a line says what takes long


def verify(folder: Path, manifest: dict, again: bool = False) -> int:
  """Compares the files of a prepared folder with its manifest, unless that was done since they last changed.

  Args:
    folder: with images.npy and annotations.npy
    manifest: the contents of its manifest.json
    again: whether they are read even if they have not changed

  Returns:
    Bytes that were read.

  Raises:
    ValueError: one of them holds other bytes than the manifest says.
    OSError: one of them cannot be read.
  """
  stats = _stats(folder)
  if not again and stats == _stamped(folder):
    return 0
  num_bytes = sum(stats[name][0] for name in FILES)
  if num_bytes > _MANY_BYTES:
    terminal.tell(f'verifying the {num_bytes / 1e9:.1f} GB of {folder}')
  for name, entry in FILES.items():
    if sha256(folder / name) != manifest[entry]:
      raise ValueError(f'{name} is not what was written: its sha256 is not that of manifest.json')
  stamp(folder)
  return num_bytes


def stamp(folder: Path) -> None:
  """Remembers that the files as they are now were verified; where the folder cannot be written, nothing is kept."""
  with contextlib.suppress(OSError, UserError):   # of a shared, read-only cache: it is read again next time
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
