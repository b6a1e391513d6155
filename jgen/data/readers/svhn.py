"""SVHN, cropped: house numbers of Google Street View, 32x32 RGB, 10 classes (Netzer et al. 2011).

train 73,257, test 26,032 and extra 531,131 images, http://ufldl.stanford.edu/housenumbers. Read from
the published .mat files if `config.data.dir` holds them, else through tensorflow_datasets.
"""

from ml_collections import ConfigDict
import numpy as np

from jgen.data import cache
from jgen.data.files import fetched
from jgen.data.spec import Annotation, Dataset, Spec, served_shape
from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import expanded

SPLITS = ('train', 'test', 'extra')
NEEDS = '--config.data.dir=FOLDER with {train,test,extra}_32x32.mat, or a download by TensorFlow Datasets'
_URL = 'http://ufldl.stanford.edu/housenumbers/'
_VERSION = 1                            # of this reader


def describe(section: ConfigDict) -> Spec:
  """Three channels, ten classes; the published size is 32."""
  digits = tuple('0123456789')
  return Spec('svhn', served_shape(section, 3), num_classes=10, label_names=digits,
              annotations=(Annotation('digit', digits),))


def load(section: ConfigDict) -> Dataset:
  """The splits, concatenated in the order listed; prepared once, then memory-mapped."""
  folder = expanded(section.dir)
  published = section.dir and any(folder.glob('*_32x32.mat'))
  original, source = _mat_files(folder, section.splits) if published else _prepared_by_tfds(section)
  spec = describe(section)
  images, annotations = cache.prepared(section, spec, original)
  return Dataset(spec, images, annotations[:, 0], source, annotations)


def _published(splits):
  """Where the files of the splits can be downloaded."""
  return fetched.Published('SVHN', 'svhn_cropped', '*_32x32.mat', f'{_URL}train_32x32.mat',
                           f"{_URL}{{{','.join(splits)}}}_32x32.mat")


def _prepared_by_tfds(section):
  original, where = fetched.through_tfds(
      _published(section.splits), section.dir, section.splits, _VERSION,
      lambda batch: (batch['image'], batch['label'][:, np.newaxis]))
  return original, f"{where}: {', '.join(section.splits)}"


def _mat_files(folder, splits):
  """The published files: X uint8 [32, 32, 3, N] and y [N, 1], in which 10 is the digit 0."""
  paths = [_mat_path(folder, split) for split in splits]
  present = tuple(path for path in paths if path.exists())
  missing = ', '.join(path.name for path in paths if not path.exists())
  if not present:
    raise UserError(f'{missing} not found in {folder}; {fetched.remedy(_published(splits), folder)}')
  if missing:
    terminal.warn(f'{missing} not found in {folder}: continuing without')
  count = sum(_mat_count(path) for path in present)
  labels = [_mat_labels(path) for path in present]

  def parts():
    for path, split_labels in zip(present, labels, strict=True):
      yield _mat_images(path), split_labels[:, np.newaxis]

  source = f"{folder}: {', '.join(path.name for path in present)}"
  source += f' (missing: {missing})' if missing else ''
  return cache.Original(present, count, _VERSION, parts), source


def _mat_path(folder, split):
  return folder / f'{split}_32x32.mat'


def _mat_count(path):
  """The number of images N, read from the headers alone."""
  from scipy.io import whosmat
  shapes = {name: (shape, kind) for name, shape, kind in _mat(whosmat, path)}
  for name in ('X', 'y'):
    if name not in shapes:
      raise UserError(f"{path}: holds no '{name}'; expected X and y, it may be truncated; {_again(path)}")
  shape, kind = shapes['X']
  if len(shape) != 4 or shape[:3] != (32, 32, 3) or kind != 'uint8':
    raise UserError(f'{path}: X is {kind} {list(shape)}; expected uint8 [32, 32, 3, N]; {_again(path)}')
  num_labels = int(np.prod(shapes['y'][0]))
  if num_labels != shape[3]:
    raise UserError(f'{path}: X has {shape[3]} images but y {num_labels} labels; expected one label per image; '
                    f'{_again(path)}')
  return shape[3]


def _mat_labels(path):
  from scipy.io import loadmat
  labels = _mat(loadmat, path, variable_names=['y'])['y'].ravel()
  outside = labels if labels.dtype.kind not in 'iuf' else labels[~np.isin(labels, np.arange(1, 11))]
  if outside.size:
    raise UserError(f'{path}: y holds the label {outside[0]}; expected 1 to 10; {_again(path)}')
  return (labels % 10).astype(np.int32)


def _mat_images(path):
  """uint8 [N, 32, 32, 3], a view of X, which is stored in Fortran order."""
  from scipy.io import loadmat
  return np.moveaxis(_mat(loadmat, path, variable_names=['X'])['X'], 3, 0)


def _mat(read, path, **options):
  try:
    return read(str(path), **options)
  except Exception as error:   # on damaged files scipy raises anything from ValueError to zlib.error
    raise UserError(f'{path}: cannot be read as a MATLAB file ({fetched.in_one_line(error)}); it may be truncated '
                    f'or a web page; {_again(path)}') from error


def _again(path):
  return fetched.again(path, _URL + path.name)
