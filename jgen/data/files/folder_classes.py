"""Folders as classes: which there are, which images are in none, and what cannot be meant."""

import collections
from collections.abc import Sequence
import dataclasses

import numpy as np

from jgen.data.files.tables import few
from jgen.errors import UserError

_SPLITS = frozenset(('train', 'training', 'trn', 'val', 'valid', 'validation', 'dev', 'test', 'testing', 'eval',
                     'holdout', 'unlabeled', 'unlabelled'))


@dataclasses.dataclass(frozen=True)
class Classes:
  """What the folders directly below a root say of its images."""

  names: Sequence[str]                  # of the images that are kept, in order
  values: tuple[str, ...]               # the classes; none where the images are unlabelled
  codes: np.ndarray                     # int32 [N, 1], or [N, 0] without classes
  dropped: tuple[tuple[str, str], ...]  # (image, why) that is left out
  note: str                             # what was taken as what, for the person at the terminal


def of_folders(names: Sequence[str], where: str) -> Classes:
  """The classes of images by the folder directly below the root that each is in.

  There are classes where two folders at least hold images. A few images outside these folders are left out; where they
  are the most, no folder is a class.

  Args:
    names: of all images, relative to the root, with forward slashes
    where: the root, for messages

  Raises:
    UserError: two folders or more are called as splits are.
  """
  tops = [(n, name.partition('/')[0]) for n, name in enumerate(names) if '/' in name]
  counts = collections.Counter(top for _, top in tops)
  stray = len(names) - len(tops)
  folders = tuple(sorted(counts))
  _refuse_splits(folders, where)
  if len(folders) < 2 or stray > len(tops):
    return Classes(names, (), np.zeros((len(names), 0), np.int32), (), _why_unlabelled(folders, stray, where))
  codes = {folder: code for code, folder in enumerate(folders)}
  return Classes(
      [names[n] for n, _ in tops], folders, np.array([codes[top] for _, top in tops], np.int32)[:, np.newaxis],
      tuple((name, 'is in no folder of a class') for name in names if '/' not in name),
      f'the folders directly below {where} are the classes: {few(folders)}')


def _refuse_splits(folders, where):
  splits = [folder for folder in folders if folder.lower() in _SPLITS]
  if len(splits) > 1:
    raise UserError(
        f"{where}: its folders {few(splits)} are called as splits are, and would become classes; name the one to train "
        f'on: --config.data.dir={where}/{splits[0]} --config.data.splits="(\'all\',)", or rename them if they are '
        'classes')


def _why_unlabelled(folders, stray, where):
  if not folders:
    return f'unlabelled: all images lie directly in {where}'
  if len(folders) == 1:
    return (f'unlabelled: all images are in the one folder {folders[0]} of {where}; to take the folders in it as '
            f'classes, name it: --config.data.dir={where}/{folders[0]}')
  return (f'unlabelled: {stray:,} images, the most, lie directly in {where}, so that its folders {few(folders)} are no '
          'classes')
