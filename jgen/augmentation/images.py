"""Random flips, crops and rotations of the training images, computed on the device inside the training step.

The three compose into one affine map from the pixels of the result to positions in the image, so each image is
sampled only once, bilinearly, however many transformations are set. The random numbers depend on the seed, the step
and the image's position in the batch over all devices.
"""

from collections.abc import Callable
import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float
from ml_collections import ConfigDict

from jgen import keys
from jgen.keys import key
from jgen.parallel import AUGMENTATION, per_image
from jgen.shapes import Array, Image, PRNGKey, Scalar, Step


def unchanged(key: PRNGKey, step: Step, images: Float[Array, 'K B H W C']) -> Float[Array, 'K B H W C']:
  """The augmentation that does nothing, and adds nothing to the compiled step."""
  del key, step
  return images


def create(section: ConfigDict) -> Callable[[PRNGKey, Step, Array], Array]:
  """The function (key, step, images [K, B, H, W, C]) -> images that `config.augmentation` describes.

  Raises:
    UserError: a value is out of its range.
  """
  augmentation = keys.read(Augmentation, section, 'config.augmentation')
  return unchanged if augmentation == Augmentation() else augmentation


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """Random flips, crops and rotations; with the defaults, images are unchanged."""

  horizontal_flip: float = key(0., 'probability of a horizontal flip', at_least=0, at_most=1)
  smallest_crop: float = key(1., 'smallest side of a random crop, as a share of the image side; it is resized back',
                             at_least=0.01, at_most=1)
  largest_rotation: float = key(0., 'largest random rotation in degrees, in either direction', at_least=0, at_most=180)

  def __call__(self, key: PRNGKey, step: Step, images: Float[Array, 'K B H W C']) -> Float[Array, 'K B H W C']:
    """Augments float32 [K, B, H, W, C]; `key` is the run's key. Call it inside a function mapped over `AXIS`."""
    keys = jax.random.split(jax.random.fold_in(jax.random.fold_in(key, AUGMENTATION), step), len(images))
    height, width = images.shape[2:4]
    draw = functools.partial(self.draw, shape=(height, width))
    matrices, offsets = jax.vmap(lambda key: per_image(key, images.shape[1], draw))(keys)
    return jax.vmap(jax.vmap(sample_affine))(images, matrices, offsets)

  def draw(self, key: PRNGKey, shape: tuple[int, int]) -> tuple[Float[Array, '2 2'], Float[Array, ' 2']]:
    """A random map for an image of `shape` (H, W): its matrix [2, 2] and offset [2], see `sample_affine`."""
    flip, crop, place, turn = jax.random.split(key, 4)
    flipped = jax.random.bernoulli(flip, self.horizontal_flip)
    scale = jax.random.uniform(crop, minval=self.smallest_crop, maxval=1.)
    angle = jnp.deg2rad(jax.random.uniform(turn, minval=-self.largest_rotation, maxval=self.largest_rotation))
    free = (1 - scale) * jnp.array(shape) / 2   # largest offset from the centre that keeps the crop in the image
    offset = jax.random.uniform(place, (2,), minval=-1., maxval=1.) * free
    return affine(flipped, scale, angle), offset


def affine(flipped: Bool[Array, ''] | bool, scale: Scalar | float, angle: Scalar | float) -> Float[Array, '2 2']:
  """The matrix [2, 2], over (row, column), of a crop to `scale` of the side, a rotation by `angle` and a flip.

  The angle is in radians; the image content rotates clockwise, with row 0 at the top.
  """
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  mirror = jnp.where(flipped, -1., 1.)
  return scale * jnp.array([[cos, -sin * mirror], [sin, cos * mirror]])


def sample_affine(image: Image, matrix: Float[Array, '2 2'], offset: Float[Array, ' 2']) -> Image:
  """Bilinear samples of `image` [H, W, C] at c + offset + matrix (p - c) for each pixel p, where c is the centre.

  Coordinates are those of pixel centres, from 0, so c is ((H - 1) / 2, (W - 1) / 2). Beyond the border, the nearest
  border pixel is used.
  """
  shape = image.shape[:2]
  centre = (jnp.array(shape) - 1) / 2
  pixels = jnp.stack(jnp.meshgrid(*map(jnp.arange, shape), indexing='ij')) - centre[:, None, None]
  rows, columns = jnp.tensordot(matrix, pixels, 1, precision='highest') + (centre + offset)[:, None, None]
  sample = lambda channel: jax.scipy.ndimage.map_coordinates(channel, (rows, columns), order=1, mode='nearest')
  return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)
