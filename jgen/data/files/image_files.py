"""Image files of any sizes as the original of a prepared data set: read, cropped and resized in parallel."""

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
_NOT_READ = frozenset((                 # endings of images that are not read
    '.heic', '.heif', '.avif', '.jxl', '.jp2', '.tga', '.ico', '.psd', '.svg', '.eps', '.pdf', '.raw', '.dng', '.cr2',
    '.nef', '.arw', '.exr', '.hdr', '.dds', '.pcx', '.ppm', '.pgm', '.pbm', '.mp4', '.mov', '.avi', '.webm'))
_PIECE = 128                            # files of a piece
_TOGETHER = 1 << 21                     # values of the images that are resized together, unless one has more


def everything(content: bytes) -> bool:
  """True for each file: all belong to the requested split."""
  del content
  return True


@dataclasses.dataclass(frozen=True)
class ImageFiles:
  """Files of a folder or zip and their annotations, as a `cache.Original`."""

  source: Folder | Zip
  names: tuple[str, ...]                # of N files, in order
  annotations: np.ndarray               # int32 [N, M]
  lists: tuple[Path, ...]               # the files that say which image is what
  reader_version: int
  crop: float                           # of the sides of the largest centred rectangle of the served proportions
  max_bad_share: float                  # of the images
  dropped: tuple[tuple[str, str], ...] = ()   # (file, why) left out for want of a row
  belongs: Callable[[bytes], bool] = everything     # whether a file, by its bytes, belongs to the requested splits
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
    kept: list[int] = []
    bad: dict[int, str] = {}
    for run in _alike(self._cropped(range(start, stop), bad, shape)):
      cropped = in_channels(np.stack(list(run.values())), shape[2])
      resize(cropped, shape[:2], out=images[len(kept):len(kept) + len(run)])
      kept += run
    skipped = tuple((self.names[n], why) for n, why in bad.items())
    return Piece(images[:len(kept)], self.annotations[kept], skipped, stop - start - len(kept) - len(bad))

  def _cropped(self, numbers, bad, shape):
    """Yields (number, its middle) of the images that belong to the splits; adds to `bad` {number: why}."""
    for n in numbers:
      try:
        content = self.source.read(self.names[n])
        if self.belongs(content):
          yield n, centre_crop(decode(content), self.crop, shape)
      except OSError as error:
        bad[n] = error.strerror or str(error)
      except BadImageError as error:
        bad[n] = str(error)


def _alike(images):
  """Yields runs of images of one size, {number: image}, that are few enough for photographs to find room."""
  run: dict[int, np.ndarray] = {}
  shape = None
  for n, image in images:
    if run and (image.shape != shape or len(run) * image.size > _TOGETHER):
      yield run
      run = {}
    run[n] = image
    shape = image.shape
  if run:
    yield run


def pictures(names: Sequence[str]) -> list[str]:
  """Those of the names that are images by their extension."""
  return [name for name in names if name.lower().endswith(SUFFIXES)]


def passed_over(names: Sequence[str]) -> list[str]:
  """[a line about files that are images of kinds that are not read], [] where there is none."""
  kinds = collections.Counter(kind for name in names if (kind := name[name.rfind('.'):].lower()) in _NOT_READ)
  return [f"passed over: {', '.join(f'{count:,} {kind}' for kind, count in sorted(kinds.items()))}; convert them to "
          f".png to have them read (read are {', '.join(SUFFIXES)})"] if kinds else []


def crop_share(section: ConfigDict, usual: float) -> float:
  """config.data.crop, or the data set's usual share where it is 0.

  Raises:
    UserError: it is not within 0 to 1.
  """
  if not 0 <= section.crop <= 1:
    raise UserError(f'config.data.crop is {section.crop}; expected a share of the shorter side, 0 to 1')
  return section.crop or usual


def bad_share(section: ConfigDict) -> float:
  """config.data.max_bad_share.

  Raises:
    UserError: it is not within 0 to 1.
  """
  if not 0 <= section.max_bad_share <= 1:
    raise UserError(f'config.data.max_bad_share is {section.max_bad_share}; expected a share, 0 to 1')
  return section.max_bad_share


def warn_dropped(dropped: Sequence[tuple[str, str]], count: int) -> None:
  """A line on stderr about images that are left out before anything is read; manifest.json names them all."""
  if dropped:
    terminal.warn(f'{len(dropped):,} of {count:,} images are left out: {few(name for name, _ in dropped)}: '
                  f'{dropped[0][1]}')


def warn_extra(num_extra: int, num_images: int) -> None:
  """A line on stderr about rows of images that are not there, as where only a part of a data set is."""
  if num_extra:
    terminal.warn(f'the lists name {num_extra:,} images that are not there; going on with the {num_images:,} that are')


def list_bytes(path: Path) -> bytes:
  """The bytes of a list; raises UserError where it cannot be read."""
  try:
    return path.read_bytes()
  except OSError as error:
    raise UserError(f'{path}: cannot be read ({error.strerror})') from error


def list_path(path: str | Path, root: str | Path) -> Path:
  """The path of a list that a config key names: as given, or within the data's folder.

  Raises:
    UserError: it is at neither place.
  """
  given = expanded(path)
  for candidate in (given, expanded(root) / given):
    if candidate.is_file():
      return candidate
  raise UserError(f'{path} is not found, neither as given nor in {root}; name the list by its path')
