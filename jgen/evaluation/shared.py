"""Functions shared by evaluators: the selection of images to show, and the check of keys."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Integer
import numpy as np

from jgen.data.spec import Dataset, Spec
from jgen.errors import UserError
from jgen.images.grids import SEPARATOR_COLOR
from jgen.parallel import AXIS
from jgen.run.scores import kind
from jgen.shapes import Pixels

_DRAW_SEED = 0            # the same images at every step and in every run, so that pictures compare


def spread(num_images: int, dataset: Dataset) -> Integer[np.ndarray, ' n']:
  """Rising indices of `num_images` images of the data set, or of all if there are fewer: one from each equal part.

  Positions within the parts are random with a fixed seed, since regular distances may match a period in the data set.
  """
  count = len(dataset.images)
  bounds = np.arange(min(num_images, count) + 1) * count // min(num_images, count)
  return np.random.default_rng(_DRAW_SEED).integers(bounds[:-1], bounds[1:])


def blanks(num_images: int, shape: Sequence[int]) -> Pixels:
  """Blank images uint8 [num_images, H, W, C] in the colour of a Grid's separators."""
  return np.full((num_images, *shape), SEPARATOR_COLOR, np.uint8)


def per_image_scores(evaluator: str, spec: Spec, family: Any) -> tuple[str, ...]:
  """The entries of the family's `eval_step` that rank models when averaged by `evaluator`. Computes nothing."""
  key = jax.random.key(0)
  batch = {'image': jax.ShapeDtypeStruct((1, 1, *spec.image_shape), jnp.float32),
           'label': jax.ShapeDtypeStruct((1, 1), jnp.int32)}
  mapped = jax.vmap(family.eval_step, (None, 0, None), axis_name=AXIS)
  entries = jax.eval_shape(mapped, jax.eval_shape(family.init, key), batch, key)
  return tuple(entry for entry in entries if kind(f'{evaluator}/{entry}').better)


def check_at_least(name: str, evaluator: object, **least: int) -> None:
  """Raises UserError if one of these keys of the evaluator `name` is below its smallest value."""
  for key, bound in least.items():
    if getattr(evaluator, key) < bound:
      raise UserError(f'config.evaluators.{name}.{key} is {getattr(evaluator, key)}; set {bound} or more')
