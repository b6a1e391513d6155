"""The description of a data set, so that no code needs to compare data set names."""

from collections.abc import Mapping
import dataclasses
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
import numpy as np

from jgen.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Annotation:
  """One annotation of every image: its class, an attribute, or a factor it was drawn from."""

  name: str
  values: tuple[str, ...]               # the meanings of the codes 0, 1, ... in its column


@dataclasses.dataclass(frozen=True)
class Spec:
  """The properties of a data set that networks and evaluators use, known before an image is read."""

  name: str
  image_shape: tuple[int, int, int]     # (H, W, C) after cropping and resizing
  num_classes: int = 0                  # Y; 0 where the images have no labels
  label_names: tuple[str, ...] = ()     # one per class, for the figures
  annotations: tuple[Annotation, ...] = ()   # M of them; the label, if any, is one of them
  has_factors: bool = False             # whether the annotations are all the factors the images were generated from

  def to_json(self) -> dict[str, Any]:
    """The Spec as a dict of JSON values."""
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, stored: Mapping[str, Any]) -> 'Spec':
    """The inverse of `to_json`; raises TypeError, KeyError or ValueError if `stored` is damaged."""
    annotations = tuple(Annotation(str(entry['name']), tuple(map(str, entry['values'])))
                        for entry in stored['annotations'])
    height, width, channels = map(int, stored['image_shape'])
    return cls(str(stored['name']), (height, width, channels), int(stored['num_classes']),
               tuple(map(str, stored['label_names'])), annotations, bool(stored['has_factors']))


@dataclasses.dataclass(frozen=True)
class Dataset:
  """Images and labels at the configured image size, in memory or memory-mapped."""

  spec: Spec
  images: np.ndarray                    # uint8 [N, H, W, C]
  labels: np.ndarray                    # int32 [N], 0 <= label < num_classes; zeros where unlabelled
  source: str                           # origin of the images, for the receipts
  annotations: np.ndarray | None = None  # int32 [N, M], columns as in spec.annotations
  notes: tuple[str, ...] = ()           # lines about how the files were interpreted and what was left out


@dataclasses.dataclass(frozen=True)
class Splits:
  """The training and test images of a run."""

  train: Dataset
  test: Dataset | None = None           # for evaluation; None where config.data.test_splits is empty
  cache_dir: Path | None = None         # folder for results computed from the images, shared by runs; None caches none

  @property
  def test_set(self) -> Dataset:
    """The test images, for callers that require them; raises UserError if there are none."""
    if self.test is None:
      raise UserError('config.data.test_splits names no test images; name some, such as '
                      '--config.data.test_splits=\'("test",)\'')
    return self.test


def served_shape(section: ConfigDict, channels: int) -> tuple[int, int, int]:
  """(H, W, C) of the images of `section`, config.data; `channels` is the data set's own number of channels.

  Raises:
    UserError: a size below 1, or a number of channels other than 0, 1 and 3.
  """
  height, width = section.image_size, section.image_width or section.image_size
  for key, side in (('image_size', height), ('image_width', width)):
    if side < 1:
      raise UserError(f'config.data.{key} is {side}; expected a number of pixels, at least 1')
  if section.channels not in (0, 1, 3):
    raise UserError(f"config.data.channels is {section.channels}; expected 1 for grey, 3 for colour or 0 for the data "
                    "set's own")
  return height, width, section.channels or channels


def with_label(spec: Spec, label: str) -> Spec:
  """The spec with the annotation named `label` as its classes; unchanged for ''.

  Raises:
    UserError: there is no such annotation, or it has a single value.
  """
  if not label:
    return spec
  values = spec.annotations[_column(spec, label)].values
  if len(values) < 2:
    raise UserError(f"config.data.label names '{label}', which has a single value in {spec.name}, "
                    f"'{''.join(values)}'; a label needs at least two")
  return dataclasses.replace(spec, num_classes=len(values), label_names=values)


def relabelled(dataset: Dataset, label: str) -> Dataset:
  """The data set with the annotation named `label` as its labels; unchanged for ''."""
  if not label:
    return dataset
  column = _column(dataset.spec, label)
  assert dataset.annotations is not None   # the array has a column per annotation of the Spec
  return dataclasses.replace(dataset, spec=with_label(dataset.spec, label), labels=dataset.annotations[:, column])


def _column(spec, label):
  names = [annotation.name for annotation in spec.annotations]
  if label not in names:
    raise UserError(f"config.data.label: unknown label '{label}' for {spec.name}; {nearest(label, names)}")
  return names.index(label)


def checked(dataset: Dataset) -> Dataset:
  """The data set itself, if its arrays match its spec and the comments of `Dataset`.

  Raises:
    UserError: wrong dtype or shape, no image, different numbers of images and labels, a label out of range.
  """
  spec, images, labels = dataset.spec, dataset.images, dataset.labels
  where = f'{spec.name} from {dataset.source}'
  if images.dtype != np.uint8 or images.shape[1:] != spec.image_shape:
    raise UserError(f'{where}: images are {images.dtype} {list(images.shape[1:])}; '
                    f'expected uint8 {list(spec.image_shape)}')
  if labels.dtype != np.int32 or labels.ndim != 1:
    raise UserError(f'{where}: labels are {labels.dtype} {list(labels.shape)}; expected int32 [N]')
  if len(images) != len(labels):
    raise UserError(f'{where}: {len(images)} images but {len(labels)} labels; expected one label per image')
  if not len(images):
    raise UserError(f'{where}: holds no image')
  last = max(spec.num_classes - 1, 0)
  outside = labels[(labels < 0) | (labels > last)]
  if outside.size:
    raise UserError(f'{where}: label {outside[0]}; expected 0 to {last}')
  return dataset
