"""Reads the user's own pictures as inputs of a trained model."""

from pathlib import Path
from typing import Any

from jaxtyping import UInt8
import numpy as np

from jgen.data.files.decoding import SUFFIXES, BadImageError, decode
from jgen.data.files.resizing import served
from jgen.errors import UserError
from jgen.host.files import expanded


def read(paths: Any, image_shape: tuple[int, int, int]) -> tuple[UInt8[np.ndarray, 'n H W C'], list[Path]]:
  """Pictures, centre-cropped to the aspect ratio of the model's images and resized.

  Args:
    paths: an image file, a folder of them (sorted by name, without its subfolders), or a sequence of both.
    image_shape: (H, W, C), C 1 for grey or 3.

  Returns:
    (uint8 [n, H, W, C], [the file of each])

  Raises:
    UserError: there is no picture, or one cannot be decoded.
  """
  files = [file for path in ([paths] if isinstance(paths, str | Path) else paths) for file in _files(expanded(path))]
  if not files:
    raise UserError('no picture given; name image files or a folder of them')
  return np.stack([_read(file, image_shape) for file in files]), files


def _files(path):
  if not path.is_dir():
    return [path]
  files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
  if not files:
    raise UserError(f'{path} holds no picture; supported: {", ".join(SUFFIXES)}')
  return files


def _read(file, image_shape):
  try:
    return served(decode(file.read_bytes())[np.newaxis], image_shape)[0]
  except OSError as error:
    raise UserError(f'{file}: {error.strerror or error}; name an image file or a folder of them') from error
  except BadImageError as error:
    raise UserError(f'{file} cannot be read: {error}') from error
