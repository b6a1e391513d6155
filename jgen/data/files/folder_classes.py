"""Class labels from folder names."""

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
  """The classes of images by the top-level folder that each is in."""

  names: Sequence[str]                  # of the images used, in order
  values: tuple[str, ...]               # the classes; () where the images are unlabelled
  codes: np.ndarray                     # int32 [N, 1], or [N, 0] without classes
  dropped: tuple[tuple[str, str], ...]  # (image, why) left out
  note: str                             # how the folders were interpreted, for the person at the terminal


def of_folders(names: Sequence[str], where: str) -> Classes:
  """The classes of images by the top-level folder that each is in.

  Folders are classes if at least two of them hold images. Images outside of them are left out, but if these are the
  majority, the data set is unlabelled.

  Args:
    names: of all images, relative to the root, with forward slashes
    where: the root, for messages

  Raises:
    UserError: two or more folders have names of splits.
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
      tuple((name, 'is in no class folder') for name in names if '/' not in name),
      f'the folders directly below {where} are the classes: {few(folders)}')


def _refuse_splits(folders, where):
  splits = [folder for folder in folders if folder.lower() in _SPLITS]
  if len(splits) > 1:
    raise UserError(
        f"{where}: its folders {few(splits)} have names of splits, and would become classes; name the one to train on: "
        f'--config.data.dir={where}/{splits[0]} --config.data.splits="(\'all\',)", or rename them if they are classes')


def _why_unlabelled(folders, stray, where):
  if not folders:
    return f'unlabelled: all images lie directly in {where}'
  if len(folders) == 1:
    return (f'unlabelled: all images are in the single folder {folders[0]} of {where}; to use the folders in it as '
            f'classes, name it: --config.data.dir={where}/{folders[0]}')
  return (f'unlabelled: most images ({stray:,}) lie directly in {where}, so its folders {few(folders)} are not used '
          'as classes')
