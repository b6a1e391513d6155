"""DiffAugment (Zhao et al. 2020): random changes of the critic's images that gradients pass through.

Each function is of one image [H, W, C]; the numbers are those of the authors' code.
"""

from collections.abc import Sequence

import jax
from jax import lax
import jax.numpy as jnp

from jgen.shapes import Image, PRNGKey, Scalar, Step

_SHIFT = 0.125                          # of a side: the largest translation
_HOLE = 0.5                             # of a side: what is cut out


def color(key: PRNGKey, image: Image) -> Image:
  """Brightness, then saturation, then contrast, at random."""
  brightness, saturation, contrast = jax.random.uniform(key, (3,))
  image = image + (brightness - 0.5)
  image = stretch(image, 2 * saturation, axes=2)
  return stretch(image, contrast + 0.5, axes=(0, 1, 2))


def stretch(image: Image, factor: Scalar | float, axes: int | tuple[int, ...]) -> Image:
  """The distance from the mean over the axes, times the factor."""
  mean = image.mean(axes, keepdims=True)
  return (image - mean) * factor + mean


def translation(key: PRNGKey, image: Image) -> Image:
  """Shifted by up to an eighth of each side, the rest zero."""
  limits = [int(side * _SHIFT + 0.5) for side in image.shape[:2]]
  rows, columns = (jax.random.randint(k, (), -limit, limit + 1)
                   for k, limit in zip(jax.random.split(key), limits, strict=True))
  return translate(image, rows, columns, limits)


def translate(image: Image, rows: Step, columns: Step, limits: Sequence[int]) -> Image:
  """Moved down by `rows` and right by `columns`, each at most its limit either way, the rest zero."""
  padded = jnp.pad(image, [(limit, limit) for limit in limits] + [(0, 0)])
  return lax.dynamic_slice(padded, (limits[0] - rows, limits[1] - columns, 0), image.shape)


def cutout(key: PRNGKey, image: Image) -> Image:
  """Sets a rectangle of half the image's sides to zero, at a random place, clipped to the image."""
  sizes = [int(side * _HOLE + 0.5) for side in image.shape[:2]]
  centre = [jax.random.randint(k, (), 0, side + 1 - size % 2)
            for k, side, size in zip(jax.random.split(key), image.shape[:2], sizes, strict=True)]
  return cut_out(image, [place - size // 2 for place, size in zip(centre, sizes, strict=True)], sizes)


def cut_out(image: Image, starts: Sequence[Step], sizes: Sequence[int]) -> Image:
  """Zero in the rows from starts[0], sizes[0] of them, that are also in the columns from starts[1]."""
  rows, columns = ((jnp.arange(side) >= start) & (jnp.arange(side) < start + size)
                   for side, start, size in zip(image.shape[:2], starts, sizes, strict=True))
  return jnp.where((rows[:, None] & columns)[:, :, None], 0., image)


POLICIES = {'color': color, 'translation': translation, 'cutout': cutout}
