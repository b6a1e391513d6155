"""The gap between the best and the second best latent, for MIG and SAP."""

from jaxtyping import Float
import numpy as np


def gaps(table: Float[np.ndarray, 'Z F']) -> Float[np.ndarray, ' F']:
  """The largest minus the second largest entry of each column: [F] from [Z, F], Z at least 2."""
  ascending = np.sort(table, axis=0)
  return ascending[-1] - ascending[-2]
