"""Losses and likelihoods on test images, and on training images for comparison."""

import dataclasses

from jaxtyping import Float
import numpy as np

from jgen.data.spec import Dataset, Spec, Splits
from jgen.evaluation.base import Evaluator
from jgen.evaluation.ledger import standard_error
from jgen.evaluation.measured import Measured
from jgen.evaluation.shared import per_image_scores, spread
from jgen.families.base import Family
from jgen.families.contracts import MeasuresImages
from jgen.families.model import Model
from jgen.keys import key


@dataclasses.dataclass(frozen=True)
class TestLoss(Evaluator):
  """Means of the family's `eval_step` over test images and over as many training images."""

  num_images: int = key(0, 'test images, evenly spread, and as many training images; 0 for all', at_least=0)

  needs = (MeasuresImages,)
  needs_test = True

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of the numbers by which models can be ranked."""
    return per_image_scores('test_loss', spec, family)

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Numbers: {name: mean over the test images}, each with its standard error; for training images as `train_...`."""
    test = self.table(model, splits.test_set, self.num_images or len(splits.test_set.images), seed)
    count = len(next(iter(test.values())))
    train = self.table(model, splits.train, count, seed)
    mean = lambda values: float(values.mean(dtype=np.float64))
    return Measured({
        **{name: mean(values) for name, values in test.items()},
        **{f'{name}_standard_error': standard_error(values) for name, values in test.items()},
        **{f'train_{name}': mean(values) for name, values in train.items()}, 'num_images': count})

  def table(self, model: Model, dataset: Dataset, count: int, seed: int) -> dict[str, Float[np.ndarray, ' n']]:
    """{name: [n]} of `count` images, evenly spread over the data set, or of all if there are fewer."""
    rows = spread(count, dataset)
    return model.eval_step(dataset.images[rows], dataset.labels[rows], seed)
