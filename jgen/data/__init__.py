"""Data sets: one module each, registered in one table, returned as uint8 arrays at config.data.image_size.

Each module is a `Reader`. The label is chosen here, for all readers: the reader's default, unless config.data.label
names another annotation.
"""

import copy
import dataclasses
from typing import Protocol

from ml_collections import ConfigDict

from jgen.data import cache
from jgen.data.files.archive import MissingDataError
from jgen.data.readers import celeba, cifar10, digits, dsprites, folder, mnist, sprites, svhn, tfds, tiny_imagenet
from jgen.data.readers.sprites import Keys as SpritesKeys
from jgen.data.spec import Dataset, Spec, Splits, checked, relabelled, served_shape, with_label
from jgen.errors import UserError, choose
from jgen.keys import key
from jgen.keys import section as subsection

_TFDS = 'tfds:'                         # prefix of the name of any other tensorflow_datasets data set


class Reader(Protocol):
  """The interface of a data set's module, or of an object that replaces it; `section` is config.data, see `Keys`."""

  @property
  def SPLITS(self) -> tuple[str, ...]:  # noqa: N802, a constant of a module
    """The published splits; () where they are known only once the data is available."""

  @property
  def NEEDS(self) -> str:  # noqa: N802
    """What the user has to provide before it can be read, shown by --mode=list."""

  def describe(self, section: ConfigDict) -> Spec:
    """The Spec, without reading an image; needs the data only where its files define the classes."""

  def load(self, section: ConfigDict) -> Dataset:
    """Reads and resizes the images, and caches the result where that takes long (cache.py)."""


class _Readers(dict[str, Reader]):
  """{name: reader}; a name 'tfds:NAME' gives the reader of that tensorflow_datasets data set."""

  def __contains__(self, name):
    return super().__contains__(name) or str(name).startswith(_TFDS)

  def __missing__(self, name):
    if name not in self:
      raise KeyError(name)
    return tfds.TfdsReader(name.removeprefix(_TFDS))


class _OrTfds(tuple):
  """Names of data sets, and every name that begins with 'tfds:'."""

  def __contains__(self, name):
    return super().__contains__(name) or str(name).startswith(_TFDS)


READERS = _Readers({
    'celeba': celeba,
    'cifar10': cifar10,
    'digits': digits,
    'dsprites': dsprites,
    'fashion_mnist': mnist.FASHION_MNIST,
    'folder': folder,
    'mnist': mnist.MNIST,
    'sprites': sprites,
    'svhn': svhn,
    'tiny_imagenet': tiny_imagenet,
})
_OF_FILES = ('celeba', 'folder', 'tiny_imagenet')   # the data sets that store one file per image


@dataclasses.dataclass(frozen=True)
class Keys:
  """The keys of config.data."""

  name: str = key('', "the data set; 'tfds:NAME' is any image data set of TensorFlow Datasets", names=READERS)
  dir: str = key('', "folder with the published files; '' for the data set's usual place, if it has one")
  splits: tuple[str, ...] = key(('train',), 'splits to train on, concatenated')
  test_splits: tuple[str, ...] = key((), 'splits to evaluate on, concatenated; () for none')
  image_size: int = key(64, 'height in pixels after resizing, and width unless image_width is set', at_least=1)
  image_width: int = key(0, 'width in pixels after resizing; 0 for square images', at_least=0)
  channels: int = key(0, "1 for grey, 3 for colour; 0 for the data set's own ('folder': colour)", at_least=0,
                      at_most=3)
  cache_dir: str = key('', "folder for prepared images; '' for the usual one: docs/data.md")
  label: str = key('', "the annotation to use as the label; '' for the data set's own class, if any")
  crop: float = key(0., 'sides of the centre crop, as a share of the largest crop that fits into the image; '
                        '0 for the default (CelebA 140/178, others 1)', at_least=0, at_most=1,
                    read_with={'name': _OrTfds(_OF_FILES)})
  label_file: str = key('', "a table (.csv, .txt) or .json of annotations, one row per image; '' for none",
                        read_with={'name': ('folder',)})
  partition_file: str = key('', "a list with the split of each image; '' for the default splits",
                            read_with={'name': ('celeba', 'folder')})
  max_bad_share: float = key(0.01, 'largest share of undecodable image files that are skipped; above it, the run stops',
                             at_least=0, at_most=1, read_with={'name': _OF_FILES})
  on_device: bool = key(False, 'whether to keep the images in device memory, as uint8')
  sprites: SpritesKeys = subsection(SpritesKeys, read_with={'name': ('sprites',)})


def describe(section: ConfigDict) -> Spec:
  """The Spec of the data set that `section`, config.data, names, without reading an image.

  Raises:
    UserError: unknown data set, split or label; no split; image size below 1; unreadable lists.
  """
  return with_label(_reader(section).describe(section), section.label)


def outline(section: ConfigDict) -> tuple[Spec, UserError | None]:
  """(the Spec that `describe` returns, None); where the data is missing, (a Spec without classes, the error).

  Raises:
    UserError: as `describe`, except for missing data.
  """
  try:
    return describe(section), None
  except MissingDataError as error:
    channels = 1 if section.channels == 1 else 3   # holds for every data set whose files define its classes
    return Spec(section.name, served_shape(section, channels)), error


def load(section: ConfigDict) -> Dataset:
  """The images and labels that `section`, config.data, names, resized to its image size.

  Raises:
    UserError: as `describe`; missing or damaged data; not enough disk space for the prepared images.
  """
  if section.label:
    describe(section)                   # reports a wrong name before any image is prepared
  return checked(relabelled(_reader(section).load(section), section.label))


def count(section: ConfigDict) -> int | None:
  """The number of training images that `section` names; None if they are not prepared or downloaded yet."""
  if not section.dir and not READERS[section.name].NEEDS.startswith('nothing'):
    return None
  try:
    with cache.preparing_nothing():
      return len(load(section).images)
  except UserError:
    return None


def load_splits(section: ConfigDict) -> Splits:
  """The training images and, if `section.test_splits` names any, the test images.

  Raises:
    UserError: as `load`.
  """
  root = cache.root_of(section.cache_dir)
  if not section.test_splits:
    return Splits(load(section), cache_dir=root)
  test_section = copy.deepcopy(section)
  test_section.splits = section.test_splits
  describe(section)
  test = load(test_section)             # first, because it is smaller: its errors show early
  return Splits(load(section), test, root)


def _reader(section):
  reader = choose('data.name', section.name, READERS)
  available = ', '.join(reader.SPLITS)
  if not section.splits:
    raise UserError(f'config.data.splits is empty; available for {section.name}: '
                    f'{available or "its own, such as train and test"}')
  for split in section.splits:
    if reader.SPLITS and split not in reader.SPLITS:
      raise UserError(f"config.data.splits: unknown split '{split}' for {section.name}; available: {available}")
  return reader
