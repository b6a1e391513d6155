"""Tiny ImageNet: 64x64 RGB, 200 classes with 500 training and 50 validation images each, 10,000 unlabelled ones.

The course data of Stanford's CS231n, http://cs231n.stanford.edu/tiny-imagenet-200.zip, read from the zip or the
unpacked folder. Classes are sorted by their WordNet ids. The classes of the validation images come from
val_annotations.txt, or from their folders if they were sorted into class folders.
"""

from pathlib import PurePosixPath

from ml_collections import ConfigDict
import numpy as np

from jgen.data import cache
from jgen.data.files import archive
from jgen.data.files.image_files import ImageFiles, bad_share, crop_share, pictures, warn_dropped
from jgen.data.files.tables import key
from jgen.data.spec import Annotation, Dataset, Spec, served_shape
from jgen.errors import UserError

SPLITS = ('train', 'val', 'test')
NEEDS = '--config.data.dir=PATH of tiny-imagenet-200.zip or its folder'
_VERSION = 1
_URL = 'http://cs231n.stanford.edu/tiny-imagenet-200.zip'


def describe(section: ConfigDict) -> Spec:
  """Three channels and the classes of wnids.txt; the published size is 64. Reads wnids.txt and words.txt."""
  return _spec(section, _opened(section))


def load(section: ConfigDict) -> Dataset:
  """The splits, concatenated in the order listed; prepared once, then memory-mapped."""
  root = _opened(section)
  spec = _spec(section, root)
  names: list[str] = []
  numbers: list[int] = []
  dropped: list[tuple[str, str]] = []
  for split in section.splits:
    labelled = _split(root, split)
    names += [name for name, label in labelled if label is not None]
    numbers += [label for _, label in labelled if label is not None]
    dropped += [(name, 'its class is not in wnids.txt') for name, label in labelled if label is None]
  warn_dropped(dropped, len(names) + len(dropped))
  if not names:
    raise UserError(f"{root.source.path}: wnids.txt has the class of none of the {len(dropped):,} images in "
                    f"{', '.join(section.splits)}; download {_URL} again")
  annotations = np.array(numbers, np.int32).reshape(len(names), -1)[:, :len(spec.annotations)]
  original = ImageFiles(
      root.source, tuple(names), annotations, root.lists, _VERSION, crop_share(section, 1.), bad_share(section),
      tuple(dropped), more_settings={'classes': root.wnids})
  images, annotations = cache.prepared(section, spec, original)
  labels = annotations[:, 0] if spec.num_classes else np.zeros(len(images), np.int32)
  return Dataset(spec, images, labels, f"{root.source.path}: {', '.join(section.splits)}", annotations)


class _Root:
  """The folder of wnids.txt within the folder or zip config.data.dir."""

  def __init__(self, source):
    self.source = source
    lists = [name for name in source.names if PurePosixPath(name).name == 'wnids.txt']
    if not lists:
      raise UserError(f'{source.path}: holds no wnids.txt; expected the zip from {_URL} or its folder '
                      'tiny-imagenet-200')
    self.prefix = lists[0].removesuffix('wnids.txt')
    self.wnids = sorted(set(self.text('wnids.txt').split()))
    self.codes = {wnid: code for code, wnid in enumerate(self.wnids)}
    is_folder = isinstance(source, archive.Folder)
    self.lists = tuple(source.path / name for name in source.names if is_folder and name in (
        f'{self.prefix}wnids.txt', f'{self.prefix}val/val_annotations.txt'))
    if not self.wnids:
      raise UserError(f'{source.path}: wnids.txt names no class; download {_URL} again')

  def has(self, name: str) -> bool:
    """Whether there is a file of this name, relative to the folder."""
    return self.prefix + name in self.source.names

  def text(self, name: str) -> str:
    """The text of a file, by its name relative to the folder; raises UserError if it cannot be read."""
    try:
      return self.source.read(self.prefix + name).decode('utf-8')
    except (OSError, UnicodeDecodeError) as error:
      raise UserError(f'{self.source.path}: {name} cannot be read ({error}); download {_URL} again') from error


def _opened(section):
  if not section.dir:
    raise archive.MissingDataError('Tiny ImageNet is not downloaded automatically; download it with: curl --fail -O '
                                   f'{_URL} and name the zip or its folder with --config.data.dir=PATH')
  if 'test' in section.splits and len(section.splits) > 1:
    raise UserError('the test images of tiny_imagenet have no labels; use them alone, '
                    "--config.data.splits=\"('test',)\", or leave them out")
  return _Root(archive.opened(section.dir))


def _spec(section, root):
  shape = served_shape(section, 3)
  if 'test' in section.splits:
    return Spec('tiny_imagenet', shape)
  words = dict(line.split('\t', 1) for line in root.text('words.txt').splitlines() if '\t' in line) if root.has(
      'words.txt') else {}
  names = tuple(words.get(wnid, wnid).split(',')[0].strip() for wnid in root.wnids)
  return Spec('tiny_imagenet', shape, len(names), names, (Annotation('class', names),))


def _split(root, split):
  """(name, class) of every image of a split: 0 for images without a label, None for a class not in wnids.txt.

  Raises:
    UserError: there is no image; a validation image has no known class.
  """
  folder = f'{root.prefix}{split}/'
  names = [name for name in pictures(root.source.names) if name.startswith(folder)]
  if not names:
    raise UserError(f'{root.source.path}: holds no image in {split}/; download {_URL} again')
  if split == 'test':
    return [(name, 0) for name in names]
  annotated = _val_annotations(root) if split == 'val' else {}
  classes = []
  for name in names:
    parts = PurePosixPath(name.removeprefix(folder)).parts
    if len(parts) == 1 + (parts[0] == 'images') and key(name) not in annotated:
      raise UserError(f'{root.source.path}: the class of {name} is unknown; expected it in '
                      f'{split}/val_annotations.txt; download {_URL} again')
    wnid = annotated[key(name)] if key(name) in annotated else parts[0]
    classes.append((name, root.codes.get(wnid)))
  return classes


def _val_annotations(root):
  """{key of the image: WordNet id}; empty if there is no val_annotations.txt."""
  if not root.has('val/val_annotations.txt'):
    return {}
  rows = [line.split('\t') for line in root.text('val/val_annotations.txt').splitlines() if line.strip()]
  bad = next((n for n, row in enumerate(rows) if len(row) < 2), None)
  if bad is not None:
    raise UserError(f'{root.source.path}: val_annotations.txt, row {bad + 1}: expected a file and its class, separated '
                    f'by a tab; download {_URL} again')
  return {key(row[0]): row[1] for row in rows}
