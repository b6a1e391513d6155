"""Nearest neighbours of images by pixel distance.

A distance is the root mean square of the differences of all pixels and channels, images being in [-1, 1]: 0 to 2.
"""

from jaxtyping import Float, UInt8
import numpy as np

_CHUNK_BYTES = 2**26                    # of the images converted to floats at a time


def distances(first: UInt8[np.ndarray, 'n H W C'], second: UInt8[np.ndarray, 'm H W C']) -> Float[np.ndarray, 'n m']:
  """Distances of all uint8 images [n, H, W, C] to all [m, H, W, C], float64 [n, m]; all are in memory at once."""
  first, second = (_flat(images, np.float64) for images in (first, second))
  squares = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1) - 2 * first @ second.T
  return np.sqrt(np.maximum(squares, 0) / first.shape[1])


def nearest(images: UInt8[np.ndarray, 'n H W C'], among: UInt8[np.ndarray, 'N H W C'], k: int,
            left_out: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
  """The k nearest of the uint8 images `among` [N, H, W, C], which may be more than memory holds, to each of `images`.

  Args:
    images: uint8 [n, H, W, C]
    among: uint8 [N, H, W, C], N above k
    k: neighbours, the nearest first
    left_out: int [n], one index of `among` to exclude for each image, usually the image itself; or None

  Returns:
    (int [n, k] indices, float64 [n, k] distances)
  """
  points = _flat(images, np.float32)
  squares, nearest_ones = np.full((len(points), k), np.inf, np.float32), np.zeros((len(points), k), np.int64)
  size = max(1, _CHUNK_BYTES // points[0].nbytes)
  for start in range(0, len(among), size):
    part = _flat(among[start:start + size], np.float32)
    # Without the squared norm of the point itself, which is the same for all its neighbours.
    theirs = np.square(part).sum(axis=1) - 2 * points @ part.T
    indices = np.broadcast_to(np.arange(start, start + len(part)), theirs.shape)
    if left_out is not None:
      theirs = np.where(indices == np.asarray(left_out)[:, None], np.inf, theirs)
    squares, nearest_ones = _least(np.concatenate([squares, theirs], axis=1),
                                   np.concatenate([nearest_ones, indices], axis=1), k)
  return _sorted(images, among, nearest_ones)


def _least(squares, indices, k):
  least = np.argpartition(squares, k - 1, axis=1)[:, :k]
  return np.take_along_axis(squares, least, axis=1), np.take_along_axis(indices, least, axis=1)


def _sorted(images, among, indices):
  """Sorts the neighbours by distance, recomputed exactly: float32 is too coarse for nearly equal images."""
  exact = np.stack([distances(image[None], among[row])[0] for image, row in zip(images, indices, strict=True)])
  order = np.argsort(exact, axis=1, kind='stable')
  return np.take_along_axis(indices, order, axis=1), np.take_along_axis(exact, order, axis=1)


def _flat(images, dtype):
  return (images.reshape(len(images), -1).astype(dtype) / dtype(127.5)) - dtype(1)
