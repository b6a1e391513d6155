"""Images decoded and resized once, then memory-mapped.

A prepared data set is a folder NAME-SIZE-DIGEST with
  images.npy      uint8 [N, H, W, C]
  annotations.npy int32 [N, M]
  manifest.json   all that determines the two, and the count
The digest is that of what determines them: another source file, size, choice of splits or version
of the reader has another folder. It is written under another name and renamed when it is complete,
so a folder of that name is whole; of two processes that prepare at once the second one's is dropped.
"""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path
import shutil
import sys
import time
import uuid

import numpy as np

from jgen.data.resizing import resize
from jgen.errors import UserError

_VERSION = 2                            # of resizing and layout
_CHUNK = 4096                           # images between two writes
_ABANDONED_AFTER = 24 * 3600            # seconds after which an unfinished folder is a killed process's


@dataclasses.dataclass(frozen=True)
class Original:
  """The images as published: what determines them, and how they are read."""

  files: tuple[Path, ...]               # what is read, in order
  count: int                            # N
  version: int                          # of the reader; another number makes another cache
  parts: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
  # -> uint8 [n, h, w, C] and annotations [n, M], part by part; raises UserError where one cannot be read


def prepared(section, spec, original):
  """The images at `spec.image_shape`, prepared now unless they have been before.

  Args:
    section: config.data; of it `splits` and `cache_dir` ('' for $JGEN_CACHE, else ~/.cache/jgen)
    spec: the data set's Spec
    original: an Original

  Returns:
    images uint8 [N, H, W, C], memory-mapped and read-only; annotations int32 [N, M]

  Raises:
    UserError: the folder cannot be written, or is damaged; what `original.parts` raises.
  """
  contents = _contents(section, spec, original)
  digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]
  root = Path(section.cache_dir or os.environ.get('JGEN_CACHE') or '~/.cache/jgen').expanduser()
  folder = root / f'{spec.name}-{spec.image_shape[0]}-{digest}'
  if not folder.exists():
    with _told(root, original.count * int(np.prod(spec.image_shape))):
      _prepare(folder, contents, spec, original)
  return _open(folder)


def _contents(section, spec, original):
  try:
    files = [(str(path.resolve()), path.stat()) for path in original.files]
  except OSError as error:
    raise UserError(f'{error.filename}: cannot be read ({error.strerror}); '
                    f'fetch or prepare {spec.name} again') from error
  return {
      'data_set': spec.name,
      'splits': list(section.splits),
      'image_shape': list(spec.image_shape),
      'count': original.count,
      'files': [{'path': path, 'bytes': stat.st_size, 'mtime_ns': stat.st_mtime_ns} for path, stat in files],
      'reader_version': original.version,
      'cache_version': _VERSION,
  }


@contextlib.contextmanager
def _told(root, num_bytes):
  try:
    yield
  except OSError as error:
    raise UserError(
        f'cannot keep the prepared images in {root}: {error.strerror or error}; they take '
        f'{num_bytes / 1e9:.2f} GB; make room or name another folder with --config.data.cache_dir=FOLDER '
        'or the environment variable JGEN_CACHE') from error


def _prepare(folder, contents, spec, original):
  folder.parent.mkdir(parents=True, exist_ok=True)
  _remove_abandoned(folder)
  unfinished = folder.with_name(f'{folder.name}.tmp-{uuid.uuid4().hex}')
  unfinished.mkdir()
  try:
    annotations = _write_images(unfinished / 'images.npy', folder, spec, original)
    with _synced(unfinished / 'annotations.npy') as file:
      np.save(file, annotations, allow_pickle=False)
    with _synced(unfinished / 'manifest.json') as file:
      file.write(json.dumps(contents, indent=2).encode())
    _put_in_place(unfinished, folder)
  finally:
    shutil.rmtree(unfinished, ignore_errors=True)


def _remove_abandoned(folder):
  for path in folder.parent.glob(f'{folder.name}.tmp-*'):
    if path.stat().st_mtime < time.time() - _ABANDONED_AFTER:
      shutil.rmtree(path, ignore_errors=True)


def _write_images(path, folder, spec, original):
  """Writes images.npy chunk by chunk; returns the annotations, int32 [N, M]."""
  annotations = []
  report = _Progress(f'preparing {spec.name}, once, in {folder}', original.count)
  with _synced(path) as file:
    np.lib.format.write_array_header_1_0(
        file, {'descr': '|u1', 'fortran_order': False, 'shape': (original.count, *spec.image_shape)})
    for images, part_annotations in original.parts():
      for start in range(0, len(images), _CHUNK):
        file.write(resize(images[start:start + _CHUNK], spec.image_shape[0]).data)
        report.add(len(images[start:start + _CHUNK]))
      annotations.append(part_annotations)
  annotations = np.concatenate(annotations).astype(np.int32)
  if len(annotations) != original.count:
    raise UserError(f'{spec.name}: read {len(annotations)} images where {original.count} were announced; '
                    'a source file changed while it was read, so start again')
  return annotations


@contextlib.contextmanager
def _synced(path):
  with open(path, 'wb') as file:
    yield file
    file.flush()
    os.fsync(file.fileno())


def _put_in_place(unfinished, folder):
  _sync_folder(unfinished)
  try:
    os.rename(unfinished, folder)
  except OSError:
    if not folder.exists():   # else another process was first, and its folder is as good
      raise
  _sync_folder(folder.parent)


def _sync_folder(folder):
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


class _Progress:
  """A line on stderr after 2 seconds, and every 10 from then on."""

  def __init__(self, what, total):
    self._what, self._total, self._done = what, total, 0
    self._next = time.monotonic() + 2

  def add(self, count):
    self._done += count
    if time.monotonic() > self._next:
      self._next = time.monotonic() + 10
      print(f'{self._what}: {self._done:,} of {self._total:,} images', file=sys.stderr, flush=True)


def _open(folder):
  try:
    count = json.loads((folder / 'manifest.json').read_text())['count']
    images = np.load(folder / 'images.npy', mmap_mode='r', allow_pickle=False)
    annotations = np.load(folder / 'annotations.npy', allow_pickle=False)
    if not count == len(images) == len(annotations):
      raise ValueError(f'{len(images)} images and {len(annotations)} rows of annotations where {count} were to be')
  except (OSError, ValueError, EOFError, KeyError) as error:
    raise UserError(f'the prepared images in {folder} are damaged ({error}); '
                    'delete that folder and start again: it is made anew') from error
  return images, annotations
