"""The terms of a VQ-VAE's objective (van den Oord et al. 2017, eq. 3), and the perplexity of its codes.

z_e, the encoder's output, and z_q, the nearest codes, are [B, h, w, c]; every term is a sum over an image, [B].
"""

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from jgen.losses.likelihoods import cross_entropy, sigmoid_mean, sum_over_values
from jgen.shapes import Array, Map, PerImage, Scalar, Values


def codebook_loss(latents: Map, quantized: Map) -> PerImage:
  """|sg[z_e] - z_q|^2, whose gradient reaches only the codebook."""
  return sum_over_values(jnp.square(lax.stop_gradient(latents) - quantized))


def commitment_loss(latents: Map, quantized: Map) -> PerImage:
  """|z_e - sg[z_q]|^2, whose gradient reaches only the encoder."""
  return sum_over_values(jnp.square(latents - lax.stop_gradient(quantized)))


def squared_error(output: Values, images: Values) -> PerImage:
  """Sum over the pixels of (x - x')^2, [B], images in [-1, 1]; the output is the logit of white."""
  return sum_over_values(jnp.square(images - sigmoid_mean(output)))


RECONSTRUCTIONS = {'cross_entropy': cross_entropy, 'squared_error': squared_error}


def perplexity(shares: Float[Array, ' K']) -> Scalar:
  """Perplexity, [], of the usage shares [K] of the codes, which sum to 1: 1 to K, the effective number of codes."""
  return jnp.exp(jax.scipy.special.entr(shares).sum())
