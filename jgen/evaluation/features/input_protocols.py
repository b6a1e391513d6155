"""Preprocessing of images for the Inception. Scores under different protocols are not comparable.

The names are those of `PROTOCOLS`:
  tf1    TensorFlow 1's `resize_bilinear`, as in the first FID (Heusel et al. 2017): pixel i samples i * scale, no
         half-pixel offset, no antialiasing; (x - 128) / 128
  torch  `torch.nn.functional.interpolate`, bilinear, half-pixel centres, no antialiasing; 2 x / 255 - 1
  clean  Pillow's antialiased bicubic on each channel as floats, clipped (Parmar et al. 2022); (x - 128) / 128
"""

from collections.abc import Callable
import dataclasses
from typing import Any

from jax import lax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jgen.errors import UserError
from jgen.networks.inception.network import IMAGE_SIZE


@dataclasses.dataclass(frozen=True)
class Protocol:
  """Two steps from uint8 [n, H, W, C], C 1 or 3, to float32 [n, size, size, 3], size 299 by default."""

  on_host: Callable                     # (images, size=) -> numpy array [n, ...], which is sent to the device
  on_device: Callable                   # (that array, size=) -> input of the network; can be compiled


def colored(images: Any) -> Any:
  """Images [n, H, W, 3] from [n, H, W, C]: a grey channel is repeated three times.

  Raises UserError if C is not 1 or 3.
  """
  channels = images.shape[-1]
  if channels not in (1, 3):
    raise UserError(f'images have {channels} channels; the Inception was trained on 3, and 1 is repeated')
  return images if channels == 3 else images.repeat(3, axis=-1)


def _as_they_are(images, size=IMAGE_SIZE):
  del size                              # resized on the device
  return images


def _tf1(images, size=IMAGE_SIZE):
  return (_resized(images, size, _corner_aligned) - 128) / 128


def _torch(images, size=IMAGE_SIZE):
  return 2 * _resized(images, size, _half_pixel) / 255 - 1


def _corner_aligned(out, scale):
  return out * scale


def _half_pixel(out, scale):
  return np.maximum((out + 0.5) * scale - 0.5, 0)


def _resized(images, size, positions):
  """float32 [n, size, size, 3] in [0, 255], bilinear."""
  down, right = (_bilinear_matrix(side, size, positions) for side in images.shape[1:3])
  resized = jnp.einsum('oh,nhwc,pw->nopc', down, images.astype(jnp.float32), right, precision=lax.Precision.HIGHEST)
  return colored(resized)


def _bilinear_matrix(side, size, positions):
  """float32 [size, side]: each row weighs the two pixels nearest to the sampling point of an output pixel."""
  at = positions(np.arange(size), side / size)
  lower = np.floor(at).astype(int)
  upper = np.minimum(lower + 1, side - 1)
  matrix = np.zeros((size, side))
  np.add.at(matrix, (np.arange(size), lower), 1 - (at - lower))
  np.add.at(matrix, (np.arange(size), upper), at - lower)
  return matrix.astype(np.float32)


def _pillow_bicubic(images, size=IMAGE_SIZE):
  """float32 [n, size, size, C] in [0, 255]."""
  resized = np.empty((len(images), size, size, images.shape[-1]), np.float32)
  for image, out in zip(images, resized, strict=True):
    for channel in range(images.shape[-1]):
      plane = Image.fromarray(image[..., channel].astype(np.float32))
      out[..., channel] = plane.resize((size, size), Image.Resampling.BICUBIC)
  return resized.clip(0, 255)


def _scaled(images, size=IMAGE_SIZE):
  del size                              # resized on the host
  return (colored(images) - 128) / 128


PROTOCOLS = {
    'tf1': Protocol(_as_they_are, _tf1),
    'torch': Protocol(_as_they_are, _torch),
    'clean': Protocol(_pillow_bicubic, _scaled),
}
