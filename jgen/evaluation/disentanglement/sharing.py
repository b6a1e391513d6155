"""Images that have the value of one factor in common: what the FactorVAE and the beta-VAE score compare."""

from typing import Any

from jaxtyping import Integer
import numpy as np


def draw_sharing(column: Integer[np.ndarray, ' N'], images: Any, random: np.random.Generator) -> np.ndarray:
  """For each image another one, or itself, drawn evenly from all that have its value of a factor.

  Where the images are all combinations of the factors, the other factors are so drawn independently of this one.

  Args:
    column: int [N], the factor's value of each image
    images: int [...], indices into `column`
    random: a numpy Generator

  Returns:
    int [...], as `images`
  """
  order = np.argsort(column, kind='stable')
  values = column[order]
  return order[random.integers(np.searchsorted(values, column[images]),
                               np.searchsorted(values, column[images], side='right'))]
