"""Data sets of image files of any sizes, which are read, cropped and resized in parallel."""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
import numpy as np

from jgen.data.files.archive import Folder, Zip
from jgen.data.files.decoding import SUFFIXES, BadImageError, centre_crop, decode
from jgen.data.files.resizing import in_channels, resize
from jgen.data.files.tables import few
from jgen.data.unfinished import Piece
from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import expanded

_VERSION = 1                            # of decoding and cropping
_NOT_READ = frozenset((                 # extensions of unsupported image and video formats
    '.heic', '.heif', '.avif', '.jxl', '.jp2', '.tga', '.ico', '.psd', '.svg', '.eps', '.pdf', '.raw', '.dng', '.cr2',
    '.nef', '.arw', '.exr', '.hdr', '.dds', '.pcx', '.ppm', '.pgm', '.pbm', '.mp4', '.mov', '.avi', '.webm'))
_PIECE = 128                            # files per piece
_TOGETHER = 1 << 21                     # array values resized in one batch, unless a single image has more


def everything(content: bytes) -> bool:
  """True for every file: all belong to the requested splits."""
  del content
  return True


@dataclasses.dataclass(frozen=True)
class ImageFiles:
  """Image files of a folder or zip and their annotations; has the interface of `cache.Original`."""

  source: Folder | Zip
  names: tuple[str, ...]                # of N files, in order
  annotations: np.ndarray               # int32 [N, M]
  lists: tuple[Path, ...]               # the files that hold annotations or splits
  reader_version: int
  crop: float                           # sides of the crop relative to the largest centred one that fits
  max_bad_share: float                  # of the images
  dropped: tuple[tuple[str, str], ...] = ()   # (file, why) left out because a list has no row for it
  belongs: Callable[[bytes], bool] = everything     # a file's bytes -> whether it belongs to the requested splits
  more_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def files(self) -> tuple[Path, ...]:
    return (*self.source.files, *self.lists)

  @property
  def count(self) -> int:
    return len(self.names)

  @property
  def version(self) -> list[int]:
    return [self.reader_version, _VERSION]

  @property
  def settings(self) -> dict[str, Any]:
    return {'source': str(self.source.path.resolve()), 'listing': self.source.listing(self.names),
            'crop': self.crop, **self.more_settings}

  def pieces(self, shape: tuple[int, int, int]) -> Iterator[Callable[[], Piece]]:
    for start in range(0, self.count, _PIECE):
      yield functools.partial(self._piece, start, min(start + _PIECE, self.count), shape)

  def _piece(self, start, stop, shape):
    images = np.empty((stop - start, *shape), np.uint8)
    indices: list[int] = []
    bad: dict[int, str] = {}
    for batch in _same_size(self._cropped(range(start, stop), bad, shape)):
      cropped = in_channels(np.stack(list(batch.values())), shape[2])
      resize(cropped, shape[:2], out=images[len(indices):len(indices) + len(batch)])
      indices += batch
    skipped = tuple((self.names[n], why) for n, why in bad.items())
    return Piece(images[:len(indices)], self.annotations[indices], skipped, stop - start - len(indices) - len(bad))

  def _cropped(self, indices, bad, shape):
    """Yields (index, centre crop) of the images that belong to the splits; adds {index: why} to `bad`."""
    for n in indices:
      try:
        content = self.source.read(self.names[n])
        if self.belongs(content):
          yield n, centre_crop(decode(content), self.crop, shape)
      except OSError as error:
        bad[n] = error.strerror or str(error)
      except BadImageError as error:
        bad[n] = str(error)


def _same_size(images):
  """Yields batches {index: image} of consecutive images of the same size, small enough for the memory."""
  batch: dict[int, np.ndarray] = {}
  shape = None
  for n, image in images:
    if batch and (image.shape != shape or len(batch) * image.size > _TOGETHER):
      yield batch
      batch = {}
    batch[n] = image
    shape = image.shape
  if batch:
    yield batch


def pictures(names: Sequence[str]) -> list[str]:
  """The names that have the extension of a supported image format."""
  return [name for name in names if name.lower().endswith(SUFFIXES)]


def passed_over(names: Sequence[str]) -> list[str]:
  """[a line about image files of unsupported formats], or [] if there are none."""
  kinds = collections.Counter(kind for name in names if (kind := name[name.rfind('.'):].lower()) in _NOT_READ)
  return [f"ignored: {', '.join(f'{count:,} {kind}' for kind, count in sorted(kinds.items()))}; convert them to .png "
          f"to use them (supported: {', '.join(SUFFIXES)})"] if kinds else []


def crop_share(section: ConfigDict, usual: float) -> float:
  """config.data.crop, or `usual`, the data set's default, where it is 0.

  Raises:
    UserError: it is outside [0, 1].
  """
  if not 0 <= section.crop <= 1:
    raise UserError(f'config.data.crop is {section.crop}; expected a share of the largest crop, 0 to 1')
  return section.crop or usual


def bad_share(section: ConfigDict) -> float:
  """The checked value of config.data.max_bad_share.

  Raises:
    UserError: it is outside [0, 1].
  """
  if not 0 <= section.max_bad_share <= 1:
    raise UserError(f'config.data.max_bad_share is {section.max_bad_share}; expected a share, 0 to 1')
  return section.max_bad_share


def warn_dropped(dropped: Sequence[tuple[str, str]], count: int) -> None:
  """Warns about images that are left out before any is read; manifest.json lists them all."""
  if dropped:
    terminal.warn(f'{len(dropped):,} of {count:,} images are left out: {few(name for name, _ in dropped)}: '
                  f'{dropped[0][1]}')


def warn_extra(num_extra: int, num_images: int) -> None:
  """Warns about rows of missing images, as when only a part of a data set is present."""
  if num_extra:
    terminal.warn(f'the lists name {num_extra:,} images that are missing; continuing with the {num_images:,} present')


def list_bytes(path: Path) -> bytes:
  """The bytes of a list; raises UserError if it cannot be read."""
  try:
    return path.read_bytes()
  except OSError as error:
    raise UserError(f'{path}: cannot be read ({error.strerror})') from error


def list_path(path: str | Path, root: str | Path) -> Path:
  """The path of a list that a config key names: the path as given, or else relative to the data folder `root`.

  Raises:
    UserError: neither exists.
  """
  given = expanded(path)
  for candidate in (given, expanded(root) / given):
    if candidate.is_file():
      return candidate
  raise UserError(f'{path} not found, neither as given nor in {root}; give the path of the list')
