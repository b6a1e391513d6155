"""Grids of images in one PNG."""

from collections.abc import Sequence
import dataclasses
from pathlib import Path

from jaxtyping import Integer, UInt8
import numpy as np
from PIL import Image, ImageDraw

from jgen.host.files import replacing
from jgen.images.fonts import font_of, one_line, shortened

MIN_SIDE = 48             # pixels; smaller images are magnified by the smallest integer factor that reaches it
SEPARATOR = 2             # pixels between images and around them
SEPARATOR_COLOR = 160     # grey, distinct from black and white backgrounds
FONT_SIZE = 16            # pixels
NAME_MARGIN = 8           # pixels on both sides of a row's name
NAME_WIDTH = 240          # pixels; longer row names are shortened
MAX_SIDE = 4_096          # largest side of a grid in pixels; rows and columns beyond it are left out
MAX_WIDTH = 2_400         # largest width of pictures side by side in pixels; further pictures go below
GAP = 24                  # white pixels between pictures


@dataclasses.dataclass(frozen=True)
class Grid:
  """A grid of images, row by row."""

  images: np.ndarray                    # uint8 [rows * columns, H, W, C], C 1 or 3
  columns: int
  row_names: tuple[str, ...] = ()       # empty, or one per row
  title: str = ''                       # a line above the grid, if any
  column_names: tuple[str, ...] = ()    # empty, or one per column


