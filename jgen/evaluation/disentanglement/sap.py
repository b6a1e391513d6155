"""Separated attribute predictability, SAP (Kumar et al. 2018, https://openreview.net/forum?id=H1kG7GZAW, section 3)."""

from typing import Any

from jaxtyping import Float, Integer
import numpy as np

from jgen.evaluation.disentanglement.gap import gaps


def separated_attribute_predictability(codes: Float[np.ndarray, 'N Z'], factors: Integer[np.ndarray, 'N F'],
                                       test_codes: Float[np.ndarray, 'n Z'],
                                       test_factors: Integer[np.ndarray, 'n F']) -> dict[str, Any]:
  """The gap in accuracy between the best and second best latent as the only predictor of a factor's value.

  Args:
    codes, factors: float [N, Z] and int [N, F], which train a linear support vector machine for each latent and factor
    test_codes, test_factors: float [n, Z] and int [n, F], on which their accuracy is measured

  Returns:
    {'sap': the mean over the factors, 'sap_per_factor': [F], 'sap_protocol'}
  """
  import sklearn
  accuracies = np.array([
      [_accuracy(codes[:, [latent]], factor, test_codes[:, [latent]], test_factor)
       for factor, test_factor in zip(factors.T, test_factors.T, strict=True)] for latent in range(codes.shape[1])])
  per_factor = gaps(accuracies)
  return {'sap': float(per_factor.mean()), 'sap_per_factor': per_factor.tolist(),
          'sap_protocol': (
              'linear support vector machine (one against the rest, squared hinge, C = 0.01, classes balanced) of '
              f'scikit-learn {sklearn.__version__}, {len(codes)} codes to train, {len(test_codes)} to test')}


def _accuracy(latent, factor, test_latent, test_factor):
  from sklearn.svm import LinearSVC
  # The primal has the same optimum as the dual, which disentanglement_lib solves, and needs no random numbers.
  classifier = LinearSVC(C=0.01, class_weight='balanced', dual=False).fit(latent, factor)
  return classifier.score(test_latent, test_factor)
