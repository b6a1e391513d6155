"""The mutual information gap, MIG (Chen et al. 2018, https://arxiv.org/abs/1802.04942, eq. 6)."""

from typing import Any

from jaxtyping import Float, Integer
import numpy as np

from jgen.evaluation.disentanglement.gap import gaps


def mutual_information_gap(codes: Float[np.ndarray, 'N Z'], factors: Integer[np.ndarray, 'N F'],
                           num_bins: int) -> dict[str, Any]:
  """The gap in mutual information with a factor between the best and second best latent, over the factor's entropy.

  Args:
    codes: float [N, Z]
    factors: int [N, F]
    num_bins: bins of equal width, from the smallest to the largest value of each latent

  Returns:
    {'mig': the mean over the factors, 'mig_per_factor': [F], 'mig_protocol'}
  """
  binned = np.stack([_bin(column, num_bins) for column in codes.T.astype(np.float64)])
  information = np.array([[mutual_information(latent, factor) for factor in factors.T] for latent in binned])
  entropies = np.array([mutual_information(factor, factor) for factor in factors.T])
  per_factor = gaps(information) / entropies
  return {'mig': float(per_factor.mean()), 'mig_per_factor': per_factor.tolist(),
          'mig_protocol': f'{len(codes)} codes, {num_bins} bins of equal width over the range of each latent'}


def mutual_information(a: Integer[np.ndarray, ' N'], b: Integer[np.ndarray, ' N']) -> float:
  """The mutual information, in nats, of two int [N] arrays of values 0, 1, ...; of `a` with itself, its entropy."""
  joint = np.zeros((a.max() + 1, b.max() + 1))
  np.add.at(joint, (a, b), 1 / len(a))
  independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
  occurs = joint > 0
  return float((joint[occurs] * np.log(joint[occurs] / independent[occurs])).sum())


def _bin(column, num_bins):
  return np.digitize(column, np.histogram_bin_edges(column, num_bins)[1:-1])
