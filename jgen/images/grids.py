"""Images in rows and columns, as one PNG."""

from collections.abc import Sequence
import dataclasses
from pathlib import Path

from jaxtyping import Integer, UInt8
import numpy as np
from PIL import Image, ImageDraw

from jgen.host.files import replacing
from jgen.images.fonts import font_of, one_line, shortened

MIN_SIDE = 48             # pixels; smaller images are magnified by the least whole factor that reaches it
SEPARATOR = 2             # pixels between images and around them
SEPARATOR_COLOR = 160     # grey, distinct from black and white backgrounds
FONT_SIZE = 16            # pixels
NAME_MARGIN = 8           # pixels on both sides of a row's name
NAME_WIDTH = 240          # pixels of a row's name, whose middle is left out where it is longer
MAX_SIDE = 4_096          # pixels of a sheet's side; where rows or columns would take more, some are left out
MAX_WIDTH = 2_400         # pixels of a row of pictures; further ones go below
GAP = 24                  # white pixels between them


@dataclasses.dataclass(frozen=True)
class Grid:
  """Images, row by row."""

  images: np.ndarray                    # uint8 [rows * columns, H, W, C], C 1 or 3
  columns: int
  row_names: tuple[str, ...] = ()       # none, or one a row
  title: str = ''                       # a line above, if any
  column_names: tuple[str, ...] = ()    # none, or one a column


def rows_that_fit(height: int, width: int) -> int:
  """Rows, or columns where `width` comes first, of images of that size on a sheet of MAX_SIDE pixels."""
  return max(2, MAX_SIDE // (height * _magnification(height, width) + SEPARATOR))


def spread(count: int, most: int) -> Integer[np.ndarray, ' n']:
  """At most `most` of the numbers 0 to count - 1, evenly spread: an int array."""
  return np.arange(min(count, most)) * count // min(count, most)


def save_grid(path: Path, images: UInt8[np.ndarray, 'n H W C'], columns: int, row_names: Sequence[str] = (),
              title: str = '', column_names: Sequence[str] = ()) -> None:
  """Writes `compose_grid` of the same arguments, below a title if any, as a PNG to `path`, whole or not at all.

  Of rows and columns that would make it larger than MAX_SIDE, those evenly spread are shown, and the title says so.
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

  Each pixel of an image becomes a square of pixels; `row_names`, none or one a row, are to the left, `column_names`,
  none or one a column, above.
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
  """The arguments of save_grid with no more rows and columns than fit."""
  height, width = images.shape[1:3]
  rows = len(images) // columns
  of_rows, of_columns = spread(rows, rows_that_fit(height, width)), spread(columns, rows_that_fit(width, height))
  if len(of_rows) == rows and len(of_columns) == columns:
    return images, columns, row_names, title
  notes = [f'{len(kept)} of {count} {noun}' for kept, count, noun in (
      (of_rows, rows, 'rows'), (of_columns, columns, 'columns')) if len(kept) < count]
  images = images.reshape(rows, columns, *images.shape[1:])[of_rows][:, of_columns]
  names = tuple(row_names[row] for row in of_rows) if row_names else ()
  return images.reshape(-1, *images.shape[2:]), len(of_columns), names, ', '.join(filter(None, [title, *notes]))


def headed(picture: UInt8[np.ndarray, 'height width 3'], text: str) -> UInt8[np.ndarray, 'h w 3']:
  """The picture, uint8 [height, width, 3], below a line of text; it grows to the right where the text is wider."""
  text = one_line(text)
  font = font_of(text, FONT_SIZE)
  width = max(picture.shape[1], int(font.getlength(text)) + 1 + 2 * NAME_MARGIN)
  line = Image.new('RGB', (width, sum(font.getmetrics()) + NAME_MARGIN), 'white')   # as high for every text
  ImageDraw.Draw(line).text((width / 2, line.height / 2), text, 'black', font, anchor='mm')
  wider = np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255)
  return np.concatenate([np.asarray(line), wider])


def side_by_side(pictures: Sequence[np.ndarray]) -> UInt8[np.ndarray, 'height width 3']:
  """One picture, uint8 [height, width, 3], of several; in rows where they are wider than MAX_WIDTH together."""
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
  """A line of text with a name above each column; smaller where the longest would not fit."""
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
  """The pictures along an axis, white between them, and filled up with white along the other one."""
  longest = max(picture.shape[1 - axis] for picture in pictures)
  padded = []
  for picture in pictures:
    widths = [[0, 0], [0, 0], [0, 0]]
    widths[1 - axis][1] = longest - picture.shape[1 - axis]
    widths[axis][1] = GAP if picture is not pictures[-1] else 0
    padded.append(np.pad(picture, widths, constant_values=255))
  return np.concatenate(padded, axis=axis)
