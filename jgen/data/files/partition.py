"""Splits of data sets that are published without them: 80 % train, 10 % valid, 10 % test, and all.

An image's split depends on the image alone: on its 64-bit hash divided by 2^64. Below 0.8 it is in train, below 0.9 in
valid, else in test. So it keeps its split when other images are added or removed, and at every image size.
"""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Bool, Integer, UInt64
import numpy as np

SPLITS = ('train', 'valid', 'test', 'all')
BOUNDS = (0.8, 0.9, 1.)                 # where train, valid and test end


def place(hashes: UInt64[np.ndarray, ' n'] | int) -> Any:
  """0 train, 1 valid, 2 test for each of the hashes, uint64 [n]."""
  return np.searchsorted(BOUNDS[:-1], np.asarray(hashes, np.uint64) / 2.**64, side='right')


def belong(numbers: Integer[np.ndarray, ' n'], splits: Sequence[str]) -> Bool[np.ndarray, ' n']:
  """Whether the images with these indices in the published order, int [n], are in `splits`: bool [n]."""
  if 'all' in splits:
    return np.ones(len(numbers), bool)
  return np.isin(place(splitmix64(numbers)), [SPLITS.index(split) for split in splits])


def settings(splits: Sequence[str]) -> dict[str, Any]:
  """The partition's entries in the cache key; none where all images are requested."""
  return {} if 'all' in splits else {'bounds': BOUNDS}


def splitmix64(numbers: Integer[np.ndarray, ' n']) -> UInt64[np.ndarray, ' n']:
  """Outputs 1, 2, ... of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) with seed 0, for the numbers 0, 1, ...

  Args:
    numbers: int [n]

  Returns:
    uint64 [n]
  """
  mixed = (np.asarray(numbers).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9e3779b97f4a7c15)   # modulo 2^64
  mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
  mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
  return mixed ^ (mixed >> np.uint64(31))
