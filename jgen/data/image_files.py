"""Image files of any sizes as the original of a prepared data set: read, cropped and resized in parallel."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import itertools
from pathlib import Path
import sys
from typing import Any

import numpy as np

from jgen.data.archive import Folder, Zip
from jgen.data.decoding import SUFFIXES, TOGETHER, BadImageError, centre_square, decode_all
from jgen.data.resizing import resize
from jgen.data.tables import few
from jgen.data.unfinished import Piece
from jgen.errors import UserError
from jgen.files import expanded

_VERSION = 1                            # of decoding and cropping
_PIECE = 256                            # files of a piece, a multiple of TOGETHER
_LARGE = 1 << 20                        # values of an image that is not kept as it is until others are there


def everything(content):
  """Where all files belong to the split that is asked for."""
  del content
  return True


@dataclasses.dataclass(frozen=True)
class ImageFiles:
  """Files of a folder or zip, and what is known of each: as `cache.Original`."""

  source: Folder | Zip
  names: tuple[str, ...]                # of N files, in order
  annotations: np.ndarray               # int32 [N, M]
  lists: tuple[Path, ...]               # the files that say which image is what
  reader_version: int
  crop: float                           # the side of the centred square, as a share of the shorter side
  max_bad_share: float                  # of the images
  dropped: tuple[tuple[str, str], ...] = ()   # (file, why) left out for want of a row
  belongs: Callable[[bytes], bool] = everything     # whether a file's bytes put it into the splits that are asked for
  more_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def files(self):
    return (*self.source.files, *self.lists)

  @property
  def count(self):
    return len(self.names)

  @property
  def version(self):
    return [self.reader_version, _VERSION]

  @property
  def settings(self):
    return {'source': str(self.source.path.resolve()), 'listing': self.source.listing(self.names),
            'crop': self.crop, **self.more_settings}

  def pieces(self, size):
    for start in range(0, self.count, _PIECE):
      yield functools.partial(self._piece, start, min(start + _PIECE, self.count), size)

  def _piece(self, start, stop, size):
    images, kept, skipped, others = [], [], [], 0
    for first in range(start, stop, TOGETHER):
      numbers = range(first, min(first + TOGETHER, stop))
      contents, bad = self._contents(numbers)
      others += len(numbers) - len(contents) - len(bad)
      squares = {}
      for n, image in zip(contents, decode_all(list(contents.values())), strict=True):
        if isinstance(image, BadImageError):
          bad[n] = str(image)
        else:
          squares[n] = _light(centre_square(image, self.crop), size)
      images += [resize(np.stack(list(group)), size)
                 for _, group in itertools.groupby(squares.values(), key=lambda square: square.shape)]
      kept += squares
      skipped += [(self.names[n], bad[n]) for n in sorted(bad)]
    images = np.concatenate(images) if images else np.empty((0, size, size, 3), np.uint8)
    return Piece(images, self.annotations[kept], tuple(skipped), others)

  def _contents(self, numbers):
    """({number: bytes} of the files that belong to the splits, {number: why} of those that cannot be read)."""
    contents, bad = {}, {}
    for n in numbers:
      try:
        content = self.source.read(self.names[n])
      except OSError as error:
        bad[n] = error.strerror or str(error)
        continue
      if self.belongs(content):
        contents[n] = content
    return contents, bad


def _light(square, size):
  """A large square resized by itself, at once: 64 photographs at a time would fill the memory."""
  return square if square.size <= _LARGE else resize(square[np.newaxis], size)[0]


def pictures(names):
  """Those of the names that are images by their extension."""
  return [name for name in names if name.lower().endswith(SUFFIXES)]


def crop_share(section, usual):
  """config.data.crop, or the data set's usual share where it is 0.

  Raises:
    UserError: it is not within 0 to 1.
  """
  if not 0 <= section.crop <= 1:
    raise UserError(f'config.data.crop is {section.crop}; expected a share of the shorter side, 0 to 1')
  return section.crop or usual


def bad_share(section):
  """config.data.max_bad_share.

  Raises:
    UserError: it is not within 0 to 1.
  """
  if not 0 <= section.max_bad_share <= 1:
    raise UserError(f'config.data.max_bad_share is {section.max_bad_share}; expected a share, 0 to 1')
  return section.max_bad_share


def warn_dropped(dropped, count):
  """A line on stderr about images that are left out before anything is read; manifest.json names them all."""
  if dropped:
    print(f'warning: {len(dropped):,} of {count:,} images are left out: {few(name for name, _ in dropped)}: '
          f'{dropped[0][1]}', file=sys.stderr, flush=True)


def warn_extra(num_extra, num_images):
  """A line on stderr about rows of images that are not there, as where only a part of a data set is."""
  if num_extra:
    print(f'warning: the lists name {num_extra:,} images that are not there; going on with the {num_images:,} that are',
          file=sys.stderr, flush=True)


def list_path(path, root):
  """The path of a list that a config key names: as given, or within the data's folder.

  Raises:
    UserError: it is at neither place.
  """
  given = expanded(path)
  for candidate in (given, expanded(root) / given):
    if candidate.is_file():
      return candidate
  raise UserError(f'{path} is not found, neither as given nor in {root}; name the list by its path')
