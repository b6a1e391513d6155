"""Disentanglement, completeness and informativeness (Eastwood and Williams 2018,
https://openreview.net/forum?id=By-7dz-AZ, section 2)."""

from concurrent.futures import ThreadPoolExecutor
import os
import threading
from typing import Any

from jaxtyping import Float, Integer
import numpy as np


def dci(codes: Float[np.ndarray, 'N Z'], factors: Integer[np.ndarray, 'N F'], test_codes: Float[np.ndarray, 'n Z'],
        test_factors: Integer[np.ndarray, 'n F'], num_trees: int) -> dict[str, Any]:
  """DCI by boosted trees: the importance of each latent for predicting each factor, and the accuracy.

  Args:
    codes, factors: float [N, Z] and int [N, F], which train a classifier for each factor
    test_codes, test_factors: float [n, Z] and int [n, F], on which their accuracy is measured
    num_trees: boosting stages, each with one tree per value of the factor

  Returns:
    {'dci_disentanglement': 1 where each latent matters for one factor alone,
     'dci_completeness': 1 where each factor needs one latent alone,
     'dci_informativeness': the mean accuracy over the factors (an error in the paper),
     'dci_informativeness_per_factor': [F],
     'dci_importances': [Z, F], each column's sum is 1 or, if no latent is informative, 0,
     'dci_protocol'}
  """
  import sklearn
  fitted = _fitted(codes, factors, num_trees)
  importances = np.stack([classifier.feature_importances_ for classifier in fitted], axis=1)
  accuracies = [float(classifier.score(test_codes, factor))
                for classifier, factor in zip(fitted, test_factors.T, strict=True)]
  return {'dci_disentanglement': disentanglement(importances),
          'dci_completeness': disentanglement(importances.T),
          'dci_informativeness': float(np.mean(accuracies)), 'dci_informativeness_per_factor': accuracies,
          'dci_importances': importances.tolist(),
          'dci_protocol': (
              f'gradient boosting of scikit-learn {sklearn.__version__}, {num_trees} stages of depth 3, '
              f'{len(codes)} codes to train, {len(test_codes)} to test, informativeness is the accuracy')}


def disentanglement(importances: Float[np.ndarray, 'Z F']) -> float:
  """1 minus the normalised entropy of each row's shares, averaged with the rows' sums as weights.

  For importances float [Z, F], F at least 2, it is the disentanglement; for their transpose, the completeness. It is 0
  if all are 0.
  """
  rows = importances[importances.sum(axis=1) > 0]
  if not len(rows):
    return 0.
  shares = rows / rows.sum(axis=1, keepdims=True)
  logarithms = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
  purities = 1 + (shares * logarithms).sum(axis=1) / np.log(importances.shape[1])
  return float(np.average(purities, weights=rows.sum(axis=1)))


def _fitted(codes, factors, num_trees):
  """A classifier for each factor. A signal that ends the evaluation waits only until each has built its stage."""
  stop = threading.Event()
  with ThreadPoolExecutor(os.cpu_count()) as threads:
    try:
      return list(threads.map(lambda factor: _fit(codes, factor, num_trees, stop), factors.T))
    finally:
      stop.set()


def _fit(codes, factor, num_trees, stop):
  from sklearn.ensemble import GradientBoostingClassifier
  classifier = GradientBoostingClassifier(n_estimators=num_trees, random_state=0)
  return classifier.fit(codes, factor, monitor=lambda *_: stop.is_set())
