"""What the critic is to answer: smoothed, noisy and flipped labels."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jgen.keys import key
from jgen.shapes import Array, PRNGKey


@dataclasses.dataclass(frozen=True)
class Targets:
  """The weight with which an image is called real; the defaults are those of the losses as they are written.

  Smoothing: Salimans et al. 2016, sec. 3.4.
  """

  real: float = key(1., 'target for real images; below 1 the labels are smoothed on this side', at_least=0, at_most=1)
  generated: float = key(0., 'target for generated images; above 0 the labels are smoothed on this side', at_least=0,
                         at_most=1)
  noise: float = key(0., "half-width of the uniform noise on each image's target, which stays in [0, 1]", at_least=0,
                     at_most=1)
  flip_probability: float = key(0., "probability with which an image's target t becomes 1 - t", at_least=0, at_most=1)

  def draw(self, key: PRNGKey) -> Float[Array, ' 2']:
    """[2], in [0, 1]: the targets of one real and one generated image."""
    noise, flip = jax.random.split(key)
    shifts = self.noise * jax.random.uniform(noise, (2,), minval=-1., maxval=1.)
    targets = jnp.clip(jnp.array([self.real, self.generated]) + shifts, 0., 1.)
    return jnp.where(jax.random.bernoulli(flip, self.flip_probability, (2,)), 1. - targets, targets)
