"""One way of resizing, for every data set."""

import functools

import numpy as np

from jgen.data.host import tensorflow

_CHUNK = 512                            # images that are float32 at one time when enlarging
_SHRUNK_CHUNK = 16                      # the same when shrinking: what stays in a core's cache, and is no new memory
_BAND = 8                               # output pixels that are computed by one matrix product


def resize(images, size):
  """Bilinear resizing with half-pixel centres, antialiased when shrinking, rounded to the nearest integer.

  Output pixel i has its centre at (i + 1/2) * H / size - 1/2 of the input. When shrinking, the triangle
  filter is widened by H / size, so that every input pixel counts; at the border its weights are
  normalised over the pixels that exist. This is tf.image.resize(..., antialias=True).

  Args:
    images: uint8 [N, H, W, C]
    size: pixels of a side of the result

  Returns:
    uint8 [N, size, size, C]
  """
  if images.shape[1:3] == (size, size):
    return np.ascontiguousarray(images)
  # when enlarging both agree; tf.image.resize is the fastest there and three times slower here
  of_chunk, chunk = (_shrunk, _SHRUNK_CHUNK) if size < max(images.shape[1:3]) else (_enlarged, _CHUNK)
  resized = np.empty((len(images), size, size, images.shape[-1]), np.uint8)
  for start in range(0, len(images), chunk):
    resized[start:start + chunk] = of_chunk(images[start:start + chunk], size)
  return resized


def _enlarged(images, size):
  return np.rint(tensorflow().image.resize(images, (size, size), 'bilinear').numpy())


def _shrunk(images, size):
  """Two matrix products, over rows and over columns, of bands that leave most of the zeros out."""
  n, height, width, channels = images.shape
  pixels = images.transpose(1, 0, 2, 3).reshape(height, -1).astype(np.float32)
  rows = np.empty((size, pixels.shape[1]), np.float32)
  for new, old, weights in _bands(height, size, 1):
    np.matmul(weights, pixels[old], out=rows[new])
  rows = rows.reshape(size * n, width * channels)
  resized = np.empty((size * n, size * channels), np.float32)
  for new, old, weights in _bands(width, size, channels):
    np.matmul(rows[:, old], weights.T, out=resized[:, new])
  resized += 0.5001   # and cut off: rounded, a tie upwards whatever the order in which a product was summed
  return resized.astype(np.uint8).reshape(size, n, size, channels).transpose(1, 0, 2, 3)


@functools.cache
def _bands(old, new, channels):
  """(slice of outputs, slice of inputs they depend on, float32 [outputs, inputs]), for interleaved channels."""
  ratio = old / new
  centres = (np.arange(new) + 0.5) * ratio - 0.5
  weights = np.maximum(0, 1 - np.abs(np.arange(old) - centres[:, None]) / max(ratio, 1))
  weights /= weights.sum(1, keepdims=True)
  bands = []
  for start in range(0, new, _BAND):
    band = weights[start:start + _BAND]
    used = np.flatnonzero(band.any(0))
    first, last = used[0], used[-1] + 1
    bands.append((slice(start * channels, (start + len(band)) * channels), slice(first * channels, last * channels),
                  np.kron(band[:, first:last], np.eye(channels)).astype(np.float32)))
  return bands
