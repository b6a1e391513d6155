"""Images decoded and resized once, then memory-mapped.

A prepared data set is a folder NAME-SIZE-DIGEST with
  images.npy      uint8 [N, H, W, C]
  annotations.npy int32 [N, M]
  manifest.json   all that determines the two, the count, what was left out, and the sha256 of both
  verified.json   size and time of change of the three when they were last compared with the manifest (verification.py)
The digest is that of what determines them: another source file, size, choice of splits or version of
the reader has another folder. The work is done piece by piece, on all cores, in a folder of another
name that is renamed when it is complete (unfinished.py), so a folder of that name is whole and a
preparation that was killed goes on where it stopped; of two processes that want the same, the second
waits for the first.
"""

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
import contextlib
import contextvars
import dataclasses
import functools
import hashlib
import json
import os
from pathlib import Path
import re
import shutil
import time
from typing import Any

from jaxtyping import Int32, UInt8
from ml_collections import ConfigDict
import numpy as np
from threadpoolctl import threadpool_limits

from jgen.data import verification
from jgen.data.files.resizing import served
from jgen.data.spec import Dataset, Spec
from jgen.data.unfinished import Piece, Unfinished
from jgen.errors import UserError
from jgen.host import locks, terminal
from jgen.host.files import cache_folder, expanded
from jgen.host.progress import duration

_VERSION = 6                            # of resizing and layout
_CHUNK = 4096                           # images of a piece where they come as arrays
_AHEAD = 2                              # pieces a core that are made, or wait, beyond the one that is written
_preparing_nothing = contextvars.ContextVar('whether nothing is to be prepared', default=False)


@dataclasses.dataclass(frozen=True)
class Original:
  """The images as published, as arrays: what determines them, and how they are read."""

  files: tuple[Path, ...]               # what is read, in order
  count: int                            # N
  version: int                          # of the reader; another number makes another cache
  parts: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
  # -> uint8 [n, h, w, C] and annotations [n, M], part by part; raises UserError where one cannot be read
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)   # what else determines them, for JSON
  dropped: tuple[tuple[str, str], ...] = ()   # (file, why) that were left out before anything was read
  max_bad_share: float = 0.             # of the images, that may turn out bad
  chosen: Callable[[np.ndarray], Any] = lambda annotations: slice(None)   # which of [n, M] the splits hold, an index

  def pieces(self, shape: tuple[int, int, int]) -> Iterator[Callable[[], Piece]]:
    """The work, in order; each can be done in a thread of its own."""
    num_read = 0
    for images, annotations in self.parts():
      num_read += len(images)
      for start in range(0, len(images), _CHUNK):
        of_chunk = slice(start, start + _CHUNK)
        yield functools.partial(_resized, images[of_chunk], annotations[of_chunk], shape, self.chosen)
    if num_read != self.count:
      raise UserError(f'read {num_read} images where {self.count} were announced; '
                      'a source file changed while it was read, so start again')


def _resized(images, annotations, shape, chosen):
  indices = chosen(annotations)
  resized = served(images[indices], shape)
  return Piece(resized, annotations[indices].astype(np.int32), (), others=len(images) - len(resized))


@contextlib.contextmanager
def preparing_nothing() -> Iterator[None]:
  """Within it, images that are not prepared yet raise a UserError instead of being prepared, which takes minutes."""
  token = _preparing_nothing.set(True)
  try:
    yield
  finally:
    _preparing_nothing.reset(token)


def prepared(section: ConfigDict, spec: Spec,
             original: Any) -> tuple[UInt8[np.ndarray, 'N H W C'], Int32[np.ndarray, 'N M']]:
  """The images at `spec.image_shape`, prepared now unless they have been before.

  Args:
    section: config.data; of it `splits` and `cache_dir` ('' for that of `cache_folder`)
    spec: the data set's Spec
    original: an Original, or an image_files.ImageFiles

  Returns:
    images uint8 [N, H, W, C], memory-mapped and read-only; annotations int32 [N, M]

  Raises:
    UserError: the folder cannot be written, or is damaged; too many bad images; what `original` raises.
  """
  contents = _contents(section, spec, original)
  digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]
  root = root_of(section.cache_dir)
  folder = root / f"{re.sub('[^a-z0-9_]+', '_', spec.name)}-{_size(spec.image_shape)}-{digest}"
  if not folder.exists():
    if _preparing_nothing.get():
      raise UserError(f'the images of {spec.name} are not prepared; prepare them with --mode=prepare')
    with _told(root, original.count * int(np.prod(spec.image_shape))), _alone(folder):
      if not folder.exists():           # else another process was first, and its folder is as good
        _prepare(folder, contents, spec, original)
  images, annotations, skipped = _open(folder, contents)
  considered = len(images) + len(skipped)
  _check_share(spec, original, skipped, considered, considered)   # more may have been allowed when it was made
  return images, annotations


