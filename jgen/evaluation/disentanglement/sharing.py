"""Images that share the value of one factor, for the FactorVAE and the beta-VAE score."""

from typing import Any

from jaxtyping import Integer
import numpy as np


def draw_sharing(column: Integer[np.ndarray, ' N'], images: Any, random: np.random.Generator) -> np.ndarray:
  """For each image a random image, possibly itself, with the same value of a factor.

  If the images are all combinations of the factors, the other factors are then drawn independently of this one.

  Args:
    column: int [N], the factor's value of each image
    images: int [...], indices into `column`
    random: a numpy Generator

  Returns:
    int [...], with the shape of `images`
  """
  order = np.argsort(column, kind='stable')
  values = column[order]
  return order[random.integers(np.searchsorted(values, column[images]),
                               np.searchsorted(values, column[images], side='right'))]
