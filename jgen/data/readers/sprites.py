"""Sprites with the six factors of dSprites, drawn by this code: no files, no download.

The geometry was measured on 258 images of dSprites (Matthey et al. 2017); on these, 56 of 1,056,768 pixels differ. It
is not a copy of that data set, so `source` marks measurements on it as procedural.
"""

import dataclasses
import functools

from jaxtyping import Integer
from ml_collections import ConfigDict
import numpy as np

from jgen.data import cache
from jgen.data.files import partition
from jgen.data.spec import Annotation, Dataset, Spec, served_shape
from jgen.errors import UserError
from jgen.keys import key

SPLITS = partition.SPLITS
NEEDS = 'nothing: they are drawn'
SHAPES = ('square', 'ellipse', 'heart')
SCALES = np.linspace(0.5, 1, 6)
ORIENTATIONS = np.arange(40) * (2 * np.pi / 40)   # dSprites: linspace(0, 2 pi, 40), whose last equals its first
POSITIONS = np.linspace(0, 1, 32)
SIZES = (1, 3, 6, 40, 32, 32)           # values of each factor
NUM_IMAGES = int(np.prod(SIZES))        # 737,280

_VERSION = 1                            # of the drawing code
_PART = 1024                            # images drawn at a time
_STRIDE = 455_663                       # the number nearest to NUM_IMAGES / golden ratio that is coprime to NUM_IMAGES

# Shares of the image's side, at scale 1.
_HALF_SIDE = 0.15                       # of the square, and half the width of the heart
_ELLIPSE = (0.19953, 0.11266)           # semi-axes
_HEART_UNIT, _HEART_OFFSET = 0.6625 / 64, 1.44 / 64


def factors(orientations: np.ndarray) -> tuple[Annotation, ...]:
  """The six Annotations of dSprites and of this module, which differ only in their `orientations`, in radians."""
  return (
      Annotation('color', ('white',)),
      Annotation('shape', SHAPES),
      Annotation('scale', tuple(f'{scale:.1f}' for scale in SCALES)),
      Annotation('orientation', tuple(f'{angle:.1f} degrees' for angle in np.rad2deg(orientations))),
      Annotation('posX', tuple(f'{position:.3f}' for position in POSITIONS)),
      Annotation('posY', tuple(f'{position:.3f}' for position in POSITIONS)))


@dataclasses.dataclass(frozen=True)
class Keys:
  """The keys of config.data.sprites."""

  num_images: int = key(0, f'number of images, evenly spread over all {NUM_IMAGES:,}; 0 for all', at_least=0,
                        at_most=NUM_IMAGES)


def describe(section: ConfigDict) -> Spec:
  """One channel, three classes (the shapes); drawn at the requested size, not resized."""
  count = section.sprites.num_images
  if not 0 <= count <= NUM_IMAGES:
    raise UserError(f'config.data.sprites.num_images is {count}; expected 1 to {NUM_IMAGES:,}, or 0 for all')
  shape = served_shape(section, 1)
  if shape[0] != shape[1]:
    raise UserError('sprites are square images; leave config.data.image_width at 0')
  return Spec('sprites', shape, num_classes=3, label_names=SHAPES, annotations=factors(ORIENTATIONS),
              has_factors=True)


def load(section: ConfigDict) -> Dataset:
  """The images of `subset` that are in the splits, drawn once, then memory-mapped."""
  spec = describe(section)
  numbers, splits = subset(section.sprites.num_images or NUM_IMAGES), ', '.join(section.splits)
  chosen = numbers[partition.belong(numbers, section.splits)]
  if not len(chosen):
    raise UserError(f'none of the {len(numbers)} sprites is in {splits}; raise config.data.sprites.num_images')
  original = cache.Original((), len(chosen), _VERSION, functools.partial(_parts, chosen, section.image_size),
                            settings=partition.settings(section.splits))
  images, annotations = cache.prepared(section, spec, original)
  source = f'procedural: {splits}, {len(chosen):,} of the {NUM_IMAGES:,} sprites that jgen draws'
  return Dataset(spec, images, annotations[:, 1], source, annotations)


def subset(count: int) -> Integer[np.ndarray, ' n']:
  """Indices of `count` images, int64 [count], ascending, spread over all factors and their combinations.

  These are the first `count` terms of the sequence i * _STRIDE mod NUM_IMAGES, which visits every index once. Because
  the stride is near the golden ratio, it leaves no large gap at any count. A larger count only adds images.
  """
  return np.sort(np.arange(count, dtype=np.int64) * _STRIDE % NUM_IMAGES)


def classes(numbers: Integer[np.ndarray, ' n']) -> Integer[np.ndarray, 'n 6']:
  """Factor classes int64 [n, 6] of the images with these indices; the last factor changes fastest, as in dSprites."""
  return np.stack(np.unravel_index(numbers, SIZES), axis=-1)


def render(shapes: np.ndarray, scales: np.ndarray, angles: np.ndarray, x: np.ndarray, y: np.ndarray,
           size: int) -> np.ndarray:
  """Draws white sprites on black; a pixel is white if its centre is inside the sprite, without antialiasing.

  Args:
    shapes: int [n], index into SHAPES
    scales: float [n], 1 for the largest
    angles: float [n], radians, counterclockwise
    x, y: float [n], 0 to 1, from left to right and from top to bottom; the sprite's centre is at least a quarter of
      the side away from every border
    size: side of the images in pixels

  Returns:
    uint8 [n, size, size, 1], 0 or 255
  """
  centres = (np.arange(size) + 0.5) / size
  right = centres - (0.25 + 0.5 * x)[:, None]
  down = (centres - (0.25 + 0.5 * y)[:, None])[..., None]
  cos, sin = ((f(angles) / scales)[:, None] for f in (np.cos, np.sin))
  along = (cos * right)[:, None] - sin[..., None] * down    # in the sprite's coordinates, [n, size, size]
  across = (sin * right)[:, None] + cos[..., None] * down
  white = np.empty(along.shape, bool)
  for shape, inside in enumerate((_in_square, _in_ellipse, _in_heart)):
    chosen = shapes == shape
    white[chosen] = inside(along[chosen], across[chosen])
  return (white * np.uint8(255))[..., None]


def _parts(numbers, size):
  for start in range(0, len(numbers), _PART):
    factors = classes(numbers[start:start + _PART])
    _, shape, scale, orientation, x, y = factors.T
    yield render(shape, SCALES[scale], ORIENTATIONS[orientation], POSITIONS[x], POSITIONS[y], size), factors


def _in_square(right, down):
  return np.maximum(abs(right), abs(down)) <= _HALF_SIDE


def _in_ellipse(right, down):
  return (right / _ELLIPSE[0])**2 + (down / _ELLIPSE[1])**2 <= 1


def _in_heart(right, down):
  """Inside of x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t: between its branches cos t > 0 and < 0."""
  sin = np.cbrt(np.clip(right / _HALF_SIDE, -1, 1))
  cos = np.sqrt(1 - sin**2)
  cos2 = 1 - 2 * sin**2
  even = 5 * cos2 + 2 * cos2**2 - 1       # 5 cos 2t + cos 4t
  odd = 19 * cos - 8 * cos**3             # 13 cos t - 2 cos 3t
  height = -(down + _HEART_OFFSET) / _HEART_UNIT
  return (abs(right) <= _HALF_SIDE) & (abs(height + even) <= odd)