def _size(shape):
  """'64', or '64x48' of images that are not square."""
  return 'x'.join(map(str, dict.fromkeys(shape[:2])))


def root_of(cache_dir: str = '') -> Path:
  """The folder of everything prepared: `cache_dir`, a config.data.cache_dir; for '' that of `cache_folder`."""
  return expanded(cache_dir) if cache_dir else cache_folder()


def folder_of(images: np.ndarray) -> Path | None:
  """The prepared folder in which memory-mapped images lie, None for images that are in memory."""
  return Path(images.filename).parent if isinstance(images, np.memmap) and images.filename else None


def _contents(section, spec, original):
  try:
    files = [(str(path.resolve()), path.stat()) for path in original.files]
  except OSError as error:
    raise UserError(f'{error.filename}: cannot be read ({error.strerror}); '
                    f'fetch or prepare {spec.name} again') from error
  contents = {
      'data_set': spec.name,
      'splits': list(section.splits),
      'image_shape': list(spec.image_shape),
      'candidates': original.count,
      'files': [{'path': path, 'bytes': stat.st_size, 'mtime_ns': stat.st_mtime_ns} for path, stat in files],
      'annotations': [annotation.name for annotation in spec.annotations],
      'reader_version': original.version,
      'cache_version': _VERSION,
      **original.settings,
  }
  return json.loads(json.dumps(contents))   # as it will be read: lists, no tuples


@contextlib.contextmanager
def _told(root, num_bytes):
  try:
    yield
  except OSError as error:
    raise UserError(
        f'cannot keep the prepared images in {root}: {error.strerror or error}; they take '
        f'{num_bytes / 1e9:.2f} GB; make room or name another folder with --config.data.cache_dir=FOLDER '
        'or the environment variable JGEN_CACHE') from error


@contextlib.contextmanager
def _alone(folder):
  """Holds the lock on a folder that is to be made; waits for the process that has it."""
  folder.parent.mkdir(parents=True, exist_ok=True)
  path = folder.with_name(f'{folder.name}.lock')
  with locks.held(path, waiting=f'waiting for the process that prepares {folder}'):
    try:
      yield
    finally:
      path.unlink(missing_ok=True)


def _prepare(folder, contents, spec, original):
  path = folder.with_name(f'{folder.name}.unfinished')
  try:
    with Unfinished(path, spec.image_shape, len(spec.annotations), original.count) as unfinished:
      skipped = _fill(unfinished, folder, spec, original)
      left_out = [{'file': file, 'why': why} for file, why in (*original.dropped, *skipped)]
      if not unfinished.count:
        why = _first_few(skipped) or f"none of them is in {', '.join(contents['splits'])}; ask for another split"
        raise UserError(f'{spec.name}: no image is left of {original.count}; {why}')
      unfinished.finish(contents | {'skipped': left_out, 'bad': len(skipped)})   # those come last
  except (OSError, UserError):
    shutil.rmtree(path, ignore_errors=True)
    raise
  _sync_folder(path)
  os.rename(path, folder)
  _sync_folder(folder.parent)


def _fill(unfinished, folder, spec, original):
  """Makes the pieces that are not there yet, on all cores; returns the skipped (file, why)."""
  report = _Progress(f'preparing {spec.name}, once, in {folder}', original.count)
  skipped = []
  for piece in unfinished.kept():
    skipped += piece.skipped
    report.add_earlier(piece.considered)
  work = (make for n, make in enumerate(original.pieces(spec.image_shape)) if n >= unfinished.num_pieces)
  for piece in _in_order(work):
    unfinished.add(piece)
    skipped += piece.skipped
    report.add(piece.considered)
    _check_share(spec, original, skipped, original.count, report.done)   # of all: bytes may say which are of the splits
  _check_share(spec, original, skipped, unfinished.count + len(skipped), report.done)
  for file, why in skipped[:3]:
    terminal.warn(f'{file}: {why}: skipped')
  if len(skipped) > 3:
    terminal.warn(f'{len(skipped)} bad images are skipped in all; manifest.json names them')
  return skipped


