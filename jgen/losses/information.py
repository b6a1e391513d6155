"""Latent codes of InfoGAN, and the lower bound on their mutual information with images (Chen et al. 2016)."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from jgen.shapes import Array, PerImage, PRNGKey

# Lower limit of Q's log variance of a continuous code: a standard deviation of 0.05 for codes in [-1, 1]. Without it, a
# generator whose images show the code exactly would increase the bound, and Q's gradients, without limit.
MIN_LOG_VARIANCE = -6.


@dataclasses.dataclass(frozen=True)
class LatentCodes:
  """Codes of an image, [M + N] float32: M uniform integers in [0, V), then N uniform numbers in [-1, 1]."""

  categorical: int                      # M
  values: int                           # V
  continuous: int                       # N

  @property
  def size(self) -> int:
    return self.categorical + self.continuous

  @property
  def num_outputs(self) -> int:
    """The number of Q's outputs: logits [M, V], means [N] and log variances [N], in this order."""
    return self.categorical * self.values + 2 * self.continuous

  @property
  def entropy(self) -> float:
    """The joint entropy of the categorical codes in nats, the maximum of their mutual information."""
    return self.categorical * float(np.log(self.values))

  def draw(self, key: PRNGKey) -> Float[Array, ' codes']:
    """Codes [M + N] from their prior."""
    categorical_key, continuous_key = jax.random.split(key)
    return jnp.concatenate([
        jax.random.randint(categorical_key, (self.categorical,), 0, self.values).astype(jnp.float32),
        jax.random.uniform(continuous_key, (self.continuous,), minval=-1., maxval=1.)])

  def as_input(self, codes: Float[Array, 'B codes']) -> Float[Array, 'B inputs']:
    """The generator's input [B, M V + N] for codes [B, M + N]: categorical codes one-hot, then continuous codes."""
    numbers, continuous = self.split(codes)
    return jnp.concatenate([jax.nn.one_hot(numbers, self.values).reshape(codes.shape[0], -1), continuous], axis=-1)

  def split(self, codes: Float[Array, 'B codes']) -> tuple[Int[Array, 'B M'], Float[Array, 'B N']]:
    """Codes split into (categorical int32 [B, M], continuous float32 [B, N])."""
    return codes[:, :self.categorical].astype(jnp.int32), codes[:, self.categorical:]

  def logits(self, outputs: Float[Array, 'B outputs']) -> Float[Array, 'B M V']:
    """The logits [B, M, V] of the categorical codes among Q's outputs."""
    return outputs[:, :self.categorical * self.values].reshape(len(outputs), self.categorical, self.values)

  def categorical_information(self, outputs: Float[Array, 'B outputs'], codes: Float[Array, 'B codes']) -> PerImage:
    """H(c) + log q(c | x) in nats, [B], summed over the categorical codes; eq. 5 is its expectation."""
    numbers, _ = self.split(codes)
    log_q = jnp.take_along_axis(jax.nn.log_softmax(self.logits(outputs)), numbers[..., None], axis=-1)
    return self.entropy + log_q.sum((1, 2))

  def continuous_information(self, outputs: Float[Array, 'B outputs'], codes: Float[Array, 'B codes']) -> PerImage:
    """H(c) + log q(c | x) in nats, [B], summed over the continuous codes.

    The differential entropy of each is log 2; q is a Gaussian.
    """
    _, continuous = self.split(codes)
    mean, log_variance = jnp.split(outputs[:, self.categorical * self.values:], 2, axis=1)
    log_variance = jnp.maximum(log_variance, MIN_LOG_VARIANCE)
    log_q = -(jnp.log(2 * jnp.pi) + log_variance + (continuous - mean)**2 * jnp.exp(-log_variance)) / 2
    return (jnp.log(2.) + log_q).sum(1)

  def accuracy(self, outputs: Float[Array, 'B outputs'], codes: Float[Array, 'B codes']) -> PerImage:
    """The share [B] of an image's categorical codes that Q predicts correctly."""
    numbers, _ = self.split(codes)
    return (self.logits(outputs).argmax(-1) == numbers).mean(1, dtype=jnp.float32)
