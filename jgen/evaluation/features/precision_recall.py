"""Precision, recall, density and coverage of generated features, by balls to the k-th nearest neighbour.

Distances are Euclidean, in float64; only a few megabytes of them are in memory at once.
"""

from jaxtyping import Float
import numpy as np

from jgen.errors import UserError

_TILE = 2**22                           # distances in memory at a time: 32 MB


def precision_recall(real: Float[np.ndarray, 'M F'], generated: Float[np.ndarray, 'N F'],
                     k: int = 3) -> dict[str, float]:
  """{'precision', 'recall'}: Kynkaanniemi et al. 2019, eq. 2.

  Precision is the share of generated features [N, F] in a ball around some real one [M, F] that reaches to its
  k-th nearest real neighbour, which it includes; recall is the same with the sets exchanged.

  Raises UserError as `radii` does.
  """
  return {'precision': float(_held(generated, real, radii(real, k), np.less_equal)[1].mean()),
          'recall': float(_held(real, generated, radii(generated, k), np.less_equal)[1].mean())}


def density_coverage(real: Float[np.ndarray, 'M F'], generated: Float[np.ndarray, 'N F'],
                     k: int = 5) -> dict[str, float]:
  """{'density', 'coverage'}: Naeem et al. 2020, eq. 3 and 4, as the authors' package `prdc` computes them.

  A ball reaches to the k-th nearest real neighbour, which it does not include: two equal sets have density 1. Density
  is the number of real balls that hold a generated feature [N, F], on average, divided by k; it can exceed 1. Coverage
  is the share of real balls that hold a generated feature.

  Raises UserError as `radii` does.
  """
  total, _, covered = _held(generated, real, radii(real, k), np.less)
  return {'density': total / (k * len(generated)), 'coverage': float(covered.mean())}


def radii(features: Float[np.ndarray, 'N F'], k: int) -> Float[np.ndarray, ' N']:
  """Distance from each feature [N, F] to its k-th nearest other one, float64 [N].

  Raises UserError if there is no k-th neighbour.
  """
  if len(features) <= k:
    raise UserError(f'the {k}-th nearest neighbour needs at least {k + 1} images; there are {len(features)}')
  # Entry 0 of the sorted distances is the feature itself. A copy, since a view would keep all the distances.
  return np.concatenate([np.partition(distances, k)[:, k].copy() for distances in _rows(features, features)])


def _held(points, centres, reach, within):
  """Which `points` [N, F] lie in the balls of radius `reach` [M] around `centres` [M, F].

  `within(distances, reach)` says whether they do: np.less, or np.less_equal with the surface.

  Returns:
    (number of pairs, bool [N]: points in a ball, bool [M]: balls with a point)
  """
  total, inside, covered = 0, [], np.zeros(len(centres), bool)
  for distances in _rows(points, centres):
    contained = within(distances, reach)
    total += int(contained.sum())
    inside.append(contained.any(axis=1))
    covered |= contained.any(axis=0)
  return total, np.concatenate(inside), covered


def _rows(points, centres):
  """The distances [n, M] of points [N, F] to the centres [M, F], n points at a time."""
  centres = np.asarray(centres, np.float64)
  step = max(1, _TILE // len(centres))
  for start in range(0, len(points), step):
    yield _distances(np.asarray(points[start:start + step], np.float64), centres)


def _distances(points, centres):
  squares = np.square(points).sum(axis=1)[:, None] + np.square(centres).sum(axis=1) - 2 * points @ centres.T
  return np.sqrt(np.maximum(squares, 0))
