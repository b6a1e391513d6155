"""The score of the beta-VAE (Higgins et al. 2017, https://openreview.net/forum?id=Sy2fzU9gl, section 3)."""

from typing import Any

from jaxtyping import Float, Integer
import numpy as np

from jgen.evaluation.disentanglement.sharing import draw_sharing


def beta_vae_score(codes: Float[np.ndarray, 'N Z'], factors: Integer[np.ndarray, 'N F'], num_train: int, num_test: int,
                   batch_size: int, random: np.random.Generator) -> dict[str, Any]:
  """The accuracy of a linear classifier that predicts which factor the images of each pair share.

  Its input is the mean absolute difference of the codes over a batch of pairs, all of which share the same factor, each
  pair with its own value.

  Args:
    codes: float [N, Z]
    factors: int [N, F]
    num_train: batches that train the classifier, a logistic regression
    num_test: further batches, on which the accuracy, the score, is measured
    batch_size: pairs per batch
    random: a numpy Generator

  Returns:
    {'beta_vae_score', 'beta_vae_train_accuracy', 'beta_vae_protocol'}
  """
  import sklearn
  from sklearn.linear_model import LogisticRegression
  train, train_labels = _differences(codes, factors, num_train, batch_size, random)
  test, test_labels = _differences(codes, factors, num_test, batch_size, random)
  classifier = LogisticRegression(max_iter=1_000).fit(train, train_labels)
  return {'beta_vae_score': float(classifier.score(test, test_labels)),
          'beta_vae_train_accuracy': float(classifier.score(train, train_labels)),
          'beta_vae_protocol': (
              f'logistic regression (multinomial, L2, C = 1) of scikit-learn {sklearn.__version__}, {num_train} + '
              f'{num_test} batches of {batch_size} pairs of {len(codes)} images, chance {1 / factors.shape[1]:.3g}')}


def _differences(codes, factors, num_batches, batch_size, random):
  """Mean absolute differences float [num_batches, Z], and the factor shared by the pairs, int [num_batches]."""
  shared = random.integers(factors.shape[1], size=num_batches)
  means = np.empty((num_batches, codes.shape[1]))
  for factor in range(factors.shape[1]):
    first = random.integers(len(codes), size=((shared == factor).sum(), batch_size))
    second = draw_sharing(factors[:, factor], first, random)
    means[shared == factor] = np.abs(codes[first] - codes[second]).mean(axis=1)
  return means, shared
