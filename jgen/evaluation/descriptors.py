"""Image descriptors for a classical classifier: shapes and coarse colours, a few thousand numbers."""

from jaxtyping import Float
import numpy as np

from jgen.shapes import Features, Pixels

ORIENTATIONS = 9          # bins of the gradient's direction, over half a turn
MAX_SIDE = 32             # pixels; larger images are averaged down before the gradients are taken
CELLS = 8                 # cells along the longer side
COLOR_SIDE = 8            # pixels of the coarse colour image


def describe(images: Pixels) -> Features:
  """Shapes and coarse colours, float32 [N, F], of uint8 images [N, H, W, C]; F depends on H, W and C."""
  shapes = oriented_gradients(shrink(images, MAX_SIDE))
  colors = shrink(images, COLOR_SIDE)
  return np.concatenate([shapes.reshape(len(images), -1), colors.reshape(len(images), -1)], axis=1)


def shrink(images: Pixels, max_side: int) -> Float[np.ndarray, 'n h w C']:
  """Area averages in [0, 1], float32 [N, H', W', C], no side above `max_side`; a ragged edge is cut off."""
  height, width = images.shape[1:3]
  return _block_mean(images, -(-max(height, width) // max_side)) / np.float32(255)


def oriented_gradients(images: Float[np.ndarray, 'n H W C']) -> Float[np.ndarray, 'n rows columns _']:
  """Histograms of oriented gradients (Dalal and Triggs, 2005), float32 [N, rows, columns, 4 * ORIENTATIONS].

  `images` are float32 [N, H, W, C]; each pixel contributes the colour channel with the strongest gradient. Light on
  dark equals dark on light, since only the orientation (half a turn) counts.
  """
  down, right = np.gradient(images, axis=(1, 2))
  magnitude = np.hypot(down, right)
  strongest = magnitude.argmax(axis=-1)[..., None]
  down, right, magnitude = (
      np.take_along_axis(a, strongest, axis=-1)[..., 0] for a in (down, right, magnitude))
  position = np.arctan2(down, right) / np.pi * ORIENTATIONS
  cell = max(2, max(images.shape[1:3]) // CELLS)
  votes = [_block_mean((magnitude * _vote(position, i))[..., None], cell) for i in range(ORIENTATIONS)]
  return _normalized_blocks(cell**2 * np.concatenate(votes, axis=-1))


def _vote(position, orientation):
  """Each angle's share in one bin: linear between the two nearest ones, around the circle."""
  away = np.abs((position - orientation + ORIENTATIONS / 2) % ORIENTATIONS - ORIENTATIONS / 2)
  return np.maximum(0, 1 - away)


def _normalized_blocks(cells):
  """Concatenates 2x2 neighbouring cells and normalises them; 0.01 keeps flat regions near 0."""
  upper, lower = cells[:, :-1], cells[:, 1:]
  blocks = np.concatenate([upper[:, :, :-1], upper[:, :, 1:], lower[:, :, :-1], lower[:, :, 1:]], axis=-1)
  return blocks / np.sqrt(np.square(blocks).sum(axis=-1, keepdims=True) + 0.01)


def _block_mean(images, size):
  count, height, width, channels = images.shape
  rows, columns = height // size, width // size
  blocks = images[:, :rows * size, :columns * size].reshape(count, rows, size, columns, size, channels)
  return blocks.mean(axis=(2, 4), dtype=np.float32)
