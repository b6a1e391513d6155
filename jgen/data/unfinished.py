"""A data set being prepared: a folder that grows piece by piece, so that an interrupted preparation can resume.

  images.npy      space for the header, then the pixels of the pieces
  annotations.raw their annotations, int32
  journal.jsonl   a line for each complete piece: its counts and a checksum
A killed process leaves at most one incomplete piece, which is not in the journal or whose checksum is wrong.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
import dataclasses
import hashlib
import io
import json
import os
from typing import Any

import numpy as np

from jgen.data import verification

_SYNC_BYTES = 1 << 25                   # bytes written between two flushes to disk


@dataclasses.dataclass(frozen=True)
class Piece:
  """Consecutive prepared images."""

  images: np.ndarray                    # uint8 [n, H, W, C]
  annotations: np.ndarray               # int32 [n, M]
  skipped: Iterable[tuple[str, str]]    # (file, why) of bad images
  others: int = 0                       # number of images that belong to other splits

  @property
  def considered(self) -> int:
    return len(self.images) + len(tuple(self.skipped)) + self.others


class Unfinished:
  """The folder of an unfinished data set; a context manager that opens its files for writing."""

  def __init__(self, path, image_shape, num_annotations, expected):
    """`expected` is the likely number of images; if it is right, `finish` need not read the images for the digest."""
    self._path, self._shape, self._num_annotations = path, image_shape, num_annotations
    self._expected, self._digest = expected, hashlib.sha256(self._header(expected))
    self._names = ('images.npy', 'annotations.raw', 'journal.jsonl')
    self._sync, self._synced_to = None, 0   # the latest flush, and the number of bytes written before it
    self.count = self.num_pieces = 0

  def __enter__(self):
    self._path.mkdir(parents=True, exist_ok=True)
    for name in self._names:
      (self._path / name).touch()
    with contextlib.ExitStack() as stack:
      self._images, self._annotations, self._journal = (
          stack.enter_context(open(self._path / name, 'r+b')) for name in self._names)
      self._in_background = stack.enter_context(ThreadPoolExecutor(1))
      self._close = stack.pop_all().close
    return self

  def __exit__(self, *exception):
    self._close()

  def kept(self) -> Iterator[Piece]:
    """Yields the intact pieces that an earlier process left, then truncates the files after them."""
    self._images.seek(len(self._header(0)))
    end = 0
    for line in self._journal.readlines():
      piece = self._read(line)
      if piece is None:
        break
      end += len(line)
      yield piece
    self._journal.seek(end)
    self._journal.truncate()
    self._images.seek(len(self._header(0)) + self.count * int(np.prod(self._shape)))
    self._images.truncate()
    self._annotations.seek(self.count * self._num_annotations * 4)
    self._annotations.truncate()

  def _read(self, line):
    """The piece of a line of the journal; None if it is incomplete or damaged."""
    try:
      record = json.loads(line)
      images = np.frombuffer(self._images.read(record['count'] * int(np.prod(self._shape))), np.uint8)
      annotations = np.frombuffer(self._annotations.read(record['count'] * self._num_annotations * 4), np.int32)
      piece = Piece(images.reshape(record['count'], *self._shape),
                    annotations.reshape(record['count'], self._num_annotations),
                    [tuple(pair) for pair in record['skipped']], record['others'])
      digest, checksum = self._sums(piece)
      if checksum != record['checksum']:
        return None
    except (ValueError, KeyError, TypeError):
      return None
    self._count(piece, digest)
    return piece

  def _sums(self, piece):
    """(the digest of all images up to the end of this piece, a checksum of these and of the piece's annotations)."""
    digest = self._digest.copy()
    digest.update(np.ascontiguousarray(piece.images).data)   # hashed here, while other threads prepare the next pieces
    both = digest.copy()
    both.update(np.ascontiguousarray(piece.annotations).data)
    return digest, both.hexdigest()

  def _count(self, piece, digest):
    self._digest = digest
    self.count += len(piece.images)
    self.num_pieces += 1

  def add(self, piece: Piece) -> None:
    """Writes a piece, then its line in the journal."""
    self._images.write(np.ascontiguousarray(piece.images).data)
    self._annotations.write(np.ascontiguousarray(piece.annotations).data)
    self._images.flush()
    self._annotations.flush()
    digest, checksum = self._sums(piece)
    record = {'count': len(piece.images), 'skipped': list(piece.skipped), 'others': piece.others, 'checksum': checksum}
    self._journal.write(json.dumps(record).encode() + b'\n')
    self._journal.flush()
    self._count(piece, digest)
    self._start_sync()

  def _start_sync(self):
    """Flushes to disk in the background now and then, so that little is left for the end and errors show early."""
    written = self._images.tell()
    if written > self._synced_to + _SYNC_BYTES and (self._sync is None or self._sync.done()):
      self._wait_for_sync()
      self._sync, self._synced_to = self._in_background.submit(os.fsync, self._images.fileno()), written

  def _wait_for_sync(self):
    """Raises the error of the last flush: the system reports it once, so a later flush would succeed."""
    if self._sync is not None:
      self._sync.result()

  def finish(self, contents: dict[str, Any]) -> None:
    """Writes the final files, with `contents` in the manifest, and flushes them to disk."""
    self._images.seek(0)
    self._images.write(self._header(self.count))
    self._images.flush()
    self._wait_for_sync()
    os.fsync(self._images.fileno())
    self._annotations.seek(0)
    annotations = np.frombuffer(self._annotations.read(), np.int32).reshape(self.count, self._num_annotations)
    with open(self._path / 'annotations.npy', 'wb') as file:
      np.save(file, annotations, allow_pickle=False)
      _sync(file)
    manifest = contents | {'count': self.count, 'sha256': self._sha256(),
                           'annotations_sha256': verification.sha256(self._path / 'annotations.npy')}
    with open(self._path / 'manifest.json', 'w', encoding='utf-8') as file:
      json.dump(manifest, file, indent=2)
      _sync(file)
    for name in self._names[1:]:
      (self._path / name).unlink()
    verification.stamp(self._path)

  def _sha256(self):
    if self.count == self._expected:
      return self._digest.hexdigest()
    self._images.seek(0)                # the digest began with a header for another count
    return hashlib.file_digest(self._images, 'sha256').hexdigest()

  def _header(self, count):
    """The header of images.npy; numpy pads it to the same length for every count."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {'descr': '|u1', 'fortran_order': False, 'shape': (count, *self._shape)})
    return header.getvalue()


def _sync(file):
  file.flush()
  os.fsync(file.fileno())