def rows_that_fit(height: int, width: int) -> int:
  """The number of rows of images of this size in MAX_SIDE pixels; with `width` first, the number of columns."""
  return max(2, MAX_SIDE // (height * _magnification(height, width) + SEPARATOR))


def spread(count: int, most: int) -> Integer[np.ndarray, ' n']:
  """At most `most` of the indices 0 to count - 1, evenly spread, int [n]."""
  return np.arange(min(count, most)) * count // min(count, most)


def save_grid(path: Path, images: UInt8[np.ndarray, 'n H W C'], columns: int, row_names: Sequence[str] = (),
              title: str = '', column_names: Sequence[str] = ()) -> None:
  """Writes the picture of `compose_grid`, below a title if given, as a PNG to `path`, atomically.

  If the picture would be larger than MAX_SIDE, only some rows or columns are shown, evenly spread, and the title says
  how many.
  """
  column_names = tuple(column_names[column] for column in spread(
      len(column_names), rows_that_fit(*images.shape[2:0:-1]))) if column_names else ()
  images, columns, row_names, title = _bounded(images, columns, row_names, title)
  picture = compose_grid(images, columns, row_names, column_names)
  with replacing(path) as temporary:
    Image.fromarray(headed(picture, title) if title else picture).save(temporary, format='PNG')


def compose_grid(images: UInt8[np.ndarray, 'n H W C'], columns: int, row_names: Sequence[str] = (),
                 column_names: Sequence[str] = ()) -> UInt8[np.ndarray, 'height width 3']:
  """A picture, uint8 [height, width, 3], of uint8 images [rows * columns, H, W, C], C 1 or 3, row by row.

  Small images are magnified by an integer factor. `row_names`, empty or one per row, are on the left; `column_names`,
  empty or one per column, above.
  """
  images = np.broadcast_to(images, (*images.shape[:3], 3))
  factor = _magnification(*images.shape[1:3])
  images = images.repeat(factor, axis=1).repeat(factor, axis=2)
  images = images.reshape(-1, columns, *images.shape[1:])
  picture = _frame(images)
  names = _name_row(column_names, columns, picture.shape[1]) if column_names else picture[:0]
  picture = np.concatenate([names, picture])
  if not row_names:
    return picture
  return np.concatenate([_name_column(row_names, len(images), picture.shape[0], len(names)), picture], axis=1)


def _magnification(height, width):
  return -(-MIN_SIDE // min(height, width))


def _bounded(images, columns, row_names, title):
  """The arguments of save_grid, reduced to the rows and columns that fit."""
  height, width = images.shape[1:3]
  rows = len(images) // columns
  row_indices = spread(rows, rows_that_fit(height, width))
  column_indices = spread(columns, rows_that_fit(width, height))
  if len(row_indices) == rows and len(column_indices) == columns:
    return images, columns, row_names, title
  notes = [f'{len(indices)} of {count} {noun}' for indices, count, noun in (
      (row_indices, rows, 'rows'), (column_indices, columns, 'columns')) if len(indices) < count]
  images = images.reshape(rows, columns, *images.shape[1:])[row_indices][:, column_indices]
  names = tuple(row_names[row] for row in row_indices) if row_names else ()
  return images.reshape(-1, *images.shape[2:]), len(column_indices), names, ', '.join(filter(None, [title, *notes]))


def headed(picture: UInt8[np.ndarray, 'height width 3'], text: str) -> UInt8[np.ndarray, 'h w 3']:
  """The picture, uint8 [height, width, 3], below a line of text; widened on the right if the text is wider."""
  text = one_line(text)
  font = font_of(text, FONT_SIZE)
  width = max(picture.shape[1], int(font.getlength(text)) + 1 + 2 * NAME_MARGIN)
  line = Image.new('RGB', (width, sum(font.getmetrics()) + NAME_MARGIN), 'white')   # the same height for every text
  ImageDraw.Draw(line).text((width / 2, line.height / 2), text, 'black', font, anchor='mm')
  wider = np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255)
  return np.concatenate([np.asarray(line), wider])


def side_by_side(pictures: Sequence[np.ndarray]) -> UInt8[np.ndarray, 'height width 3']:
  """Several pictures in one, uint8 [height, width, 3], side by side; in several rows if wider than MAX_WIDTH."""
  rows: list[list[np.ndarray]] = [[]]
  width = 0
  for picture in pictures:
    width += picture.shape[1] + GAP
    if rows[-1] and width > MAX_WIDTH:
      rows.append([])
      width = picture.shape[1] + GAP
    rows[-1].append(picture)
  return _join([_join(row, axis=1) for row in rows], axis=0)


def _frame(images):
  rows, columns, height, width, _ = images.shape
  padded = np.full((rows, columns, height + SEPARATOR, width + SEPARATOR, 3), SEPARATOR_COLOR, np.uint8)
  padded[:, :, :height, :width] = images
  tiled = padded.swapaxes(1, 2).reshape(rows * (height + SEPARATOR), columns * (width + SEPARATOR), 3)
  return np.pad(tiled, ((SEPARATOR, 0), (SEPARATOR, 0), (0, 0)), constant_values=SEPARATOR_COLOR)


def _name_column(names, rows, height, header):
  names = list(map(one_line, names))
  fonts = [font_of(name, FONT_SIZE) for name in names]
  names = [shortened(name, font, NAME_WIDTH) for name, font in zip(names, fonts, strict=True)]
  width = int(max(font.getlength(name) for name, font in zip(names, fonts, strict=True))) + 1 + 2 * NAME_MARGIN
  column = Image.new('RGB', (width, height), 'white')
  draw = ImageDraw.Draw(column)
  pitch = (height - header - SEPARATOR) / rows
  for row, name, font in zip(range(rows), names, fonts, strict=True):
    draw.text((width - NAME_MARGIN, header + SEPARATOR / 2 + (row + 0.5) * pitch), name, 'black', font, anchor='rm')
  return np.asarray(column)


def _name_row(names, columns, width):
  """A line with a name above each column, in a smaller font if the longest name would not fit."""
  pitch = (width - SEPARATOR) / columns
  longest = max(font_of(name, FONT_SIZE).getlength(name) for name in names)
  size = max(1, int(FONT_SIZE * min(1, (pitch - 2) / longest)))
  line = Image.new('RGB', (width, FONT_SIZE + NAME_MARGIN), 'white')
  draw = ImageDraw.Draw(line)
  for column, name in zip(range(columns), names, strict=True):
    place = SEPARATOR / 2 + (column + 0.5) * pitch, line.height / 2
    draw.text(place, name, 'black', font_of(name, size), anchor='mm')
  return np.asarray(line)


def _join(pictures, axis):
  """Concatenates pictures along an axis with white gaps, padded with white along the other axis."""
  longest = max(picture.shape[1 - axis] for picture in pictures)
  padded = []
  for picture in pictures:
    widths = [[0, 0], [0, 0], [0, 0]]
    widths[1 - axis][1] = longest - picture.shape[1 - axis]
    widths[axis][1] = GAP if picture is not pictures[-1] else 0
    padded.append(np.pad(picture, widths, constant_values=255))
  return np.concatenate(padded, axis=axis)
