"""Resizing and channel conversion, the same for every data set."""

from collections.abc import Sequence
import functools
import math

from jaxtyping import UInt8
import numpy as np

from jgen.data.files.decoding import centre_crop
from jgen.data.host import tensorflow

_CHUNK = 512                            # images converted to float32 at a time when enlarging
_SHRUNK_VALUES = 1 << 19                # array values per chunk when shrinking: few enough to stay in a core's cache
_ROWS, _COLUMNS = 8, 5                  # of the output per matrix product: 5 RGB pixels fill a vector of 16 floats


def served(images: UInt8[np.ndarray, 'n h w c'], shape: Sequence[int]) -> UInt8[np.ndarray, 'n H W C']:
  """Centre-cropped images with the requested channels and size.

  Args:
    images: uint8 [N, h, w, c], c 1 or 3
    shape: (H, W, C), C 1 or 3

  Returns:
    uint8 [N, H, W, C]
  """
  return resize(in_channels(centre_crop(images, 1., shape), shape[2]), shape[:2])


def in_channels(images: UInt8[np.ndarray, 'n h w c'], channels: int) -> UInt8[np.ndarray, 'n h w C']:
  """Uint8 images [N, h, w, c] converted to 1 channel (luma of BT.601, as Pillow) or 3 (grey repeated)."""
  if images.shape[-1] == channels:
    return images
  if channels == 3:
    return np.repeat(images, 3, axis=-1)
  red, green, blue = np.moveaxis(images.astype(np.uint32), -1, 0)
  return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).astype(np.uint8)[..., np.newaxis]


def resize(images: UInt8[np.ndarray, 'n h w c'], size: Sequence[int],
           out: np.ndarray | None = None) -> UInt8[np.ndarray, 'n H W c']:
  """Bilinear resizing with half-pixel centres, antialiased when shrinking, rounded to the nearest integer.

  Output pixel i has its centre at (i + 1/2) * H / size - 1/2 of the input. When shrinking, the triangle
  filter is widened by H / size, so that every input pixel contributes; at the border its weights are
  normalised over the pixels inside the image. This is tf.image.resize(..., antialias=True).

  Args:
    images: uint8 [N, H, W, C]
    size: side of the result in pixels, or its (height, width)
    out: uint8 [N, height, width, C] to write the result to; None creates a new array

  Returns:
    uint8 [N, height, width, C]; this is `out` if given
  """
  size = (size, size) if isinstance(size, int) else tuple(size)
  resized = np.empty((len(images), *size, images.shape[-1]), np.uint8) if out is None else out
  if images.shape[1:3] == size:
    resized[:] = images
    return resized
  # tf.image.resize is three times slower than products when shrinking, and faster when enlarging. But its import takes
  # seconds, so it is not used where products are exact.
  pairs = tuple(zip(size, images.shape[1:3], strict=True))
  shrinks = any(new < old for new, old in pairs)
  resize_chunk = _shrunk if shrinks else _doubled if all(new in _doublings(old) for new, old in pairs) else _enlarged
  chunk = max(1, _SHRUNK_VALUES // math.prod(images.shape[1:])) if shrinks else _CHUNK
  for start in range(0, len(images), chunk):
    resized[start:start + chunk] = resize_chunk(images[start:start + chunk], size)
  return resized


def _enlarged(images, size):
  return np.rint(tensorflow().image.resize(images, size, 'bilinear').numpy())


def _doublings(old):
  """Sides for which all weights are multiples of 1/64, so that float32 is exact."""
  return [old * 2**k for k in range(6)]


def _doubled(images, size):
  return np.rint(_products(images, size, 0))


def _shrunk(images, size):
  # The result is truncated: this rounds ties up, whatever the order of summation.
  return _products(images, size, 0.5001)


def _products(images, size, added):
  """Resizes by matrix products over rows, then over columns, in bands that skip most of the zero weights."""
  n, height, width, channels = images.shape
  new_height, new_width = size
  pixels = np.empty((height, n, width * channels), np.float32)
  pixels[:] = images.reshape(n, height, -1).transpose(1, 0, 2)
  pixels += added
  pixels = pixels.reshape(height, -1)
  rows = np.empty((new_height, pixels.shape[1]), np.float32)
  for new, old, weights in _bands(height, new_height, 1, _ROWS):
    np.matmul(weights.T, pixels[old], out=rows[new])
  rows = rows.reshape(new_height, n, width * channels)
  resized = np.empty((n, new_height, new_width * channels), np.float32)
  for new, old, weights in _bands(width, new_width, channels, _COLUMNS):   # small: BLAS copies large ones first
    np.matmul(rows[..., old], weights, out=resized[..., new].transpose(1, 0, 2))
  return resized.reshape(n, new_height, new_width, channels)


@functools.cache
def _bands(old, new, channels, width):
  """For each band of `width` outputs: (slice of the outputs, slice of their inputs, float32 [inputs, outputs])."""
  ratio = old / new
  centres = (np.arange(new) + 0.5) * ratio - 0.5
  weights = np.maximum(0, 1 - np.abs(np.arange(old) - centres[:, None]) / max(ratio, 1))
  weights /= weights.sum(1, keepdims=True)
  bands = []
  for start in range(0, new, width):
    band = weights[start:start + width]
    used = np.flatnonzero(band.any(0))
    first, last = used[0], used[-1] + 1
    bands.append((slice(start * channels, (start + len(band)) * channels), slice(first * channels, last * channels),
                  np.kron(band[:, first:last].T, np.eye(channels)).astype(np.float32)))
  return bands
