"""Spectral normalisation of kernels (Miyato et al. 2018)."""

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from jgen.shapes import Array


class SpectralNorm(nn.Module):
  """Divides a kernel W, as a matrix [outputs, all other axes], by its largest singular value; alg. 1 of the paper.

  Each call in training updates `u` [outputs], in the collection `spectral_norm`, by one power iteration; a call in
  evaluation does not. The singular value is u^T W v for the unit vector v along W^T u, as in PyTorch. Only the initial
  u is random, so u is the same on all devices.
  """

  train: bool
  axis: int                             # the kernel's axis of outputs

  @nn.compact
  def __call__(self, kernel: Float[Array, '*shape']) -> Float[Array, '*shape']:
    matrix = jnp.moveaxis(kernel, self.axis, 0).reshape(kernel.shape[self.axis], -1)
    u = self.variable('spectral_norm', 'u', lambda: unit(jax.random.normal(self.make_rng('params'), matrix.shape[:1])))
    fixed = lax.stop_gradient(matrix)
    if self.train:
      u.value = unit(times(fixed, unit(times(u.value, fixed))))
    v = unit(times(u.value, fixed))
    return kernel / times(times(u.value, matrix), v)


def times(a: Array, b: Array) -> Array:
  return jnp.matmul(a, b, precision='highest')


def unit(vector: Float[Array, ' n']) -> Float[Array, ' n']:
  """The vector scaled to length 1; 1e-12 keeps a vector of zeros finite, as in PyTorch."""
  return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)
