"""Data sets: one module each, named in one table, served as uint8 arrays at the working size.

Each is a `Reader`. Which annotation serves as the label is decided here, for all of them: the reader's own choice,
unless config.data.label names another.
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

_TFDS = 'tfds:'                         # begins the name of any other set of tensorflow_datasets


class Reader(Protocol):
  """The interface of a data set's module, or of an object that replaces it; `section` is config.data, see `Keys`."""

  @property
  def SPLITS(self) -> tuple[str, ...]:  # noqa: N802, a constant of a module
    """The splits that the data set is published in; () where they are known with the data."""

  @property
  def NEEDS(self) -> str:  # noqa: N802
    """What has to be there before it can be read, for --mode=list."""

  def describe(self, section: ConfigDict) -> Spec:
    """Reads no image, and needs no data unless the files alone say what the classes are."""

  def load(self, section: ConfigDict) -> Dataset:
    """Reads, resizes and, where that takes long, keeps the result (cache.py)."""


class _Readers(dict[str, Reader]):
  """{name: reader}, and for each name 'tfds:NAME' the reader of that set."""

  def __contains__(self, name):
    return super().__contains__(name) or str(name).startswith(_TFDS)

  def __missing__(self, name):
    if name not in self:
      raise KeyError(name)
    return tfds.TfdsReader(name.removeprefix(_TFDS))


class _OrTfds(tuple):
  """Names of data sets, and all that begin with 'tfds:'."""

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
_OF_FILES = ('celeba', 'folder', 'tiny_imagenet')   # the data sets whose images are files of their own


@dataclasses.dataclass(frozen=True)
class Keys:
  """The keys of config.data."""

  name: str = key('', "the data set; 'tfds:NAME' is any image data set of TensorFlow Datasets", names=READERS)
  dir: str = key('', "folder with the published files; '' for the data set's usual place, if it has one")
  splits: tuple[str, ...] = key(('train',), 'the splits that are trained on, joined')
  test_splits: tuple[str, ...] = key((), 'the splits that evaluators measure on, joined; () for none')
  image_size: int = key(64, 'pixels of a side, after resizing; of the height where image_width is set', at_least=1)
  image_width: int = key(0, 'pixels of the width, after resizing; 0 for as high, a square', at_least=0)
  channels: int = key(0, "1 for grey, 3 for colour; 0 for the data set's own ('folder': colour)", at_least=0,
                      at_most=3)
  cache_dir: str = key('', "folder for prepared images; '' for ~/.cache/jgen")
  label: str = key('', "the annotation that is the label; '' for the data set's own class, if any")
  crop: float = key(0., 'sides of the centre kept of image files, as a share of the largest centred square or '
                        'rectangle: 1 for all of it, 0 for the usual one (CelebA 140/178, others 1)', at_least=0,
                    at_most=1, read_with={'name': _OrTfds(_OF_FILES)})
  label_file: str = key('', "a .csv of annotations, one row per image; '' for none", read_with={'name': ('folder',)})
  partition_file: str = key('', "a list of each image's split; '' for the usual splits",
                            read_with={'name': ('celeba', 'folder')})
  max_bad_share: float = key(0.01, 'share of undecodable image files that are skipped before all is refused',
                             at_least=0, at_most=1, read_with={'name': _OF_FILES})
  on_device: bool = key(False, "whether the images are kept in the devices' memory, as uint8")
  sprites: SpritesKeys = subsection(SpritesKeys, read_with={'name': ('sprites',)})


def describe(section: ConfigDict) -> Spec:
  """What `section` names, without reading an image.

  Raises:
    UserError: unknown data set, split or label, no split, image size below 1; lists that cannot be read.
  """
  return with_label(_reader(section).describe(section), section.label)


def outline(section: ConfigDict) -> tuple[Spec, UserError | None]:
  """As `describe`, and where the data is not there its shape without classes, and the error that says so.

  Raises:
    UserError: as `describe`, but for data that is missing.
  """
  try:
    return describe(section), None
  except MissingDataError as error:
    channels = 1 if section.channels == 1 else 3   # of all data sets whose files say what the classes are
    return Spec(section.name, served_shape(section, channels)), error


def load(section: ConfigDict) -> Dataset:
  """The images and labels that `section` names, at its image size.

  Raises:
    UserError: as `describe`; missing or damaged data; no room for the prepared images.
  """
  if section.label:
    describe(section)                   # a wrong name is reported before anything is prepared
  return checked(relabelled(_reader(section).load(section), section.label))


def count(section: ConfigDict) -> int | None:
  """How many training images `section` names; None where they would have to be prepared or downloaded first."""
  if not section.dir and not READERS[section.name].NEEDS.startswith('nothing'):
    return None
  try:
    with cache.preparing_nothing():
      return len(load(section).images)
  except UserError:
    return None


def load_splits(section: ConfigDict) -> Splits:
  """The images to train on and, from `section.test_splits`, those to measure on.

  Raises:
    UserError: as `load`.
  """
  root = cache.root_of(section.cache_dir)
  if not section.test_splits:
    return Splits(load(section), cache_dir=root)
  of_test = copy.deepcopy(section)
  of_test.splits = section.test_splits
  describe(section)
  test = load(of_test)                  # the smaller part first: its errors are reported at once
  return Splits(load(section), test, root)


def _reader(section):
  reader = choose('data.name', section.name, READERS)
  known = ', '.join(reader.SPLITS)
  if not section.splits:
    raise UserError(f'config.data.splits is empty; {section.name} has: {known or "its own, as train and test"}')
  for split in section.splits:
    if reader.SPLITS and split not in reader.SPLITS:
      raise UserError(f"config.data.splits: unknown split '{split}' for {section.name}; available: {known}")
  return reader
