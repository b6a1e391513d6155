"""Data sets: one module each, named in one table, served as uint8 arrays at the working size.

A reader is a module with
  SPLITS                        the splits that the data set is published in
  describe(section) -> Spec     reads no image, needs no data
  load(section) -> Dataset      reads, resizes and, where that takes long, keeps the result (cache.py)
where `section` is `config.data` of configs/common.py.
"""

from jgen.data import digits, svhn
from jgen.data.spec import Dataset, Spec, checked
from jgen.errors import UserError, choose

READERS = {
    'digits': digits,
    'svhn': svhn,
}


def describe(section) -> Spec:
  """What `section` names, without reading an image.

  Raises:
    UserError: unknown data set or split, no split, image size below 1.
  """
  return _reader(section).describe(section)


def load(section) -> Dataset:
  """The images and labels that `section` names, at its image size.

  Raises:
    UserError: as `describe`; missing or damaged data; no room for the prepared images.
  """
  return checked(_reader(section).load(section))


def _reader(section):
  reader = choose('data.name', section.name, READERS)
  known = ', '.join(reader.SPLITS)
  if not section.splits:
    raise UserError(f'config.data.splits is empty; {section.name} has: {known}')
  for split in section.splits:
    if split not in reader.SPLITS:
      raise UserError(f"config.data.splits names '{split}', which {section.name} has not; it has: {known}")
  if section.image_size < 1:
    raise UserError(f'config.data.image_size is {section.image_size}; expected pixels of a side, at least 1')
  return reader
