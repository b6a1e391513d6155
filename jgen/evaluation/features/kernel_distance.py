"""The kernel distance between two sets of features, KID on the Inception's: Binkowski et al. 2018."""

import dataclasses

from jaxtyping import Float
import numpy as np
import scipy

from jgen.errors import UserError

_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A mean over independent blocks, with its 95 % confidence interval."""

  mean: float
  low: float
  high: float
  num_blocks: int
  block_size: int


def squared_mmd(first: Float[np.ndarray, 'M F'], second: Float[np.ndarray, 'N F']) -> float:
  """Unbiased squared maximum mean discrepancy of features [M, F] and [N, F]; can be below 0.

  The kernel is (x . y / F + 1)^3; Gretton et al. 2012, eq. 3; Binkowski et al. 2018, sec. 4.
  """
  first, second = (np.asarray(features, np.float64) for features in (first, second))
  return _mean_off_diagonal(first) + _mean_off_diagonal(second) - 2 * _kernel(first, second).mean()


def _mean_off_diagonal(features):
  kernel, count = _kernel(features, features), len(features)
  return (kernel.sum() - np.trace(kernel)) / (count * (count - 1))


def _kernel(first, second):
  return (first @ second.T / first.shape[1] + 1)**3


def estimate(first: Float[np.ndarray, 'M F'], second: Float[np.ndarray, 'N G'], seed: int,
             block_size: int = 1_000) -> Estimate:
  """The squared MMD of features [M, F] and [N, F] as an `Estimate`.

  Both sets are shuffled and cut into disjoint blocks, so that the values of blocks are independent and
  Student's interval is valid; memory and time are linear in M and N. An incomplete block is left out.

  Args:
    first, second: features
    seed: of the shuffle
    block_size: features of each set in one block

  Raises:
    UserError: there are fewer than two blocks, or features differ in size.
  """
  if first.shape[1] != second.shape[1]:
    raise UserError(f'features have {first.shape[1]} and {second.shape[1]} dimensions; expected the same')
  num_blocks = min(len(first), len(second)) // block_size
  if num_blocks < 2:
    raise UserError(f'a kernel distance with an interval needs at least 2 blocks of {block_size:,} images; there are '
                    f'{len(first):,} and {len(second):,} images; use more, or smaller blocks')
  random = np.random.default_rng(seed)
  blocks = [random.permutation(len(features))[:num_blocks * block_size].reshape(num_blocks, block_size)
            for features in (first, second)]
  values = [squared_mmd(first[a], second[b]) for a, b in zip(*blocks, strict=True)]
  mean = float(np.mean(values))
  reach = float(scipy.stats.t.ppf((1 + _CONFIDENCE) / 2, num_blocks - 1) * np.std(values, ddof=1) / np.sqrt(num_blocks))
  return Estimate(mean, mean - reach, mean + reach, num_blocks, block_size)
