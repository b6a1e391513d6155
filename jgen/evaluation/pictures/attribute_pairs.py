"""What the label changes in an image: the same latents drawn with every label."""

import dataclasses

from jaxtyping import UInt8
import numpy as np

from jgen.data.spec import Spec, Splits
from jgen.errors import UserError
from jgen.evaluation.base import Evaluator
from jgen.evaluation.measured import Measured
from jgen.families.base import Family
from jgen.families.model import Model
from jgen.images.fonts import legible
from jgen.images.grids import Grid, rows_that_fit, spread
from jgen.keys import key


@dataclasses.dataclass(frozen=True)
class AttributePairs(Evaluator):
  """One column the same latents, one row the same label."""

  num_pairs: int = key(10, 'columns: latents, each drawn with every label', at_least=1)

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError where the model heeds no label."""
    if family.num_classes < 2:
      raise UserError('config.evaluators.attribute_pairs: the model is not conditioned on two classes or more; '
                      'make it conditional or remove the evaluator')

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the picture, and how much the label changes, compared with the latents.

    `change_by_label` and `change_by_latents` are root mean squares, in [-1, 1], of what differs from the mean image of
    a column and of a row. Of more classes than fit on the picture, those that are on it are measured.
    """
    spec = splits.train.spec
    # The latents follow the seed and an image's place in a call, so each label has a call of its own.
    labels = spread(spec.num_classes, rows_that_fit(*spec.image_shape[:2]))   # of thousands some
    images = np.stack([model.sample(np.full(self.num_pairs, label), seed) for label in labels])
    names = legible(spec.label_names or list(map(str, range(spec.num_classes))))
    shown = f' ({len(labels)} of {spec.num_classes} classes)' if len(labels) < spec.num_classes else ''
    return Measured(
        {'change_by_label': change(images, axis=0), 'change_by_latents': change(images, axis=1)},
        {'attribute_pairs': Grid(images.reshape(-1, *spec.image_shape), self.num_pairs,
                                 tuple(names[label] for label in labels), f'each column: the same latents{shown}')})


def change(images: UInt8[np.ndarray, 'rows columns H W C'], axis: int) -> float:
  """Root mean square, in [-1, 1], of what differs along an axis of uint8 images [rows, columns, H, W, C]."""
  pixels = images.astype(np.float64) / 127.5
  return float(np.sqrt(np.square(pixels - pixels.mean(axis=axis, keepdims=True)).mean()))
