"""The Inception Score: Salimans et al. 2016."""

from jaxtyping import Float
import numpy as np
import scipy

from jgen.errors import UserError


def inception_score(logits: Float[np.ndarray, 'N Y'], seed: int, num_splits: int = 10) -> tuple[float, float]:
  """Mean and standard deviation over the splits of exp(mean KL(p(y | x) || p(y))), each from 1 to Y.

  Args:
    logits: [N, Y]; the Inception's `unbiased_logits` for the original definition of the score
    seed: of the shuffle before splitting, without which samples sorted by class would give splits of few classes
    num_splits: splits of the N images, as equal as possible

  Returns:
    (mean, standard deviation)

  Raises:
    UserError: there are fewer images than splits.
  """
  if len(logits) < num_splits:
    raise UserError(f'an Inception Score of {num_splits} splits needs at least {num_splits} images; there are '
                    f'{len(logits)}')
  shuffled = np.random.default_rng(seed).permutation(np.asarray(logits, np.float64))
  scores = [_score(scipy.special.log_softmax(part, axis=1)) for part in np.array_split(shuffled, num_splits)]
  return float(np.mean(scores)), float(np.std(scores))


def _score(log_p):
  p = np.exp(log_p)
  log_marginal = np.log(p.mean(axis=0, keepdims=True))
  return np.exp((p * (log_p - log_marginal)).sum(axis=1).mean())
