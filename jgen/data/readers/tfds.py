"""Any image data set of tensorflow_datasets: `config.data.name = 'tfds:NAME'`, where NAME is a name for tfds.builder.

The image is the feature `image`, or else the only image feature. Every ClassLabel feature is an annotation; the one
named `label`, or else the only one, is the class. Images of any sizes are centre-cropped and resized, as in `folder`.
"""

import dataclasses
import re

from ml_collections import ConfigDict
import numpy as np

from jgen.data import cache
from jgen.data.files import fetched
from jgen.data.files.decoding import centre_crop
from jgen.data.files.image_files import crop_share
from jgen.data.files.resizing import in_channels, resize
from jgen.data.host import errors_only, tensorflow
from jgen.data.spec import Annotation, Dataset, Spec, served_shape
from jgen.errors import UserError, nearest

_VERSION = 1
_NAME = re.compile(r'[A-Za-z]\w*(/[\w.-]+)?(:\d+\.\d+\.\d+)?')
_TOGETHER = 256                         # images per part


@dataclasses.dataclass(frozen=True)
class TfdsReader:
  """The Reader (jgen/data/__init__.py) of one data set."""

  name: str                             # for tfds.builder
  NEEDS = 'a download by TensorFlow Datasets'
  SPLITS = ()                           # each data set has its own, known once it is prepared

  def describe(self, section: ConfigDict) -> Spec:
    """Channels and classes as tensorflow_datasets declares them; needs no data."""
    return self._opened(section)[1]

  def load(self, section: ConfigDict) -> Dataset:
    """The splits, concatenated in the order listed; prepared once, then memory-mapped."""
    (builder, spec), share = self._opened(section), crop_share(section, 1.)
    fetched.prepare(builder, f'tfds:{self.name}')
    for split in section.splits:
      if split not in builder.info.splits:
        raise UserError(f"config.data.splits: unknown split '{split}' for tfds:{self.name}; available: "
                        f"{', '.join(builder.info.splits)}")
    original = fetched.of_builder(builder, section.splits, _VERSION,
                                  lambda split: self._parts(builder, split, spec, share))
    original = dataclasses.replace(original, settings={'crop': share})
    images, annotations = cache.prepared(section, spec, original)
    label = _label(spec.annotations)
    labels = np.zeros(len(images), np.int32) if label is None else annotations[:, label]
    return Dataset(spec, images, labels, f"{builder.data_path}: {', '.join(section.splits)}", annotations)

  def _opened(self, section):
    with errors_only():
      builder = self._builder(section)
      return builder, self._spec(section, builder)

  def _builder(self, section):
    if not _NAME.fullmatch(self.name):
      raise UserError(f"config.data.name: 'tfds:{self.name}' is not a name of tensorflow_datasets; expected tfds:NAME, "
                      'tfds:NAME/CONFIG or either with :VERSION')
    tensorflow()
    import tensorflow_datasets as tfds
    try:
      return tfds.builder(self.name, data_dir=section.dir or None)
    except tfds.core.registered.DatasetNotFoundError as error:
      base = re.split('[/:]', self.name)[0]
      near = _nearest(base, tfds.list_builders(with_community_datasets=False))
      raise UserError(f"config.data.name: tensorflow_datasets has no '{base}'; {near}") from error
    except Exception as error:          # a missing package, an unknown config or version
      raise UserError(f'config.data.name: tfds:{self.name} cannot be opened by tensorflow_datasets '
                      f'({fetched.in_one_line(error)})') from error

  def _spec(self, section, builder):
    image, labels = self._features(builder.info.features)
    annotations = tuple(Annotation(name, tuple(map(str, feature.names))) for name, feature in labels.items())
    label = _label(annotations)
    values = () if label is None else annotations[label].values
    channels = 1 if builder.info.features[image].shape[-1] == 1 else 3
    return Spec(f'tfds:{self.name}', served_shape(section, channels), len(values), values, annotations)

  def _features(self, features):
    """(the name of the image feature, {name: feature} of the ClassLabel features)."""
    import tensorflow_datasets as tfds
    named = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [name for name, feature in named.items()
              if isinstance(feature, tfds.features.Image) and feature.dtype == np.uint8]
    if not images or len(images) > 1 and 'image' not in images:
      raise UserError(f"config.data.name: tfds:{self.name} has {'several images' if images else 'no 8-bit image'} "
                      f"per example ({', '.join(images or named) or 'no named features'}); expected one, or one named "
                      "'image'")
    labels = {name: feature for name, feature in named.items()
              if isinstance(feature, tfds.features.ClassLabel) and feature.num_classes and feature.num_classes > 1}
    return 'image' if 'image' in images else images[0], labels

  def _parts(self, builder, split, spec, share):
    """Yields the split's cropped and resized images and annotations, `_TOGETHER` images at a time."""
    import tensorflow_datasets as tfds
    image, _ = self._features(builder.info.features)
    names = [annotation.name for annotation in spec.annotations]
    images, rows = [], []
    for example in tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)):
      cropped = centre_crop(example[image], share, spec.image_shape)[np.newaxis, ..., :3]
      images.append(resize(in_channels(cropped, spec.image_shape[2]), spec.image_shape[:2]))
      rows.append([example[name] for name in names])
      if len(images) == _TOGETHER:
        yield np.concatenate(images), _rows(rows, names)
        images, rows = [], []
    if images:
      yield np.concatenate(images), _rows(rows, names)


def _nearest(name, names):
  """The most similar name, else the page that lists all, which are too many for one line."""
  near = nearest(name, names)
  return near if near.startswith('did') else 'https://www.tensorflow.org/datasets/catalog/overview lists all'


def _label(annotations):
  """The index of the annotation that is the class; None if there is none."""
  names = [annotation.name for annotation in annotations]
  return names.index('label') if 'label' in names else 0 if len(names) == 1 else None


def _rows(rows, names):
  values = np.array(rows, np.int64).reshape(len(rows), len(names))
  if (values < 0).any():                # in test sets whose labels are not published
    raise UserError('some of these images have no label (-1); choose other splits')
  return values.astype(np.int32)
