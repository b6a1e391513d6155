"""The critic's targets: smoothed, noisy and flipped labels."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jgen.keys import key
from jgen.shapes import Array, PRNGKey


@dataclasses.dataclass(frozen=True)
class Targets:
  """Targets of real and generated images, in [0, 1]; the defaults leave the losses unchanged.

  Label smoothing: Salimans et al. 2016, sec. 3.4.
  """

  real: float = key(1., 'target for real images; below 1 for label smoothing', at_least=0, at_most=1)
  generated: float = key(0., 'target for generated images; above 0 for label smoothing', at_least=0, at_most=1)
  noise: float = key(0., "half-width of the uniform noise on each image's target, clipped to [0, 1]", at_least=0,
                     at_most=1)
  flip_probability: float = key(0., "probability with which an image's target t becomes 1 - t", at_least=0, at_most=1)

  def draw(self, key: PRNGKey) -> Float[Array, ' 2']:
    """Targets [2], in [0, 1], of one real and one generated image."""
    noise, flip = jax.random.split(key)
    shifts = self.noise * jax.random.uniform(noise, (2,), minval=-1., maxval=1.)
    targets = jnp.clip(jnp.array([self.real, self.generated]) + shifts, 0., 1.)
    return jnp.where(jax.random.bernoulli(flip, self.flip_probability, (2,)), 1. - targets, targets)
