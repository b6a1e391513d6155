"""The effect of the label: images from the same latents with every label."""

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
  """A grid whose columns have the same latents and whose rows have the same label."""

  num_pairs: int = key(10, 'columns: latents, each used with every label', at_least=1)

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError if the model is not conditioned on a label."""
    if family.num_classes < 2:
      raise UserError('config.evaluators.attribute_pairs: the model is not conditioned on at least two classes; '
                      'make it conditional or remove the evaluator')

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the picture, and the change by the label compared with that by the latents.

    `change_by_label` and `change_by_latents` are root mean squares, in [-1, 1], of differences from the mean image of
    a column and of a row. If not all classes fit on the picture, those on it are measured.
    """
    spec = splits.train.spec
    # The latents depend on the seed and an image's position in a call, hence one call per label.
    labels = spread(spec.num_classes, rows_that_fit(*spec.image_shape[:2]))   # a subset if there are many
    images = np.stack([model.sample(np.full(self.num_pairs, label), seed) for label in labels])
    names = legible(spec.label_names or list(map(str, range(spec.num_classes))))
    subset = f' ({len(labels)} of {spec.num_classes} classes)' if len(labels) < spec.num_classes else ''
    return Measured(
        {'change_by_label': change(images, axis=0), 'change_by_latents': change(images, axis=1)},
        {'attribute_pairs': Grid(images.reshape(-1, *spec.image_shape), self.num_pairs,
                                 tuple(names[label] for label in labels), f'each column: the same latents{subset}')})


def change(images: UInt8[np.ndarray, 'rows columns H W C'], axis: int) -> float:
  """RMS, in [-1, 1], of deviations from the mean over an axis of uint8 images [rows, columns, H, W, C]."""
  pixels = images.astype(np.float64) / 127.5
  return float(np.sqrt(np.square(pixels - pixels.mean(axis=axis, keepdims=True)).mean()))
