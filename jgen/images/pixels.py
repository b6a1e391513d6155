"""Conversion between uint8 pixels and the networks' floats."""

from typing import overload

import jax.numpy as jnp
from jaxtyping import Float, UInt8
import numpy as np

from jgen.shapes import Array


@overload
def to_float(pixels: UInt8[np.ndarray, '*shape']) -> Float[np.ndarray, '*shape']: ...
@overload
def to_float(pixels: UInt8[Array, '*shape']) -> Float[Array, '*shape']: ...
def to_float(pixels: UInt8[Array | np.ndarray, '*shape']) -> Float[Array | np.ndarray, '*shape']:
  """Converts pixels in [0, 255] to float32 in [-1, 1], on the host or on a device."""
  return pixels.astype(jnp.float32) / 127.5 - 1.


def to_pixels(images: Float[Array, '*shape']) -> UInt8[Array, '*shape']:
  """Converts floats in [-1, 1] to uint8 in [0, 255], rounded; values outside are clipped."""
  return jnp.clip(jnp.round((images + 1.) * 127.5), 0, 255).astype(jnp.uint8)