def _check_share(spec, original, skipped, count, done):
  if len(skipped) > int(original.max_bad_share * count):
    raise UserError(
        f'{spec.name}: {len(skipped)} of the first {done:,} images are bad, more than the share of '
        f'config.data.max_bad_share allows in {count:,}; {_first_few(skipped)}; fetch the data again, or allow more')


def _first_few(skipped):
  few = '; '.join(f'{file}: {why}' for file, why in skipped[:3])
  return f'the first: {few}' if few else ''


def _in_order(work):
  """The results of functions, in their order, made in a thread a core."""
  cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
  waiting: collections.deque[Future] = collections.deque()
  with threadpool_limits(1, 'blas'), ThreadPoolExecutor(cores) as pool:
    try:
      for make in work:
        waiting.append(pool.submit(make))
        if len(waiting) > _AHEAD * cores:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()
    finally:
      for future in waiting:
        future.cancel()


def _sync_folder(folder):
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


class _Progress:
  """A line on stderr after 2 seconds, and every 10 from then on."""

  def __init__(self, what, total):
    self._what, self._total, self.done = what, total, 0
    # (images, time) after the first piece, before which TensorFlow may be imported
    self._first: tuple[int, float] | None = None
    self._next = time.monotonic() + 2

  def add_earlier(self, count: int) -> None:
    """Counts what an earlier process did."""
    self.done += count

  def add(self, count: int) -> None:
    """Counts what this process did, and prints the line when it is due."""
    self.done += count
    now = time.monotonic()
    first = self._first = self._first or (self.done, now)
    if now > self._next:
      self._next = now + 10
      terminal.tell(f'{self._what}: {self.done:,} of {self._total:,} images{self._speed(first, now)}')

  def _speed(self, first, now):
    images, seconds = self.done - first[0], now - first[1]
    if not images or not seconds:
      return ''
    return f', {images / seconds:,.0f} images/s, {duration((self._total - self.done) * seconds / images)} to go'


def _open(folder, contents):
  with _damage_told(folder):
    manifest = read_manifest(folder)
    changed = [key for key, value in contents.items() if manifest[key] != value]
    if changed:
      raise ValueError(f'manifest.json has another {changed[0]} than the folder is named after')
    verification.verify(folder, manifest)
    count, num_bad = manifest['count'], manifest['bad']
    skipped = [(entry['file'], entry['why']) for entry in manifest['skipped'][-num_bad:]] if num_bad else []
    images = np.load(folder / 'images.npy', mmap_mode='r', allow_pickle=False)
    annotations = np.load(folder / 'annotations.npy', allow_pickle=False)
    if not count == len(images) == len(annotations):
      raise ValueError(f'{len(images)} images and {len(annotations)} rows of annotations where {count} were to be')
  return images, annotations, skipped


def read_manifest(folder: Path) -> dict:
  """The contents of a prepared folder's manifest.json; raises OSError or ValueError where it is damaged."""
  manifest = json.loads((folder / 'manifest.json').read_text('utf-8'))
  if not isinstance(manifest, dict):
    raise ValueError('manifest.json holds no object')
  return manifest


def verify(folder: Path) -> int:
  """Reads a prepared folder and compares it with its manifest; returns the number of bytes.

  Raises:
    UserError: it is damaged.
  """
  with _damage_told(folder):
    return verification.verify(folder, read_manifest(folder), again=True)


def digest(dataset: Dataset) -> str:
  """A sha256, in hexadecimal, of images and annotations, wherever they lie; of a prepared folder without reading it."""
  folder = folder_of(dataset.images)
  if folder is not None:
    manifest = read_manifest(folder)
    parts = [manifest[entry].encode() for entry in verification.FILES.values()]
  else:
    arrays = dataset.images, dataset.labels
    parts = [f'{dataset.images.shape}'.encode(), *(np.ascontiguousarray(array).data for array in arrays)]
  hashed = hashlib.sha256()
  for part in parts:
    hashed.update(part)
  return hashed.hexdigest()


@contextlib.contextmanager
def _damage_told(folder):
  try:
    yield
  except (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError) as error:
    why = f'no {error}' if isinstance(error, KeyError) else str(error)
    raise UserError(f'the prepared images in {folder} are damaged ({why}); '
                    'delete that folder and start again: it is prepared again') from error
