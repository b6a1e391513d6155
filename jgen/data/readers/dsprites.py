"""dSprites: 737,280 binary 64x64 images, one for every combination of six factors (Matthey et al. 2017).

https://github.com/google-deepmind/dsprites-dataset, Apache-2.0. Read from the published .npz if `config.data.dir`
holds it, else through tensorflow_datasets. The .npz also holds a pickled `metadata`, which is never opened because
unpickling can run any code.
"""

import contextlib
import dataclasses
import zipfile
import zlib

from ml_collections import ConfigDict
import numpy as np

from jgen.data import cache
from jgen.data.files import fetched, partition
from jgen.data.readers import sprites
from jgen.data.spec import Dataset, Spec, served_shape
from jgen.errors import UserError
from jgen.host.files import expanded

SPLITS = partition.SPLITS
NEEDS = '--config.data.dir=FOLDER with the published .npz, or a download by TensorFlow Datasets'
FILE = 'dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz'
ORIENTATIONS = np.linspace(0, 2 * np.pi, 40)   # the last equals the first

_URL = f'https://raw.githubusercontent.com/google-deepmind/dsprites-dataset/master/{FILE}'
_PUBLISHED = fetched.Published('dSprites', 'dsprites', FILE, _URL, _URL)
_VERSION = 1                            # of this reader
_PART = 4096                            # images decoded at a time
_SIDE = 64
_LABELS = ('label_shape', 'label_scale', 'label_orientation', 'label_x_position', 'label_y_position')


def describe(section: ConfigDict) -> Spec:
  """One channel, three classes (the shapes), six factors; the published size is 64."""
  return Spec('dsprites', served_shape(section, 1), num_classes=3, label_names=sprites.SHAPES,
              annotations=sprites.factors(ORIENTATIONS), has_factors=True)


def load(section: ConfigDict) -> Dataset:
  """The splits, black 0 and white 255, prepared once (3 GB for all at 64x64), then memory-mapped."""
  path = expanded(section.dir) / FILE
  original, where = (_npz(path), path) if section.dir and path.exists() else fetched.through_tfds(
      _PUBLISHED, section.dir, ('train',), _VERSION, _read_features)
  if 'all' not in section.splits:
    original = dataclasses.replace(original, chosen=lambda classes: partition.belong(_numbers(classes), section.splits),
                                   settings=partition.settings(section.splits))
  spec = describe(section)
  images, annotations = cache.prepared(section, spec, original)
  return Dataset(spec, images, annotations[:, 1], f"{where}: {', '.join(section.splits)}", annotations)


def _numbers(classes):
  """Indices int64 [n] in the published order for factor classes [n, 6]; tensorflow_datasets has another order."""
  return np.ravel_multi_index(classes.T, sprites.SIZES)


def _npz(path):
  """The Original of the .npz: `imgs`, uint8 [N, 64, 64] of 0 and 1, and `latents_classes`, int64 [N, 6]."""
  with _member(path, 'imgs', 'uint8', (_SIDE, _SIDE)) as (_, count):
    pass
  with _member(path, 'latents_classes', 'int64', (len(sprites.SIZES),)) as (_, num_classes):
    if num_classes != count:
      raise UserError(f'{path}: {count} images but {num_classes} rows of latents_classes; expected one per image; '
                      f'{fetched.again(path, _URL)}')

  def parts():
    classes = _classes(path)
    start = 0
    for images in _images(path):
      yield images, classes[start:start + len(images)]
      start += len(images)

  return cache.Original((path,), count, _VERSION, parts)


@contextlib.contextmanager
def _member(path, name, dtype, shape):
  """(one array of the archive, as a file opened after the array's header; its length N). Nothing is unpickled.

  Raises:
    UserError: no archive, no such array, not `dtype` [N, *shape], or any error while it is read.
  """
  try:
    with zipfile.ZipFile(path) as archive, archive.open(f'{name}.npy') as file:
      version = np.lib.format.read_magic(file)
      read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
      header_shape, fortran_order, kind = read_header(file)
      if kind != dtype or header_shape[1:] != shape or not header_shape or fortran_order:
        expected = f"{dtype} [N, {', '.join(map(str, shape))}]"
        raise UserError(f'{path}: {name} is {kind} {list(header_shape)}; expected {expected}; '
                        f'{fetched.again(path, _URL)}')
      yield file, header_shape[0]
  except (OSError, EOFError, LookupError, ValueError, zipfile.BadZipFile, zlib.error) as error:
    raise UserError(f'{path}: cannot be read as dSprites ({fetched.in_one_line(error)}); it may be truncated or '
                    f'another file; {fetched.again(path, _URL)}') from error


def _images(path):
  """Yields uint8 [n, 64, 64, 1] of 0 and 255 in parts: all images take 3 GB."""
  with _member(path, 'imgs', 'uint8', (_SIDE, _SIDE)) as (file, count):
    for start in range(0, count, _PART):
      images = _array(file, np.uint8, (min(_PART, count - start), _SIDE, _SIDE, 1))
      if images.max() > 1:
        raise UserError(f'{path}: imgs holds the value {images.max()}; expected 0 and 1; {fetched.again(path, _URL)}')
      yield images * np.uint8(255)
    file.read()                           # to the end, where zipfile verifies the checksum


def _classes(path):
  with _member(path, 'latents_classes', 'int64', (len(sprites.SIZES),)) as (file, count):
    classes = _array(file, np.int64, (count, len(sprites.SIZES)))
    file.read()
  if (classes < 0).any() or (classes >= sprites.SIZES).any():
    raise UserError(f'{path}: latents_classes holds {classes.min(0).tolist()} to {classes.max(0).tolist()}; expected 0 '
                    f'to {[size - 1 for size in sprites.SIZES]}; {fetched.again(path, _URL)}')
  return classes


def _array(file, dtype, shape):
  content = file.read(int(np.prod(shape)) * np.dtype(dtype).itemsize)
  return np.frombuffer(content, dtype).reshape(shape)


def _read_features(batch):
  """The images and factor classes of a batch of tensorflow_datasets' `dsprites`, which has no colour factor."""
  labels = [batch[name] for name in _LABELS]
  return batch['image'] * np.uint8(255), np.stack([np.zeros_like(labels[0]), *labels], axis=1)
