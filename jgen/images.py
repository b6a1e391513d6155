"""Between the pixels of files and the numbers that networks see."""

import jax.numpy as jnp


def to_float(pixels):
  """uint8 [0, 255] to float32 [-1, 1]."""
  return pixels.astype(jnp.float32) / 127.5 - 1.


def to_pixels(images):
  """float32 [-1, 1] to uint8 [0, 255] by this fixed map; what lies outside is clipped."""
  return jnp.clip(jnp.round((images + 1.) * 127.5), 0, 255).astype(jnp.uint8)
