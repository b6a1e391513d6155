"""MNIST and Fashion-MNIST: 28x28 grey, 10 classes, 60,000 training and 10,000 test images each.

MNIST: handwritten digits (LeCun, Bottou, Bengio and Haffner 1998); Fashion-MNIST: pieces of clothing (Xiao, Rasul and
Vollgraf 2017), published in the same format under the same file names. Read from the published idx files, with or
without gzip, if `config.data.dir` holds them, else through tensorflow_datasets.
"""

import dataclasses
import gzip
import zlib

from ml_collections import ConfigDict
import numpy as np

from jgen.data import cache
from jgen.data.files import fetched
from jgen.data.spec import Annotation, Dataset, Spec, served_shape
from jgen.errors import UserError
from jgen.host.files import expanded

_VERSION = 1                            # of this reader
_STEMS = {'train': 'train', 'test': 't10k'}
_IMAGES, _LABELS = 0x803, 0x801         # first four bytes: unsigned bytes with three dimensions, with one
_MAX_BYTES = 1 << 28                    # per unpacked file; the largest published one has 47 million


@dataclasses.dataclass(frozen=True)
class IdxReader:
  """The Reader (jgen/data/__init__.py) of one of the two data sets."""

  name: str
  title: str                            # for messages
  annotation: Annotation
  url: str                              # of the published folder
  SPLITS = ('train', 'test')
  NEEDS = '--config.data.dir=FOLDER with the published files, or a download by TensorFlow Datasets'

  def describe(self, section: ConfigDict) -> Spec:
    """One channel, ten classes; the published size is 28."""
    values = self.annotation.values
    return Spec(self.name, served_shape(section, 1), len(values), values, (self.annotation,))

  def load(self, section: ConfigDict) -> Dataset:
    """The splits, concatenated in the order listed; prepared once, then memory-mapped."""
    folder = expanded(section.dir)
    has_files = section.dir and any(_find(folder, split, kind) for split in _STEMS for kind in ('images', 'labels'))
    original, source = self._idx(folder, section.splits) if has_files else self._prepared_by_tfds(section)
    spec = self.describe(section)
    images, annotations = cache.prepared(section, spec, original)
    return Dataset(spec, images, annotations[:, 0], source, annotations)

  def _idx(self, folder, splits):
    paths = [(self._path(folder, split, 'images'), self._path(folder, split, 'labels')) for split in splits]
    labels = [self._labels(path) for _, path in paths]

    def parts():
      for (path, _), split_labels in zip(paths, labels, strict=True):
        images = self._images(path)
        if len(images) != len(split_labels):
          raise UserError(f'{path}: {len(images)} images but {len(split_labels)} labels; expected one label per image; '
                          f'{self._again(path)}')
        yield images, split_labels

    original = cache.Original(tuple(path for pair in paths for path in pair), sum(map(len, labels)), _VERSION, parts)
    return original, f"{folder}: {', '.join(path.name for path, _ in paths)}"

  def _path(self, folder, split, kind):
    path = _find(folder, split, kind)
    if path is None:
      raise UserError(f'{_names(split, kind)[0]} not found in {folder}; '
                      f'{fetched.remedy(self._published([split]), folder)}')
    return path

  def _labels(self, path):
    labels = self._array(path, _LABELS).astype(np.int32)[:, np.newaxis]
    if labels.size and labels.max() >= len(self.annotation.values):
      raise UserError(f'{path}: holds the label {labels.max()}; expected 0 to {len(self.annotation.values) - 1}; '
                      f'{self._again(path)}')
    return labels

  def _images(self, path):
    return self._array(path, _IMAGES)[..., np.newaxis]

  def _array(self, path, magic):
    """The uint8 array of an idx file: a 4-byte magic number, a 4-byte big-endian size per dimension, the values."""
    content = self._unpacked(path)
    dimensions = magic & 0xff
    header = 4 * (1 + dimensions)
    if len(content) < header or int.from_bytes(content[:4]) != magic:
      raise UserError(f'{path}: is not an idx file of {"images" if magic == _IMAGES else "labels"} (it begins with '
                      f'{content[:4].hex()}, expected {magic:08x}); {self._again(path)}')
    shape = np.frombuffer(content, '>u4', dimensions, 4).tolist()
    if len(content) - header != np.prod(shape, dtype=object) or 0 in shape:
      raise UserError(f'{path}: its header announces {" x ".join(map(str, shape))} values, but it holds '
                      f'{len(content) - header:,}; {self._again(path)}')
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)

  def _unpacked(self, path):
    try:
      with open(path, 'rb') as file:
        packed = file.read(2) == b'\x1f\x8b'
        file.seek(0)
        with gzip.open(file) if packed else file as source:
          content = source.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
      raise UserError(f'{path}: cannot be read ({fetched.in_one_line(error)}); it may be truncated; '
                      f'{self._again(path)}') from error
    if len(content) > _MAX_BYTES:
      raise UserError(f'{path}: unpacks to more than {_MAX_BYTES >> 20} MB; {self._again(path)}')
    return content

  def _prepared_by_tfds(self, section):
    original, where = fetched.through_tfds(
        self._published(section.splits), section.dir, section.splits, _VERSION,
        lambda batch: (batch['image'], batch['label'][:, np.newaxis]))
    return original, f"{where}: {', '.join(section.splits)}"

  def _published(self, splits):
    stems = ','.join(_STEMS[split] for split in splits)
    stems = f'{{{stems}}}' if ',' in stems else stems
    return fetched.Published(self.title, self.name, '*-ubyte.gz', f'{self.url}train-labels-idx1-ubyte.gz',
                             f'{self.url}{stems}-{{images-idx3,labels-idx1}}-ubyte.gz')

  def _again(self, path):
    return fetched.again(path, self.url + path.name.removesuffix('.gz') + '.gz')


def _names(split, kind):
  """The published file name, and the names of the unpacked file."""
  stem = f"{_STEMS[split]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
  return f'{stem}.gz', stem, stem.replace('-idx', '.idx')


def _find(folder, split, kind):
  """The file of a split's images or labels, in the folder or its usual subfolders; None if there is none."""
  places = (folder, *(folder / inner for inner in ('raw', 'MNIST/raw', 'FashionMNIST/raw')))
  return next((place / name for place in places for name in _names(split, kind) if (place / name).is_file()), None)


MNIST = IdxReader('mnist', 'MNIST', Annotation('digit', tuple('0123456789')),
                  'https://storage.googleapis.com/cvdf-datasets/mnist/')
FASHION_MNIST = IdxReader(
    'fashion_mnist', 'Fashion-MNIST', Annotation('article', (
        'T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot')),
    'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/')
