"""Interpolations between test images in the latent space of a model with an encoder."""

import dataclasses

import numpy as np

from jgen.data.spec import Splits
from jgen.errors import UserError
from jgen.evaluation.base import Evaluator
from jgen.evaluation.latents import on_lines
from jgen.evaluation.measured import Measured
from jgen.evaluation.shared import blanks, spread
from jgen.families.contracts import Decodes, Encodes
from jgen.families.model import Model
from jgen.images.grids import Grid
from jgen.keys import key


@dataclasses.dataclass(frozen=True)
class Interpolations(Evaluator):
  """One row per pair of test images: points on the straight line between their latent means, decoded."""

  num_pairs: int = key(5, 'rows: pairs of test images', at_least=1)
  num_steps: int = key(8, 'decoded images per row, including the two reconstructions', at_least=2)

  needs = (Encodes, Decodes)
  needs_test = True

  def check_data(self, splits: Splits) -> None:
    """Raises UserError if there are not two test images for each pair."""
    count = len(splits.test_set.images)
    if count < 2 * self.num_pairs:
      raise UserError(f'config.evaluators.interpolations.num_pairs is {self.num_pairs}, of two test images each, but '
                      f'there are {count:,}; set {count // 2} or fewer, or name more config.data.test_splits')

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the picture, and the numbers of the test images at the ends.

    A row is: original, blank, `num_steps` decoded images (the first and last are reconstructions), blank, original.
    """
    first, last = spread(2 * self.num_pairs, splits.test_set).reshape(2, self.num_pairs)
    originals = splits.test_set.images[first], splits.test_set.images[last]
    start, end = (model.encode(images)[0] for images in originals)
    decoded = model.decode(on_lines(start, end, self.num_steps).reshape(-1, start.shape[1]))
    decoded = decoded.reshape(self.num_pairs, self.num_steps, *decoded.shape[1:])
    blank = blanks(self.num_pairs, decoded.shape[2:])
    rows = np.concatenate([np.stack([originals[0], blank], axis=1), decoded,
                           np.stack([blank, originals[1]], axis=1)], axis=1)
    grid = Grid(rows.reshape(-1, *decoded.shape[2:]), rows.shape[1],
                title='original | the line between the latent means, decoded | original')
    pairs = np.stack([first, last], axis=1).tolist()
    return Measured({'num_pairs': len(pairs), 'test_images': pairs}, {'interpolations': grid})
