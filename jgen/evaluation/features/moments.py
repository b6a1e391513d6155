"""Mean and covariance of features that come batch by batch, whatever the size of the batches."""

import dataclasses
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from jgen.shapes import Array


@dataclasses.dataclass(frozen=True)
class Moments:
  """Of N features of size F, in float64 on the host; the memory does not grow with N."""

  count: int                            # N
  mean: np.ndarray                      # [F]
  scatter: np.ndarray                   # [F, F]: sum over the features of the outer product of what is off the mean

  @property
  def covariance(self) -> Float[np.ndarray, 'F F']:
    """[F, F], divided by N - 1, as numpy.cov and every FID do."""
    return self.scatter / (self.count - 1)

  def __add__(self, other: 'Moments') -> 'Moments':
    """Moments of both sets together: Chan, Golub and LeVeque 1979, eq. 2.1, for vectors."""
    if not other.count:
      return self
    count = self.count + other.count
    step = other.mean - self.mean
    between = np.outer(step, step) * (self.count * other.count / count)
    return Moments(count, self.mean + step * (other.count / count), self.scatter + other.scatter + between)


def none(size: int) -> Moments:
  """Moments of no features of `size` F."""
  return Moments(0, np.zeros(size), np.zeros((size, size)))


def of_features(features: Float[np.ndarray, 'N F']) -> Moments:
  """Moments of features [N, F] that are all on the host."""
  features = np.asarray(features, np.float64)
  mean = features.mean(axis=0)
  centred = features - mean
  return Moments(len(features), mean, centred.T @ centred)


def of_batch(features: Float[Array, 'B F'], mask: Float[Array, ' B']) -> dict[str, Array]:
  """What the device computes of one batch, for `collect`, in float32.

  {'count': [], 'centre': [F], near the mean, 'off': [F], the sum of what is off the centre, 'scatter': [F, F],
  the sum of the outer products of what is off it}.

  Args:
    features: float32 [B, F]
    mask: [B], 1 where the row counts and 0 where it only fills the batch
  """
  count = mask.sum(dtype=jnp.float32)
  present = mask[:, None] > 0
  features = jnp.where(present, features, 0)
  # Centred first: the difference of large sums of squares would lose what float32 has of digits. The centre is short
  # of digits by intent: compilers keep more of a mean where they subtract it than where they return it.
  centre = lax.reduce_precision(features.sum(axis=0) / jnp.maximum(count, 1), exponent_bits=8, mantissa_bits=12)
  centred = jnp.where(present, features - centre, 0)
  scatter = jnp.matmul(centred.T, centred, precision=lax.Precision.HIGHEST)
  return {'count': count, 'centre': centre, 'off': centred.sum(axis=0), 'scatter': scatter}


def collect(total: Moments, batch: Any) -> Moments:
  """The Moments `total` and those of `of_batch`'s result, which may have any leading axes, one entry a device."""
  batch = jax.tree.map(lambda x: np.asarray(x, np.float64), batch)
  size = batch['centre'].shape[-1]
  parts = zip(batch['count'].ravel(), batch['centre'].reshape(-1, size), batch['off'].reshape(-1, size),
              batch['scatter'].reshape(-1, size, size), strict=True)
  for count, centre, off, scatter in parts:
    if count:
      total = total + Moments(int(count), centre + off / count, scatter - np.outer(off, off) / count)
  return total
