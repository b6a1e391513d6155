"""Latents of samples, which depend only on the seed and the sample's number, and operations on them.

Sample 17 of seed 0 has the same latents in any part of any size and on any number of devices.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools

from jaxtyping import Float
import numpy as np

from jgen.losses.information import LatentCodes

BLOCK = 128                             # rows drawn at a time; changing it changes the latents
_CODES = 2**32                          # added to the number of a block, so that codes and latents are independent


@dataclasses.dataclass(frozen=True)
class Rows:
  """An array [count, size] whose rows are drawn on access, to save memory."""

  count: int
  size: int
  draw: Callable                        # number of a block -> float32 [BLOCK, size]

  ndim = 2
  dtype = np.dtype(np.float32)

  @property
  def shape(self) -> tuple[int, int]:
    return self.count, self.size

  def __len__(self):
    return self.count

  def __getitem__(self, rows):
    """float32 [n, size] of a slice, or of an array of whole numbers [n]."""
    numbers = np.arange(self.count)[rows]
    if not len(numbers):
      return np.zeros((0, self.size), np.float32)
    blocks, where = np.unique(numbers // BLOCK, return_inverse=True)
    drawn = np.stack([self.draw(int(block)) for block in blocks])
    return drawn[where, numbers % BLOCK]

  def __array__(self, dtype=None, copy=None):
    return np.asarray(self[:], dtype)


def normal(count: int, size: int, seed: int, truncation: float = 0., max_norm: float = 0.) -> Rows:
  """Rows [count, size] of standard normal latents.

  Args:
    count: number of latents.
    size: entries of a latent.
    seed: a whole number from 0.
    truncation: largest absolute value of an entry: the distribution is truncated there and renormalised,
      the truncation trick of Brock et al. 2019 (sec. 3.1); 0 for none. An entry is an increasing function of the
      entry without truncation.
    max_norm: Euclidean norm to which longer latents are scaled; 0 for none. Norms are about sqrt(size).
  """
  return Rows(count, size, functools.partial(_normal_block, size, seed, truncation, max_norm))


def _normal_block(size, seed, truncation, max_norm, block):
  latents = generator(seed, block).standard_normal((BLOCK, size), np.float32)
  return limited(truncated(latents, truncation) if truncation else latents, max_norm)


def generator(seed: int, block: int) -> np.random.Generator:
  """The random numbers of a block of BLOCK samples."""
  return np.random.Generator(np.random.Philox(key=np.array([seed, block], np.uint64)))


def truncated(latents: Float[np.ndarray, 'n Z'], bound: float) -> Float[np.ndarray, 'n Z']:
  """Standard normal numbers mapped to the normal distribution within [-bound, bound]; the order is preserved."""
  from scipy.special import ndtr, ndtri  # here, because importing it takes a while
  low = ndtr(-bound)
  spread = ndtri(low + (1 - 2 * low) * ndtr(latents.astype(np.float64)))
  return np.clip(spread, -bound, bound).astype(np.float32)


def limited(latents: Float[np.ndarray, 'n Z'], max_norm: float) -> Float[np.ndarray, 'n Z']:
  """Latents [n, Z], those longer than `max_norm` scaled to this norm; unchanged for 0."""
  if not max_norm:
    return latents
  norms = np.linalg.norm(latents, axis=1, keepdims=True)
  return (latents * np.minimum(1, max_norm / np.maximum(norms, 1e-30))).astype(np.float32)


def codes(count: int, kinds: LatentCodes, seed: int, given: Sequence[float] | np.ndarray = ()) -> Rows:
  """Rows [count, M + N] of an InfoGAN's codes: fixed ones as given, the others from their prior.

  Args:
    count: number of rows.
    kinds: a `jgen.losses.information.LatentCodes`.
    seed: a whole number from 0.
    given: a number for each code, NaN for random ones; () for all random.
  """
  return Rows(count, kinds.size, functools.partial(_code_block, kinds, seed, np.asarray(given, np.float32)))


def _code_block(kinds, seed, given, block):
  rng = generator(seed, block + _CODES)
  categorical = rng.integers(0, max(kinds.values, 1), (BLOCK, kinds.categorical))
  drawn = np.concatenate([categorical, rng.uniform(-1, 1, (BLOCK, kinds.continuous))], axis=1).astype(np.float32)
  return np.where(np.isnan(given), drawn, given).astype(np.float32) if given.size else drawn


def on_lines(first: Float[np.ndarray, 'n Z'], last: Float[np.ndarray, 'n Z'],
             num_steps: int) -> Float[np.ndarray, 'n steps Z']:
  """Evenly spaced points [n, num_steps, Z] from `first` to `last`, both [n, Z], ends included."""
  return np.linspace(first, last, num_steps, axis=1)


def on_arcs(first: Float[np.ndarray, 'n Z'], last: Float[np.ndarray, 'n Z'],
            num_steps: int) -> Float[np.ndarray, 'n steps Z']:
  """Points like those of `on_lines`, but at equal angles around 0; on lines for parallel or opposite latents."""
  norms = np.linalg.norm(first, axis=1) * np.linalg.norm(last, axis=1)
  angle = np.arccos(np.clip((first * last).sum(axis=1) / norms, -1, 1))[:, None, None]
  share = np.linspace(0, 1, num_steps)[:, None]
  first, last, sine = first[:, None], last[:, None], np.sin(angle)
  bent = sine > 1e-6
  safe = np.where(bent, sine, 1)
  return np.where(bent, np.sin((1 - share) * angle) / safe * first + np.sin(share * angle) / safe * last,
                  (1 - share) * first + share * last)


def traversed(start: Float[np.ndarray, ' Z'], shown: Sequence[int] | np.ndarray,
              values: Sequence[float] | np.ndarray) -> Float[np.ndarray, 'rows Z']:
  """Latents [len(shown) * len(values), Z]: `start` [Z] with each of the entries `shown` set to each of the values."""
  latents = np.tile(start, (len(shown), len(values), 1))
  for row, latent in enumerate(shown):
    latents[row, :, latent] = values
  return latents.reshape(-1, len(start))
