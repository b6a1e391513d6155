"""Images decoded and resized once, then memory-mapped.

A prepared data set is a folder NAME-SIZE-DIGEST with
  images.npy      uint8 [N, H, W, C]
  annotations.npy int32 [N, M]
  manifest.json   everything that determines the two arrays, the count, the skipped files, and the sha256 of both
  verified.json   size and modification time of the three files when they were last verified (verification.py)
The digest covers everything that determines the arrays, so another source file, size, choice of splits or
reader version gets another folder. Images are prepared in pieces, on all cores, in a temporary folder
that is renamed when it is complete (unfinished.py). So a folder with the final name is always complete, and an
interrupted preparation resumes where it stopped. A second process that needs the same folder waits for the first.
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

_VERSION = 6                            # of the resizing and of the folder's layout
_CHUNK = 4096                           # images per piece, for data sets read as arrays
_AHEAD = 2                              # pieces per core that are prepared ahead of the one being written
_preparing_nothing = contextvars.ContextVar('whether nothing is to be prepared', default=False)


@dataclasses.dataclass(frozen=True)
class Original:
  """A published data set that is read as arrays: what determines its images, and how they are read."""

  files: tuple[Path, ...]               # the files to read, in order
  count: int                            # N
  version: int                          # of the reader; changing it invalidates the cache
  parts: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
  # -> iterates over (uint8 [n, h, w, C], annotations [n, M]); raises UserError if a file cannot be read
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)   # what else determines the images, for JSON
  dropped: tuple[tuple[str, str], ...] = ()   # (file, why) left out before any image is read
  max_bad_share: float = 0.             # largest share of images that may be bad
  chosen: Callable[[np.ndarray], Any] = lambda annotations: slice(None)   # [n, M] -> index of the splits' rows

  def pieces(self, shape: tuple[int, int, int]) -> Iterator[Callable[[], Piece]]:
    """Functions that each prepare one piece, in order; each can run in its own thread."""
    num_read = 0
    for images, annotations in self.parts():
      num_read += len(images)
      for start in range(0, len(images), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        yield functools.partial(_resized, images[chunk], annotations[chunk], shape, self.chosen)
    if num_read != self.count:
      raise UserError(f'read {num_read} images, expected {self.count}; '
                      'a source file changed while it was read, so start again')


def _resized(images, annotations, shape, chosen):
  indices = chosen(annotations)
  resized = served(images[indices], shape)
  return Piece(resized, annotations[indices].astype(np.int32), (), others=len(images) - len(resized))


@contextlib.contextmanager
def preparing_nothing() -> Iterator[None]:
  """Context in which unprepared images raise a UserError instead of being prepared, which takes minutes."""
  token = _preparing_nothing.set(True)
  try:
    yield
  finally:
    _preparing_nothing.reset(token)


def prepared(section: ConfigDict, spec: Spec,
             original: Any) -> tuple[UInt8[np.ndarray, 'N H W C'], Int32[np.ndarray, 'N M']]:
  """The images at `spec.image_shape`: from the cache, or prepared now.

  Args:
    section: config.data, of which `splits` and `cache_dir` are read ('' for `cache_folder()`)
    spec: the data set's Spec
    original: an Original, or an image_files.ImageFiles

  Returns:
    images uint8 [N, H, W, C], memory-mapped and read-only; annotations int32 [N, M]

  Raises:
    UserError: the folder cannot be written or is damaged; too many bad images; any UserError of `original`.
  """
  contents = _contents(section, spec, original)
  digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]
  root = root_of(section.cache_dir)
  folder = root / f"{re.sub('[^a-z0-9_]+', '_', spec.name)}-{_size(spec.image_shape)}-{digest}"
  if not folder.exists():
    if _preparing_nothing.get():
      raise UserError(f'the images of {spec.name} are not prepared; prepare them with --mode=prepare')
    with _disk_errors_explained(root, original.count * int(np.prod(spec.image_shape))), _exclusive(folder):
      if not folder.exists():           # unless another process prepared it meanwhile
        _prepare(folder, contents, spec, original)
  images, annotations, skipped = _open(folder, contents)
  considered = len(images) + len(skipped)
  _check_share(spec, original, skipped, considered, considered)   # max_bad_share may have been larger back then
  return images, annotations


def _size(shape):
  """'64' for square images, else '64x48'."""
  return 'x'.join(map(str, dict.fromkeys(shape[:2])))


def root_of(cache_dir: str = '') -> Path:
  """The folder of all prepared data sets: `cache_dir`, a config.data.cache_dir, or `cache_folder()` for ''."""
  return expanded(cache_dir) if cache_dir else cache_folder()


def folder_of(images: np.ndarray) -> Path | None:
  """The prepared folder of memory-mapped images; None for images in memory."""
  return Path(images.filename).parent if isinstance(images, np.memmap) and images.filename else None


def _contents(section, spec, original):
  try:
    files = [(str(path.resolve()), path.stat()) for path in original.files]
  except OSError as error:
    raise UserError(f'{error.filename}: cannot be read ({error.strerror}); '
                    f'download or prepare {spec.name} again') from error
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
  return json.loads(json.dumps(contents))   # with lists instead of tuples, as the manifest is read back


@contextlib.contextmanager
def _disk_errors_explained(root, num_bytes):
  try:
    yield
  except OSError as error:
    raise UserError(
        f'cannot keep the prepared images in {root}: {error.strerror or error}; they take '
        f'{num_bytes / 1e9:.2f} GB; free some space or name another folder with --config.data.cache_dir=FOLDER '
        'or the environment variable JGEN_CACHE') from error


@contextlib.contextmanager
def _exclusive(folder):
  """Holds the lock on a folder to be prepared; waits for the process that holds it."""
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
        why = _first_few(skipped) or f"none of them is in {', '.join(contents['splits'])}; choose another split"
        raise UserError(f'{spec.name}: no image is left of {original.count}; {why}')
      unfinished.finish(contents | {'skipped': left_out, 'bad': len(skipped)})   # the bad files are the last entries
  except (OSError, UserError):
    shutil.rmtree(path, ignore_errors=True)
    raise
  _sync_folder(path)
  os.rename(path, folder)
  _sync_folder(folder.parent)


def _fill(unfinished, folder, spec, original):
  """Prepares the missing pieces on all cores; returns the (file, why) of skipped images."""
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
    # relative to all images: which of them belong to the splits may depend on their bytes
    _check_share(spec, original, skipped, original.count, report.done)
  _check_share(spec, original, skipped, unfinished.count + len(skipped), report.done)
  for file, why in skipped[:3]:
    terminal.warn(f'{file}: {why}: skipped')
  if len(skipped) > 3:
    terminal.warn(f'{len(skipped)} bad images are skipped in total; manifest.json lists them')
  return skipped


def _check_share(spec, original, skipped, count, done):
  if len(skipped) > int(original.max_bad_share * count):
    raise UserError(
        f'{spec.name}: {len(skipped)} of the first {done:,} images are bad, more than '
        f'config.data.max_bad_share allows for {count:,}; {_first_few(skipped)}; download the data again, or raise it')


def _first_few(skipped):
  few = '; '.join(f'{file}: {why}' for file, why in skipped[:3])
  return f'the first: {few}' if few else ''


def _in_order(work):
  """The results of functions, in order, computed with one thread per core."""
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
  """Prints a progress line on stderr after 2 seconds, then every 10 seconds."""

  def __init__(self, what, total):
    self._what, self._total, self.done = what, total, 0
    # (images, time) after the first piece, before which TensorFlow may be imported
    self._first: tuple[int, float] | None = None
    self._next = time.monotonic() + 2

  def add_earlier(self, count: int) -> None:
    """Counts images that an earlier process prepared."""
    self.done += count

  def add(self, count: int) -> None:
    """Counts images that this process prepared, and prints the line when it is due."""
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
  with _damage_explained(folder):
    manifest = read_manifest(folder)
    changed = [key for key, value in contents.items() if manifest[key] != value]
    if changed:
      raise ValueError(f"{changed[0]} in manifest.json does not match the folder's name")
    verification.verify(folder, manifest)
    count, num_bad = manifest['count'], manifest['bad']
    skipped = [(entry['file'], entry['why']) for entry in manifest['skipped'][-num_bad:]] if num_bad else []
    images = np.load(folder / 'images.npy', mmap_mode='r', allow_pickle=False)
    annotations = np.load(folder / 'annotations.npy', allow_pickle=False)
    if not count == len(images) == len(annotations):
      raise ValueError(f'{len(images)} images and {len(annotations)} rows of annotations; expected {count} of each')
  return images, annotations, skipped


def read_manifest(folder: Path) -> dict:
  """The contents of a prepared folder's manifest.json; raises OSError or ValueError if it is damaged."""
  manifest = json.loads((folder / 'manifest.json').read_text('utf-8'))
  if not isinstance(manifest, dict):
    raise ValueError('manifest.json holds no object')
  return manifest


def verify(folder: Path) -> int:
  """Reads a prepared folder and compares it with its manifest; returns the number of bytes read.

  Raises:
    UserError: it is damaged.
  """
  with _damage_explained(folder):
    return verification.verify(folder, read_manifest(folder), again=True)


def digest(dataset: Dataset) -> str:
  """The sha256, in hexadecimal, of images and annotations; for a prepared folder taken from its manifest."""
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
def _damage_explained(folder):
  try:
    yield
  except (OSError, ValueError, EOFError, LookupError, TypeError, AttributeError) as error:
    why = f'no {error}' if isinstance(error, KeyError) else str(error)
    raise UserError(f'the prepared images in {folder} are damaged ({why}); '
                    'delete that folder and start again to prepare it again') from error
