"""Whether samples differ from each other as real images do, or a generator has collapsed to a few pictures."""

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
  """Distances between samples and between real images, within a class where the model is conditional."""

  num_images: int = key(256, 'generated images, and real ones', at_least=2)

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError where there are too few images for a pair in every class."""
    check_at_least('diversity', self, num_images=2 * max(1, family.num_classes))

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: mean distances as in `jgen.evaluation.features.neighbours`, and their ratio, samples to real images.

    'pair' is of all pairs: near 0 where all samples are one picture. 'nearest' is of each image to the nearest other
    one: near 0 also where the samples are a few pictures, each many times. The samples have the real images' labels.
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

  Of all pairs, and of each image to its nearest neighbour; images alone in their class count for nothing.
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
