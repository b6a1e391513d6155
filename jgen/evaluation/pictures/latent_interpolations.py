"""Interpolations between latents of the prior, for models that generate samples from given latents."""

import dataclasses

import numpy as np

from jgen.data.spec import Splits
from jgen.evaluation.base import Evaluator
from jgen.evaluation.latents import on_arcs
from jgen.evaluation.measured import Measured
from jgen.families.contracts import SamplesLatents
from jgen.families.model import Model
from jgen.images.fonts import legible
from jgen.images.grids import Grid
from jgen.keys import key


@dataclasses.dataclass(frozen=True)
class LatentInterpolations(Evaluator):
  """One row per pair of latents from the prior, within a class if the model is conditional.

  Points lie on an arc, so that their norm is that of the latents in training (White 2016,
  "Sampling generative networks", sec. 2.1).
  """

  num_pairs: int = key(10, 'rows: pairs of latents; the classes in turn', at_least=1)
  num_steps: int = key(10, 'images per row, including those of the two latents', at_least=2)

  needs = (SamplesLatents,)

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the picture, and the classes of its rows, if any."""
    spec, num_classes = splits.train.spec, model.family.num_classes
    shape = (2, self.num_pairs, model.family.latent_size)
    first, last = np.random.default_rng(seed).standard_normal(shape, np.float32)
    latents = on_arcs(first, last, self.num_steps)
    classes = np.arange(self.num_pairs) % max(1, num_classes)
    images = model.sample_at(latents.reshape(-1, shape[-1]), classes.repeat(self.num_steps), seed)
    class_names = legible(spec.label_names)
    names = tuple(class_names[value] for value in classes) if num_classes else ()
    return Measured({'num_pairs': self.num_pairs, 'class_names': list(names)}, {
        'latent_interpolations': Grid(images, self.num_steps, names, 'from one latent to another')})
