"""Latent traversals of a model with an encoder: the effect of single latents on an image."""

import dataclasses

import numpy as np

from jgen.data.spec import Splits
from jgen.errors import UserError
from jgen.evaluation.base import Evaluator
from jgen.evaluation.latents import traversed
from jgen.evaluation.measured import Measured
from jgen.evaluation.shared import spread
from jgen.families.contracts import Decodes, Encodes
from jgen.families.model import Model
from jgen.images.grids import Grid
from jgen.keys import key
from jgen.losses.regularizers import kl_per_latent


@dataclasses.dataclass(frozen=True)
class Traversals(Evaluator):
  """One row per latent: its value varies over the range of the prior, all others are those of a test image."""

  num_latents: int = key(10, 'rows, at most: the latents with the largest KL', at_least=1)
  num_values: int = key(11, 'columns: values of the latent, evenly spaced', at_least=2)
  span: float = key(3., 'values range from -span to span, in standard deviations of the prior', above=0)
  image: int = key(0, 'number of the test image that gives the other latents; -1 sets them to 0', at_least=-1)
  num_images: int = key(1_000, 'test images, at most, for measuring the KL', at_least=1)

  needs = (Encodes, Decodes)
  needs_test = True

  def check_data(self, splits: Splits) -> None:
    """Raises UserError if there is no test image with the number `image`."""
    count = len(splits.test_set.images)
    if self.image >= count:
      raise UserError(f'config.evaluators.traversals.image is {self.image}, but there are {count:,} test images, '
                      f'0 to {count - 1}; set one of these, or -1 for latents of 0')

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the picture, and the latents shown: those with the largest KL, in descending order.

    Their KL from the prior is in nats, a mean over `num_test_images` images of the test split.
    """
    indices = spread(self.num_images, splits.test_set)
    kl = np.asarray(kl_per_latent(*model.encode(splits.test_set.images[indices]))).mean(axis=0, dtype=np.float64)
    selected = np.argsort(-kl, kind='stable')[:self.num_latents]
    values = np.linspace(-self.span, self.span, self.num_values)
    latents = traversed(self._start(model, splits.test_set, len(kl)), selected, values)
    grid = Grid(model.decode(latents), self.num_values, tuple(f'z{latent}  KL {kl[latent]:.3g}' for latent in selected),
                f'from {-self.span:g} to {self.span:g} standard deviations of the prior; KL in nats')
    return Measured(
        {'latents': selected.tolist(), 'kl': kl[selected].tolist(), 'values': values.tolist(),
         'num_test_images': len(indices)},
        {'traversals': grid})

  def _start(self, model, dataset, num_latents):
    """The latents [Z] from which a row starts: the posterior mean of the test image, or 0, the prior's mean."""
    if self.image == -1:
      return np.zeros(num_latents, np.float32)
    mean, _ = model.encode(dataset.images[self.image:self.image + 1])
    return mean[0]
