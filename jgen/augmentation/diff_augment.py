"""DiffAugment (Zhao et al. 2020): differentiable augmentation of the critic's inputs.

Each function takes one image [H, W, C]; the constants are those of the authors' code.
"""

from collections.abc import Sequence

import jax
from jax import lax
import jax.numpy as jnp

from jgen.shapes import Image, PRNGKey, Scalar, Step

_SHIFT = 0.125                          # the largest translation, as a share of the side
_HOLE = 0.5                             # the sides of the cutout, as a share of the image's


def color(key: PRNGKey, image: Image) -> Image:
  """Randomly changes brightness, then saturation, then contrast."""
  brightness, saturation, contrast = jax.random.uniform(key, (3,))
  image = image + (brightness - 0.5)
  image = stretch(image, 2 * saturation, axes=2)
  return stretch(image, contrast + 0.5, axes=(0, 1, 2))


def stretch(image: Image, factor: Scalar | float, axes: int | tuple[int, ...]) -> Image:
  """Scales the deviations from the mean over the axes by the factor."""
  mean = image.mean(axes, keepdims=True)
  return (image - mean) * factor + mean


def translation(key: PRNGKey, image: Image) -> Image:
  """Randomly shifts the image by up to an eighth of each side, filled with zeros."""
  limits = [int(side * _SHIFT + 0.5) for side in image.shape[:2]]
  rows, columns = (jax.random.randint(k, (), -limit, limit + 1)
                   for k, limit in zip(jax.random.split(key), limits, strict=True))
  return translate(image, rows, columns, limits)


def translate(image: Image, rows: Step, columns: Step, limits: Sequence[int]) -> Image:
  """Shifts the image down by `rows` and right by `columns`, filled with zeros; `limits` bound both absolute values."""
  padded = jnp.pad(image, [(limit, limit) for limit in limits] + [(0, 0)])
  return lax.dynamic_slice(padded, (limits[0] - rows, limits[1] - columns, 0), image.shape)


def cutout(key: PRNGKey, image: Image) -> Image:
  """Sets a rectangle with half the image's sides to zero, at a random position, clipped to the image."""
  sizes = [int(side * _HOLE + 0.5) for side in image.shape[:2]]
  centre = [jax.random.randint(k, (), 0, side + 1 - size % 2)
            for k, side, size in zip(jax.random.split(key), image.shape[:2], sizes, strict=True)]
  return cut_out(image, [place - size // 2 for place, size in zip(centre, sizes, strict=True)], sizes)


def cut_out(image: Image, starts: Sequence[Step], sizes: Sequence[int]) -> Image:
  """Sets the rectangle of `sizes` (rows, columns) that begins at `starts` (row, column) to zero."""
  rows, columns = ((jnp.arange(side) >= start) & (jnp.arange(side) < start + size)
                   for side, start, size in zip(image.shape[:2], starts, sizes, strict=True))
  return jnp.where((rows[:, None] & columns)[:, :, None], 0., image)


POLICIES = {'color': color, 'translation': translation, 'cutout': cutout}
