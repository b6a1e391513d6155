"""The terms of a VQ-VAE's objective (van den Oord et al. 2017, eq. 3), and how evenly its codes are used.

Maps z_e, what the encoder gives, and z_q, the nearest codes, are [B, h, w, c]; every term is a sum over an image, [B].
"""

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from jgen.losses.likelihoods import cross_entropy, sigmoid_mean, sum_over_values
from jgen.shapes import Array, Map, PerImage, Scalar, Values


def codebook_loss(latents: Map, quantized: Map) -> PerImage:
  """|sg[z_e] - z_q|^2: moves the codebook alone."""
  return sum_over_values(jnp.square(lax.stop_gradient(latents) - quantized))


def commitment_loss(latents: Map, quantized: Map) -> PerImage:
  """|z_e - sg[z_q]|^2: moves the encoder alone."""
  return sum_over_values(jnp.square(latents - lax.stop_gradient(quantized)))


def squared_error(output: Values, images: Values) -> PerImage:
  """Sum over the pixels of (x - x')^2, images in [-1, 1]; the output is the logit of white, as for the entropy."""
  return sum_over_values(jnp.square(images - sigmoid_mean(output)))


RECONSTRUCTIONS = {'cross_entropy': cross_entropy, 'squared_error': squared_error}


def perplexity(shares: Float[Array, ' K']) -> Scalar:
  """[]: how many codes would be as hard to guess were they used evenly, 1 to K, for shares [K] that sum to 1."""
  return jnp.exp(jax.scipy.special.entr(shares).sum())
