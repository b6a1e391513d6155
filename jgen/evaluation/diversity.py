"""Diversity: whether samples differ from each other like real images, or the generator has collapsed."""

import dataclasses

from jaxtyping import Integer
import numpy as np

from jgen.data.spec import Spec, Splits
from jgen.evaluation.base import Evaluator
from jgen.evaluation.features.neighbours import distances
from jgen.evaluation.measured import Measured
from jgen.evaluation.shared import check_at_least, spread
from jgen.families.base import Family
from jgen.families.model import Model
from jgen.keys import key
from jgen.shapes import Pixels


@dataclasses.dataclass(frozen=True)
class Diversity(Evaluator):
  """Distances between samples and between real images, within a class if the model is conditional."""

  num_images: int = key(256, 'generated images, and as many real ones', at_least=2)

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError if there are too few images for a pair in every class."""
    check_at_least('diversity', self, num_images=2 * max(1, family.num_classes))

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: mean distances as in `jgen.evaluation.features.neighbours`, and their ratio, samples to real images.

    'pair' is the mean over all pairs: near 0 if all samples are the same image. 'nearest' is from each image to its
    nearest other one: near 0 also if there are only a few different images. Samples have the labels of the real images.
    """
    indices = spread(self.num_images, splits.train)
    labels = splits.train.labels[indices]
    classes = labels if model.family.num_classes else np.zeros_like(labels)
    real = between(splits.train.images[indices], classes)
    generated = between(model.sample(labels, seed), classes)
    numbers = {f'{kind}_{whose}': value for whose, kinds in (('real', real), ('generated', generated))
               for kind, value in kinds.items()}
    ratios = {f'{kind}_ratio': generated[kind] / real[kind] if real[kind] else 1. for kind in real}
    return Measured({**ratios, **numbers, 'num_images': len(indices)})


def between(images: Pixels, classes: Integer[np.ndarray, ' n']) -> dict[str, float]:
  """{'pair', 'nearest'}: mean distances within the classes [n] of uint8 images [n, H, W, C].

  Over all pairs, and from each image to its nearest neighbour; images that are alone in their class are excluded.
  """
  pairs, nearest = [], []
  for value in np.unique(classes):
    members = images[classes == value]
    if len(members) > 1:
      apart = distances(members, members)
      pairs.append(apart[np.triu_indices(len(members), 1)])
      nearest.append((apart + np.diag(np.full(len(members), np.inf))).min(axis=1))
  means = {'pair': pairs, 'nearest': nearest}
  return {kind: float(np.concatenate(values).mean()) if values else 0. for kind, values in means.items()}
