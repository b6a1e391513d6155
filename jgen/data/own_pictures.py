"""A person's own pictures, as a trained model takes them."""

from pathlib import Path

import numpy as np
from PIL import Image

from jgen.data.files.decoding import SUFFIXES, BadImageError, centre_square, decode
from jgen.data.files.resizing import resize
from jgen.errors import UserError
from jgen.files import expanded


def read(paths, image_shape):
  """The centred squares of pictures, resized.

  Args:
    paths: an image file, a folder of them (in the order of their names, nothing below it), or a sequence of both.
    image_shape: (H, W, C), H = W, C 1 for grey or 3.

  Returns:
    (uint8 [n, H, W, C], [the file of each])

  Raises:
    UserError: no picture is there, or one cannot be decoded.
  """
  files = [file for path in ([paths] if isinstance(paths, str | Path) else paths) for file in _files(expanded(path))]
  if not files:
    raise UserError('no picture is named; name image files or a folder of them')
  return np.stack([_read(file, image_shape) for file in files]), files


def _files(path):
  if not path.is_dir():
    return [path]
  files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
  if not files:
    raise UserError(f'{path} holds no picture; expected files that end in {", ".join(SUFFIXES)}')
  return files


def _read(file, image_shape):
  size, _, channels = image_shape
  try:
    square = centre_square(decode(file.read_bytes()), 1.)
  except OSError as error:
    raise UserError(f'{file}: {error.strerror or error}; name an image file or a folder of them') from error
  except BadImageError as error:
    raise UserError(f'{file} cannot be read: {error}') from error
  if channels == 1:
    square = np.asarray(Image.fromarray(square).convert('L'))[..., np.newaxis]
  return resize(square[np.newaxis], size)[0]
