"""Data sets: one module each, named in one table, served as uint8 arrays at the working size.

A reader is a module with
  SPLITS                        the splits that the data set is published in
  describe(section) -> Spec     reads no image, and needs no data unless the files alone say what the classes are
  load(section) -> Dataset      reads, resizes and, where that takes long, keeps the result (cache.py)
where `section` is `config.data` of configs/common.py. Which annotation serves as the label is decided here, for all of
them: the reader's own choice, unless config.data.label names another.
"""

import copy

from jgen.data import cache
from jgen.data.readers import celeba, digits, dsprites, folder, sprites, svhn, tiny_imagenet
from jgen.data.spec import Dataset, Spec, Splits, checked, relabelled, with_label
from jgen.errors import UserError, choose

READERS = {
    'celeba': celeba,
    'digits': digits,
    'dsprites': dsprites,
    'folder': folder,
    'sprites': sprites,
    'svhn': svhn,
    'tiny_imagenet': tiny_imagenet,
}


def describe(section) -> Spec:
  """What `section` names, without reading an image.

  Raises:
    UserError: unknown data set, split or label, no split, image size below 1; lists that cannot be read.
  """
  return with_label(_reader(section).describe(section), section.label)


def load(section) -> Dataset:
  """The images and labels that `section` names, at its image size.

  Raises:
    UserError: as `describe`; missing or damaged data; no room for the prepared images.
  """
  if section.label:
    describe(section)                   # a wrong name is told before anything is prepared
  return checked(relabelled(_reader(section).load(section), section.label))


def load_splits(section) -> Splits:
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
  test = load(of_test)                  # the smaller part first: what is wrong with it is told at once
  return Splits(load(section), test, root)


def _reader(section):
  reader = choose('data.name', section.name, READERS)
  known = ', '.join(reader.SPLITS)
  if not section.splits:
    raise UserError(f'config.data.splits is empty; {section.name} has: {known}')
  for split in section.splits:
    if split not in reader.SPLITS:
      raise UserError(f"config.data.splits names '{split}', which {section.name} has not; it has: {known}")
  return reader
