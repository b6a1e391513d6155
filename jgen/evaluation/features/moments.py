"""Mean and covariance of features, accumulated over batches of any size."""

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
  """Moments of N features of size F, in float64 on the host; memory does not grow with N."""

  count: int                            # N
  mean: np.ndarray                      # [F]
  scatter: np.ndarray                   # [F, F]: sum of the outer products of deviations from the mean

  @property
  def covariance(self) -> Float[np.ndarray, 'F F']:
    """The covariance [F, F], divided by N - 1 as in numpy.cov and in implementations of the FID."""
    return self.scatter / (self.count - 1)

  def __add__(self, other: 'Moments') -> 'Moments':
    """Moments of the union of both sets: Chan, Golub and LeVeque 1979, eq. 2.1, for vectors."""
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
  """The part for `collect` that the device computes for one batch, in float32.

  {'count': [], 'centre': [F], near the mean, 'off': [F], the sum of deviations from the centre, 'scatter': [F, F],
  the sum of their outer products}.

  Args:
    features: float32 [B, F]
    mask: [B], 1 where the row counts and 0 where it only fills the batch
  """
  count = mask.sum(dtype=jnp.float32)
  present = mask[:, None] > 0
  features = jnp.where(present, features, 0)
  # Centred first: a difference of large sums of squares would lose the precision of float32. The centre is rounded
  # on purpose: compilers may use a more precise mean in the subtraction than the one that is returned.
  centre = lax.reduce_precision(features.sum(axis=0) / jnp.maximum(count, 1), exponent_bits=8, mantissa_bits=12)
  centred = jnp.where(present, features - centre, 0)
  scatter = jnp.matmul(centred.T, centred, precision=lax.Precision.HIGHEST)
  return {'count': count, 'centre': centre, 'off': centred.sum(axis=0), 'scatter': scatter}


def collect(total: Moments, batch: Any) -> Moments:
  """The Moments `total` and those of `of_batch`'s result, with any leading axes, one entry per device."""
  batch = jax.tree.map(lambda x: np.asarray(x, np.float64), batch)
  size = batch['centre'].shape[-1]
  parts = zip(batch['count'].ravel(), batch['centre'].reshape(-1, size), batch['off'].reshape(-1, size),
              batch['scatter'].reshape(-1, size, size), strict=True)
  for count, centre, off, scatter in parts:
    if count:
      total = total + Moments(int(count), centre + off / count, scatter - np.outer(off, off) / count)
  return total
