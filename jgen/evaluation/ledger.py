"""The losses and bounds of a VAE on test images, in all units used in papers."""

import dataclasses
import math

from jaxtyping import Float
import numpy as np

from jgen.data.spec import Spec, Splits
from jgen.evaluation.base import Evaluator
from jgen.evaluation.measured import Measured
from jgen.evaluation.shared import per_image_scores
from jgen.families.base import Family
from jgen.families.contracts import BoundsLikelihood, Encodes, MeasuresImages
from jgen.families.model import Model
from jgen.keys import key
from jgen.losses.regularizers import ACTIVE_VARIANCE, kl_per_latent
from jgen.shapes import Pixels


@dataclasses.dataclass(frozen=True)
class Ledger(Evaluator):
  """Error, ELBO and its terms, divergence per latent and the importance-weighted bound on test images."""

  num_images: int = key(0, 'test images, the first ones; 0 for all', at_least=0)
  importance_samples: int = key(0, 'samples of the latents per image for the importance-weighted bound; 0 for none',
                                at_least=0)

  needs = (Encodes, MeasuresImages, BoundsLikelihood)
  needs_test = True

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of the numbers by which models can be ranked."""
    of_images = per_image_scores('ledger', spec, family)
    return (*of_images, 'mse_sampled', 'loss', *(['importance_bound'] if self.importance_samples else []))

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: means over the test images, each counted once for any batch size.

    Numbers: `loss`, the training objective; `mse` per pixel, images in [-1, 1], of the reconstruction from the
    latents' mean and `mse_sampled` from one sample, as in training; `elbo`, `reconstruction_nats` and `kl` in nats per
    image; `importance_bound` (Burda et al. 2016, eq. 8); standard errors of the means over the images.
    """
    images, labels = splits.test_set.images, splits.test_set.labels
    if self.num_images:
      images, labels = images[:self.num_images], labels[:self.num_images]
    table = model.eval_step(images, labels, seed)
    mean, log_variance = model.encode(images)
    kl = np.asarray(kl_per_latent(mean.astype(np.float64), log_variance.astype(np.float64))).mean(0)
    numbers = {name: float(values.mean(dtype=np.float64)) for name, values in table.items()}
    numbers['mse_sampled'], numbers['mse'] = numbers.pop('mse'), numbers.pop('mse_of_mean')
    numbers['loss'] = numbers['reconstruction'] + float(model.family.regularization(kl, model.step))
    if self.importance_samples:
      bounds = self.importance_bounds(model, images, seed)
      numbers |= {'importance_bound': float(bounds.mean()), 'importance_samples': self.importance_samples,
                  'importance_bound_standard_error': standard_error(bounds)}
    return Measured({
        **numbers, 'mse_standard_error': standard_error(table['mse_of_mean']),
        'elbo_standard_error': standard_error(table['elbo']), 'num_images': len(images),
        'active_units': int((mean.var(axis=0, dtype=np.float64) > ACTIVE_VARIANCE).sum()), 'num_latents': len(kl),
        'kl_per_latent': [round(float(value), 6) for value in kl]})

  def importance_bounds(self, model: Model, images: Pixels, seed: int) -> Float[np.ndarray, ' n']:
    """log of the mean of p(x, z) / q(z | x) over samples of q, in nats, [N]; on average at least the ELBO."""
    total = np.full(len(images), -np.inf)
    for sample in range(self.importance_samples):
      total = np.logaddexp(total, model.log_weight(images, seed + 1 + sample).astype(np.float64))
    return total - math.log(self.importance_samples)


def standard_error(values: Float[np.ndarray, ' n']) -> float:
  """The standard error of the mean of values [N]; 0 for a single value."""
  return float(values.std(ddof=1, dtype=np.float64) / math.sqrt(len(values))) if len(values) > 1 else 0.
