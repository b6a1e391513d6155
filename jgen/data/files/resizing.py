"""One way of resizing, for every data set."""

import functools
import math

import numpy as np

from jgen.data.host import tensorflow

_CHUNK = 512                            # images that are float32 at one time when enlarging
_SHRUNK_VALUES = 1 << 19                # the same when shrinking, in values: few enough to stay in a core's cache
_ROWS, _COLUMNS = 8, 5                  # of the output, by one matrix product: 5 RGB pixels fill a vector of 16 floats


def resize(images, size, out=None):
  """Bilinear resizing with half-pixel centres, antialiased when shrinking, rounded to the nearest integer.

  Output pixel i has its centre at (i + 1/2) * H / size - 1/2 of the input. When shrinking, the triangle
  filter is widened by H / size, so that every input pixel counts; at the border its weights are
  normalised over the pixels that exist. This is tf.image.resize(..., antialias=True).

  Args:
    images: uint8 [N, H, W, C]
    size: pixels of a side of the result
    out: uint8 [N, size, size, C] to write the result to; a new array without it

  Returns:
    uint8 [N, size, size, C], `out` if it was given
  """
  resized = np.empty((len(images), size, size, images.shape[-1]), np.uint8) if out is None else out
  if images.shape[1:3] == (size, size):
    resized[:] = images
    return resized
  # when enlarging both agree; tf.image.resize is the fastest there and three times slower here
  shrinks = size < max(images.shape[1:3])
  of_chunk = _shrunk if shrinks else _enlarged
  chunk = max(1, _SHRUNK_VALUES // math.prod(images.shape[1:])) if shrinks else _CHUNK
  for start in range(0, len(images), chunk):
    resized[start:start + chunk] = of_chunk(images[start:start + chunk], size)
  return resized


def _enlarged(images, size):
  return np.rint(tensorflow().image.resize(images, (size, size), 'bilinear').numpy())


def _shrunk(images, size):
  """Two matrix products, over rows and over columns, of bands that leave most of the zeros out."""
  n, height, width, channels = images.shape
  pixels = np.empty((height, n, width * channels), np.float32)
  pixels[:] = images.reshape(n, height, -1).transpose(1, 0, 2)
  pixels += 0.5001   # and cut off at the end: rounded, a tie upwards whatever the order in which a product is summed
  pixels = pixels.reshape(height, -1)
  rows = np.empty((size, pixels.shape[1]), np.float32)
  for new, old, weights in _bands(height, size, 1, _ROWS):
    np.matmul(weights.T, pixels[old], out=rows[new])
  rows = rows.reshape(size, n, width * channels)
  resized = np.empty((n, size, size * channels), np.float32)
  for new, old, weights in _bands(width, size, channels, _COLUMNS):   # small products: for large ones BLAS copies first
    np.matmul(rows[..., old], weights, out=resized[..., new].transpose(1, 0, 2))
  return resized.reshape(n, size, size, channels)


@functools.cache
def _bands(old, new, channels, width):
  """For each `width` of outputs: (their slice, that of the inputs they depend on, float32 [inputs, outputs])."""
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
