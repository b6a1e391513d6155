"""Test images above their reconstructions by a model with an encoder."""

import dataclasses

import numpy as np

from jgen.data.spec import Splits
from jgen.evaluation.base import Evaluator
from jgen.evaluation.measured import Measured
from jgen.evaluation.shared import blanks, spread
from jgen.families.contracts import Reconstructs
from jgen.families.model import Model
from jgen.images.grids import Grid
from jgen.keys import key
from jgen.shapes import Pixels

_COLUMNS = 10             # largest number of images side by side


@dataclasses.dataclass(frozen=True)
class Reconstructions(Evaluator):
  """The same test images each time, every row above a row of their reconstructions."""

  num_images: int = key(10, 'test images, at most; 10 side by side', at_least=1)

  needs = (Reconstructs,)
  needs_test = True

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the picture, and the mean squared errors of its images, per pixel and channel in [-1, 1]."""
    indices = spread(self.num_images, splits.test_set)
    originals = splits.test_set.images[indices]
    reconstructions = model.reconstruct(originals)
    errors = np.square((originals.astype(np.float64) - reconstructions) / 127.5).mean(axis=(1, 2, 3))
    return Measured(
        {'mse_shown': float(errors.mean()), 'mse_per_image': errors.tolist(), 'test_images': indices.tolist()},
        {'reconstructions': alternating(originals, reconstructions)})


def alternating(originals: Pixels, reconstructions: Pixels) -> Grid:
  """A Grid of alternating rows of originals and reconstructions; the last two rows may end in blanks."""
  columns = min(len(originals), _COLUMNS)
  filling = blanks(-len(originals) % columns, originals.shape[1:])
  rows = [np.concatenate([images, filling]).reshape(-1, columns, *originals.shape[1:])
          for images in (originals, reconstructions)]
  images = np.stack(rows, axis=1)
  return Grid(images.reshape(-1, *originals.shape[1:]), columns, ('original', 'reconstruction') * len(images))
