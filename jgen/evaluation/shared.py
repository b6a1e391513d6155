"""What several evaluators have in common: which test images they show, and how they refuse a key."""

import numpy as np

from jgen.errors import UserError
from jgen.report.grids import SEPARATOR_COLOR

_DRAW_SEED = 0            # the same images at every step and in every run, so that pictures compare


def spread(num_images, dataset):
  """Rising indices of `num_images` images of the data set, or of all if there are fewer: one out of each equal part.

  Where in its part is drawn with a fixed seed: a regular distance may agree with a period of the data set's order.
  """
  count = len(dataset.images)
  bounds = np.arange(min(num_images, count) + 1) * count // min(num_images, count)
  return np.random.default_rng(_DRAW_SEED).integers(bounds[:-1], bounds[1:])


def blanks(num_images, shape):
  """Images uint8 [num_images, H, W, C] that in a Grid look like nothing, being of its separators' colour."""
  return np.full((num_images, *shape), SEPARATOR_COLOR, np.uint8)


def check_at_least(name, evaluator, **least):
  """Raises UserError if one of these keys of the evaluator `name` is below its least value."""
  for key, bound in least.items():
    if getattr(evaluator, key) < bound:
      raise UserError(f'config.evaluators.{name}.{key} is {getattr(evaluator, key)}; set {bound} or more')
