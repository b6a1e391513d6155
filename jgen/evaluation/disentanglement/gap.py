"""By how much the best latent is ahead of all others: what MIG and SAP make of a table of latents and factors."""

from jaxtyping import Float
import numpy as np


def gaps(table: Float[np.ndarray, 'Z F']) -> Float[np.ndarray, ' F']:
  """The largest minus the second largest entry of each column: [F] from [Z, F], where Z is 2 at least."""
  ascending = np.sort(table, axis=0)
  return ascending[-1] - ascending[-2]
