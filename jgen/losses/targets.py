"""What the critic is to answer: smoothed, noisy and flipped labels."""

import dataclasses

import jax
import jax.numpy as jnp

from jgen.errors import UserError


@dataclasses.dataclass(frozen=True)
class Targets:
  """The weight with which an image is called real; the defaults are those of the losses as they are written.

  Smoothing: Salimans et al. 2016, sec. 3.4.

  Raises:
    UserError: a number outside of [0, 1].
  """

  real: float = 1.
  generated: float = 0.
  noise: float = 0.                     # half-width of what is added, uniformly, to each image's target
  flip_probability: float = 0.          # with which an image's target t becomes 1 - t

  def __post_init__(self):
    for name, value in dataclasses.asdict(self).items():
      if not 0 <= value <= 1:
        raise UserError(f'config.model.critic_targets.{name} is {value}; expected 0 to 1')

  def draw(self, key):
    """[2], in [0, 1]: the targets of one real and one generated image."""
    noise, flip = jax.random.split(key)
    shifts = self.noise * jax.random.uniform(noise, (2,), minval=-1., maxval=1.)
    targets = jnp.clip(jnp.array([self.real, self.generated]) + shifts, 0., 1.)
    return jnp.where(jax.random.bernoulli(flip, self.flip_probability, (2,)), 1. - targets, targets)
