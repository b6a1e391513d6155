"""The score of the FactorVAE (Kim and Mnih 2018, https://arxiv.org/abs/1802.05983, section 4)."""

from typing import Any

from jaxtyping import Float, Integer
import numpy as np

from jgen.evaluation.disentanglement.sharing import draw_sharing

ACTIVE = 0.05             # standard deviation over all codes below which a latent is dead, as in disentanglement_lib


def factor_vae_score(codes: Float[np.ndarray, 'N Z'], factors: Integer[np.ndarray, 'N F'], num_train: int,
                     num_test: int, batch_size: int, random: np.random.Generator) -> dict[str, Any]:
  """How often the latent that varies least in a batch predicts the factor that was fixed in it.

  The variance of a latent in a batch is divided by that over all codes; dead latents are excluded. A latent
  predicts the factor for which it most often varied least in `num_train` batches. Without active latents the score
  is 0.

  Args:
    codes: float [N, Z]
    factors: int [N, F]
    num_train: batches of the majority vote
    num_test: further batches, on which the accuracy, the score, is measured
    batch_size: images per batch, at least 2
    random: a numpy Generator

  Returns:
    {'factor_vae_score', 'factor_vae_train_accuracy', 'active_latents': how many, 'factor_vae_protocol'}
  """
  variances = codes.var(axis=0, ddof=1, dtype=np.float64)
  active = np.sqrt(variances) >= ACTIVE
  scaled = codes[:, active] / np.sqrt(variances[active])
  train = _votes(scaled, factors, num_train, batch_size, random)
  test = _votes(scaled, factors, num_test, batch_size, random)
  votes = train.argmax(axis=0), np.arange(train.shape[1])   # the factor that each latent predicts
  return {'factor_vae_score': float(test[votes].sum() / num_test),
          'factor_vae_train_accuracy': float(train[votes].sum() / num_train),
          'active_latents': int(active.sum()),
          'factor_vae_protocol': (
              f'majority vote, {num_train} + {num_test} batches of {batch_size} of {len(codes)} images, chance '
              f'{1 / factors.shape[1]:.3g}; latents of a standard deviation below {ACTIVE} left out')}


def _votes(codes, factors, num_batches, batch_size, random):
  """How often each latent varied least while each factor was fixed: int [F, Z]; zeros if there are no latents."""
  num_factors, num_latents = factors.shape[1], codes.shape[1]
  votes = np.zeros((num_factors, num_latents), int)
  fixed = random.integers(num_factors, size=num_batches)
  for factor in range(num_factors if num_latents else 0):
    first = random.integers(len(codes), size=((fixed == factor).sum(), 1))
    batches = draw_sharing(factors[:, factor], np.repeat(first, batch_size, axis=1), random)
    least = codes[batches].var(axis=1).argmin(axis=1)
    votes[factor] = np.bincount(least, minlength=num_latents)
  return votes
