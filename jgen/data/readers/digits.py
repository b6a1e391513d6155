"""The 1,797 handwritten digits of scikit-learn: 8x8, 10 classes, part of the package, no download.

The test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI, 1998).
"""

import importlib.metadata

from ml_collections import ConfigDict
import numpy as np

from jgen.data.files import partition
from jgen.data.files.resizing import served
from jgen.data.spec import Annotation, Dataset, Spec, served_shape

SPLITS = partition.SPLITS
NEEDS = 'nothing: it comes with scikit-learn'


def describe(section: ConfigDict) -> Spec:
  """One channel, ten classes; the published size is 8."""
  digits = tuple('0123456789')
  return Spec('digits', served_shape(section, 1), num_classes=10, label_names=digits,
              annotations=(Annotation('digit', digits),))


def load(section: ConfigDict) -> Dataset:
  """The splits, in memory; the published values 0 to 16 are scaled to 0 to 255."""
  values, labels = _published()
  chosen = partition.belong(np.arange(len(values)), section.splits)
  images = np.rint(values[chosen] * (255 / 16)).astype(np.uint8)
  labels = labels[chosen]
  spec = describe(section)
  return Dataset(spec, served(images, spec.image_shape), labels,
                 f"sklearn.datasets.load_digits: {', '.join(section.splits)}", labels[:, np.newaxis])


def _published() -> tuple[np.ndarray, np.ndarray]:
  """The values [N, 8, 8, 1], 0 to 16, and labels [N] of `load_digits`; importing scikit-learn for it takes a second."""
  package = importlib.metadata.distribution('scikit-learn')
  rows = np.loadtxt(str(package.locate_file('sklearn/datasets/data/digits.csv.gz')), delimiter=',')
  return rows[:, :-1].reshape(-1, 8, 8, 1), rows[:, -1].astype(np.int32)
