"""Samples and their nearest training images: does the model generalise, or does it memorise?"""

import dataclasses

import numpy as np

from jgen.data.spec import Spec, Splits
from jgen.errors import UserError
from jgen.evaluation.base import Evaluator
from jgen.evaluation.features.neighbours import nearest
from jgen.evaluation.measured import Measured
from jgen.evaluation.shared import blanks, check_at_least, spread
from jgen.families.base import Family
from jgen.families.model import Model
from jgen.images.grids import Grid
from jgen.keys import key


@dataclasses.dataclass(frozen=True)
class NearestImages(Evaluator):
  """One row per sample: the sample and its nearest training images, the nearest first."""

  num_rows: int = key(10, 'samples to show: half of them are those nearest to a training image', at_least=1)
  num_neighbours: int = key(5, 'nearest training images shown next to each sample', at_least=1)
  num_generated: int = key(100, 'samples to compare with all training images', at_least=1)
  num_real: int = key(100, 'real images to compare, test images if there are any', at_least=1)

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError if fewer samples are to be measured than shown."""
    check_at_least('nearest_images', self, num_generated=self.num_rows)

  def check_data(self, splits: Splits) -> None:
    """Raises UserError unless there are more training images than neighbours."""
    if len(splits.train.images) <= self.num_neighbours:
      raise UserError(f'config.evaluators.nearest_images.num_neighbours is {self.num_neighbours}; there are '
                      f'{len(splits.train.images)} training images; set it lower')

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the picture, and distances as in `jgen.evaluation.features.neighbours`, medians over images.

    `ratio` is the distance from samples to their nearest training images divided by that of real images: about 1
    for a model that generates new images, 0 for one that copies; above 1, samples are unlike any real image. The real
    images are test images or, if there are none, training images, each compared with all others.
    """
    labels = splits.train.labels[spread(self.num_generated, splits.train)]
    samples = model.sample(np.resize(labels, self.num_generated), seed)
    indices, generated = nearest(samples, splits.train.images, self.num_neighbours)
    real = self._of_real(splits)
    medians = float(np.median(generated[:, 0])), float(np.median(real))
    return Measured(
        {'ratio': medians[0] / medians[1] if medians[1] else 1., 'generated': medians[0], 'real': medians[1],
         'least_generated': float(generated[:, 0].min()), 'least_real': float(real.min()),
         'num_generated': len(samples), 'num_real': len(real), 'real_split': 'test' if splits.test else 'train',
         'training_images': indices[self._shown(generated)].tolist()},
        {'nearest_images': self._grid(samples, splits.train.images, indices, generated)})

  def _of_real(self, splits):
    """The distance of each real image to its nearest training image, [n]."""
    dataset = splits.test or splits.train
    chosen = spread(self.num_real, dataset)
    left_out = None if splits.test else chosen
    return nearest(dataset.images[chosen], splits.train.images, 1, left_out)[1][:, 0]

  def _shown(self, distances):
    """Indices of the samples to show: half are those nearest to a training image, the others the first ones drawn."""
    closest = np.argsort(distances[:, 0], kind='stable')[:self.num_rows // 2]
    others = [i for i in range(len(distances)) if i not in closest]
    return np.array([*closest, *others[:self.num_rows - len(closest)]], int)

  def _grid(self, samples, images, indices, distances):
    selected = self._shown(distances)
    blank = blanks(len(selected), samples.shape[1:])
    rows = np.concatenate([np.stack([samples[selected], blank], axis=1), images[indices[selected]]], axis=1)
    return Grid(rows.reshape(-1, *samples.shape[1:]), rows.shape[1],
                tuple(f'{distance:.3f}' for distance in distances[selected, 0]),
                'distance | sample | its nearest training images')
