"""Mean and covariance of features that come batch by batch, whatever the size of the batches."""

import dataclasses

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Moments:
  """Of N features of size F, in float64 on the host; the memory does not grow with N."""

  count: int                            # N
  mean: np.ndarray                      # [F]
  scatter: np.ndarray                   # [F, F]: sum over the features of the outer product of what is off the mean

  @property
  def covariance(self):
    """[F, F], divided by N - 1, as numpy.cov and every FID do."""
    return self.scatter / (self.count - 1)

  def __add__(self, other):
    """Moments of both sets together: Chan, Golub and LeVeque 1979, eq. 2.1, for vectors."""
    if not other.count:
      return self
    count = self.count + other.count
    step = other.mean - self.mean
    between = np.outer(step, step) * (self.count * other.count / count)
    return Moments(count, self.mean + step * (other.count / count), self.scatter + other.scatter + between)


def none(size):
  """Moments of no features of `size` F."""
  return Moments(0, np.zeros(size), np.zeros((size, size)))


def of_features(features):
  """Moments of features [N, F] that are all on the host."""
  features = np.asarray(features, np.float64)
  mean = features.mean(axis=0)
  centred = features - mean
  return Moments(len(features), mean, centred.T @ centred)


def of_batch(features, mask):
  """What the device computes of one batch, for `collect`: float32 (count [], mean [F], scatter [F, F]).

  Args:
    features: float32 [B, F]
    mask: [B], 1 where the row counts and 0 where it only fills the batch
  """
  count = mask.sum(dtype=jnp.float32)
  present = mask[:, None] > 0
  features = jnp.where(present, features, 0)
  mean = features.sum(axis=0) / jnp.maximum(count, 1)
  # Centred first: the difference of large sums of squares would lose what float32 has of digits.
  centred = jnp.where(present, features - mean, 0)
  # The mean in float32 is off by its last digit; what is left of it is carried along.
  rest = centred.sum(axis=0)
  scatter = jnp.matmul(centred.T, centred, precision=lax.Precision.HIGHEST)
  return {'count': count, 'mean': mean, 'rest': rest, 'scatter': scatter}


def collect(total, batch):
  """The Moments `total` and those of `of_batch`'s result, which may have any leading axes, one entry a device."""
  batch = jax.tree.map(np.asarray, batch)
  size = batch['mean'].shape[-1]
  parts = zip(batch['count'].ravel(), batch['mean'].reshape(-1, size), batch['rest'].reshape(-1, size),
              batch['scatter'].reshape(-1, size, size), strict=True)
  for count, mean, rest, scatter in parts:
    if count:
      shift = rest.astype(np.float64) / count
      exact = scatter.astype(np.float64) - count * np.outer(shift, shift)
      total = total + Moments(int(count), mean.astype(np.float64) + shift, exact)
  return total
