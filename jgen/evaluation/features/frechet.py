"""The Frechet distance between two Gaussians, without the square root of a matrix.

With factors A [R, F] and B [S, F] of the covariances, A^T A and B^T B, the eigenvalues of their product are the
squared singular values of A B^T. So tr (A^T A B^T B)^(1/2) is the sum of those singular values: real, not below
zero, and exact also for covariances without full rank. Fewer features than dimensions
are their own factor, up to centring.
"""

import dataclasses

from jaxtyping import Float
import numpy as np

from jgen.errors import UserError
from jgen.evaluation.features.moments import Moments

MIN_COUNT = 2
FEW = 10_000                            # images below which a distance is strongly biased, with a warning
MIN_EXTRAPOLATED = 5_000
_SUBSETS = 15                           # sizes for the fit of a line through the distances


@dataclasses.dataclass(frozen=True)
class Gaussian:
  """A normal distribution, and the number of features that it was estimated from."""

  count: int
  mean: np.ndarray                      # float64 [F]
  factor: np.ndarray                    # float64 [R, F], R at most F; covariance = factor^T factor


def of_features(features: Float[np.ndarray, 'N F']) -> Gaussian:
  """The Gaussian with the mean and covariance of features [N, F]; exact and cheap if N is below F.

  Raises UserError for fewer than 2 features, or if a value is not finite.
  """
  features = _checked(features)
  mean = features.mean(axis=0)
  factor = (features - mean) / np.sqrt(len(features) - 1)
  if len(factor) > factor.shape[1]:
    factor = _factor(factor.T @ factor)
  return Gaussian(len(features), mean, factor)


def of_moments(moments: Moments) -> Gaussian:
  """The Gaussian of `jgen.evaluation.features.moments.Moments`. Raises UserError as `of_features` does."""
  if moments.count < MIN_COUNT:
    raise UserError(f'a Frechet distance needs at least {MIN_COUNT} images; there are {moments.count}')
  if not (np.isfinite(moments.mean).all() and np.isfinite(moments.scatter).all()):
    raise UserError('features are not all finite; images or weights hold NaN')
  return Gaussian(moments.count, moments.mean, _factor(moments.covariance))


def distance(first: Gaussian, second: Gaussian) -> float:
  """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)): Dowson and Landau 1982; Heusel et al. 2017, eq. 6; not below 0."""
  if first.mean.shape != second.mean.shape:
    raise UserError(f'features have {len(first.mean)} and {len(second.mean)} dimensions; expected the same')
  overlap = np.linalg.svd(first.factor @ second.factor.T, compute_uv=False).sum()
  squares = sum(np.square(a).sum() for a in (first.mean - second.mean, first.factor, second.factor))
  return max(float(squares - 2 * overlap), 0.)


def extrapolated(features: Float[np.ndarray, 'N F'], reference: Gaussian, seed: int) -> float:
  """The distance to the Gaussian `reference` at infinitely many features: Chong and Forsyth 2020.

  The distance is linear in 1 / N; a line fitted at 15 sizes, with random features, is extrapolated to 0. The
  sizes range from 5,000, or half of fewer than 10,000, to all.

  Args:
    features: [N, F]
    reference: a Gaussian of many features
    seed: of the draws

  Raises:
    UserError: N is below 5,000.
  """
  if len(features) < MIN_EXTRAPOLATED:
    raise UserError(f'extrapolation to infinitely many images starts from {MIN_EXTRAPOLATED:,}; there are '
                    f'{len(features):,}')
  random = np.random.default_rng(seed)
  sizes = np.linspace(min(MIN_EXTRAPOLATED, len(features) // 2), len(features), _SUBSETS).astype(int)
  distances = [distance(of_features(features[random.choice(len(features), size, replace=False)]), reference)
               for size in sizes]
  return float(np.polynomial.Polynomial.fit(1 / sizes, distances, 1)(0))


def warning(count: int) -> str:
  """A warning about a distance of `count` images; '' if they are enough."""
  if count >= FEW:
    return ''
  return (f'{count:,} images are few: the distance is biased upwards, the more the fewer there are; compare it '
          f'only with distances of as many images, or use {FEW:,}')


def _factor(covariance):
  values, vectors = np.linalg.eigh(covariance)
  # The rounding error of an eigenvalue 0 would enter as its square root, up to 1e8 times as large.
  nonzero = values >= len(values) * np.finfo(np.float64).eps * max(values[-1], 0)
  return np.sqrt(values[nonzero])[:, None] * vectors[:, nonzero].T


def _checked(features):
  features = np.asarray(features, np.float64)
  if len(features) < MIN_COUNT:
    raise UserError(f'a Frechet distance needs at least {MIN_COUNT} images; there are {len(features)}')
  if not np.isfinite(features).all():
    raise UserError('features are not all finite; images or weights hold NaN')
  return features
