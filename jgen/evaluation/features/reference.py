"""The features of real images against which generated ones are scored; computed once, then cached."""

import dataclasses
from pathlib import Path

import jax
from jaxtyping import Integer
import numpy as np

from jgen.data.spec import Dataset
from jgen.errors import UserError
from jgen.evaluation.features import frechet
from jgen.evaluation.features.feature_spaces import FeatureSpace
from jgen.evaluation.features.stored import cached
from jgen.evaluation.shared import spread
from jgen.host import progress
from jgen.run.receipt import digest_of

_PART = 128                             # images read at a time
_FLAT = 1e-12                           # share of the features' squares below which their variance is rounding error


@dataclasses.dataclass(frozen=True)
class Reference:
  """The real images' features."""

  gaussian: frechet.Gaussian
  features: np.ndarray | None           # float32 [n, F] of some of the images; None if none were requested
  receipt: dict

  @property
  def variance(self) -> float:
    """Sum of the features' variances."""
    return float(np.square(self.gaussian.factor).sum())


def reference(space: FeatureSpace, dataset: Dataset, split: str, num_real: int, num_kept: int,
              cache_dir: Path | None) -> Reference:
  """The Reference of a data set in a FeatureSpace.

  Args:
    space: a FeatureSpace
    dataset: a Dataset
    split: its name in the receipt
    num_real: number of images, one from each equal part; 0 for all
    num_kept: largest number of images whose features are kept
    cache_dir: folder of the cache for other runs, or None

  Raises:
    UserError: the network has the same features for all images.
  """
  chosen = np.arange(len(dataset.images)) if not num_real else spread(num_real, dataset)
  receipt = space.receipt() | {
      'reference': dataset.spec.name, 'reference_split': split, 'image_shape': list(dataset.spec.image_shape),
      'reference_sha256': _digest(dataset.images, num_real, chosen), 'num_reference': len(chosen)}
  arrays = cached(cache_dir, f'reference-{dataset.spec.name}', receipt | {'num_kept': num_kept},
                  lambda: _measured(space, dataset.images, chosen, num_kept))
  real = Reference(frechet.Gaussian(int(arrays['count']), arrays['mean'], arrays['factor']), arrays.get('features'),
                    receipt)
  if real.variance <= _FLAT * np.square(real.gaussian.mean).sum():
    raise UserError(f"features of the {len(chosen):,} real images of '{dataset.spec.name}' have zero variance: to the "
                    f"network '{space.network}' they are all the same, and nothing can be measured; use other images")
  return real


def evenly(count: int, total: int) -> Integer[np.ndarray, ' n']:
  """Sorted indices of `count` of `total` images, evenly spread; all if there are fewer."""
  return np.linspace(0, total - 1, min(count, total)).astype(int)


def _measured(space, images, chosen, num_kept):
  parts = (images[chosen[i:i + _PART]] for i in range(0, len(chosen), _PART))
  counted = progress.counted(parts, len(chosen), 'real images', quiet=jax.process_index() > 0)
  summary = space.extractor.summary(counted, space.features, evenly(num_kept, len(chosen)))
  gaussian = frechet.of_moments(summary.moments)
  arrays = {'count': np.array(gaussian.count), 'mean': gaussian.mean, 'factor': gaussian.factor}
  return arrays if summary.features is None else arrays | {'features': summary.features}


def _digest(images, num_real, chosen):
  return digest_of(images[chosen] if num_real else images)
