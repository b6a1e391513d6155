"""Anyone's pictures: JPEG, PNG, WebP, BMP, GIF or TIFF files of any sizes in a folder, zip or tar, nested or flat.

What is known of them comes from a list (config.data.label_file), else from their folders (files/folder_classes.py).
Splits come from a list (config.data.partition_file), else from the images themselves: the first 8 bytes of the sha256
of a file are the hash of partition.py. So an image stays where it is when others come or go or are renamed, and copies
of it are never in two splits.
"""

from collections.abc import Sequence
import dataclasses
import hashlib
from pathlib import Path

from ml_collections import ConfigDict
import numpy as np

from jgen.data import cache
from jgen.data.files import archive, partition
from jgen.data.files.decoding import SUFFIXES
from jgen.data.files.folder_classes import of_folders
from jgen.data.files.image_files import (
  ImageFiles,
  bad_share,
  crop_share,
  everything,
  list_bytes,
  list_path,
  passed_over,
  pictures,
  warn_dropped,
  warn_extra,
)
from jgen.data.files.tables import annotations as annotations_of
from jgen.data.files.tables import (
  coded,
  empty_splits,
  few,
  key,
  matched,
  notes_of,
  read_table,
  split_numbers,
  with_value,
)
from jgen.data.spec import Annotation, Dataset, Spec, served_shape
from jgen.errors import UserError
from jgen.host import terminal

SPLITS = partition.SPLITS
NEEDS = '--config.data.dir=PATH of a folder or zip of your pictures'
_VERSION = 3                            # of how lists are read


def describe(section: ConfigDict) -> Spec:
  """Three channels; annotations of the list or, with the folders as classes, one. Reads names and the list."""
  return _known(section).spec


def load(section: ConfigDict) -> Dataset:
  """The splits in the order of the file names; prepared once, then memory-mapped."""
  known = _known(section)
  belongs, settings = everything, {}
  warn_extra(known.num_extra, len(known.names) + len(known.dropped))
  if 'all' not in section.splits and section.partition_file:
    known = _partitioned(section, known)
  elif 'all' not in section.splits:
    wanted = {SPLITS.index(split) for split in section.splits}
    belongs, settings = lambda content: hashed_split(content) in wanted, partition.settings(section.splits)
  warn_dropped(known.dropped, len(known.names) + len(known.dropped))
  original = ImageFiles(known.source, tuple(known.names), known.annotations, known.lists, _VERSION,
                        crop_share(section, 1.), bad_share(section), tuple(known.dropped), belongs, settings)
  images, annotations = cache.prepared(section, known.spec, original)
  if known.spec.num_classes:
    _check_classes(known.spec.label_names, images, annotations[:, 0], section.splits)
  labels = annotations[:, 0] if known.spec.num_classes else np.zeros(len(images), np.int32)
  return Dataset(known.spec, images, labels, f"{known.source.path}: {', '.join(section.splits)}", annotations,
                 known.notes)


def _check_classes(names, images, labels, splits):
  """Warns of classes without an image in the splits; raises UserError where the reason is that none can be read."""
  counts = np.bincount(labels, minlength=len(names))
  missing = [name for name, count in zip(names, counts, strict=True) if not count]
  folder = cache.folder_of(images)
  for entry in cache.read_manifest(folder)['skipped'] if missing and folder else ():
    if entry['file'].partition('/')[0] in missing:
      name = entry['file'].partition('/')[0]
      raise UserError(f"the class '{name}' has no image that can be read, the first: {entry['file']}: {entry['why']}; "
                      'fetch them again, or move that folder away')
  if missing:
    terminal.warn(f"{len(missing):,} classes have no image in {', '.join(splits)}: {few(missing)}")


def hashed_split(content: bytes) -> int:
  """0 train, 1 valid, 2 test: a function of the file's bytes."""
  return int(partition.place(int.from_bytes(hashlib.sha256(content).digest()[:8])))


@dataclasses.dataclass(frozen=True)
class _Known:
  """All that is known without reading an image."""

  spec: Spec
  source: archive.Folder | archive.Zip
  names: Sequence[str]
  annotations: np.ndarray               # int32 [N, M]
  lists: tuple[Path, ...] = ()
  dropped: Sequence[tuple[str, str]] = ()   # (file, why)
  num_extra: int = 0                    # rows of images that are not there
  notes: tuple[str, ...] = ()           # as of a Dataset


def _known(section):
  if not section.dir:
    raise archive.MissingDataError('config.data.dir is empty; name the folder or zip of your pictures with '
                                   '--config.data.dir=PATH')
  source = archive.opened(section.dir)
  names, others = pictures(source.names), passed_over(source.names)
  if not names:
    raise UserError(f"{source.path}: holds no image; expected files that end in {', '.join(SUFFIXES)}" + ''.join(
        f'; {line}' for line in others))
  known = (_from_list if section.label_file else _from_folders)(section, source, names)
  left_out = [f'left out: {few(f"{folder} ({why})" for folder, why in source.left_out)}'] if source.left_out else []
  return dataclasses.replace(known, notes=(*known.notes, *left_out, *others))


def _from_folders(section, source, names):
  classes = of_folders(names, str(source.path))
  values = classes.values
  spec = Spec('folder', served_shape(section, 3), len(values), values,
              (Annotation('class', values),) if values else ())
  return _Known(spec, source, classes.names, classes.codes, dropped=classes.dropped, notes=(classes.note,))


def _from_list(section, source, names):
  _check_unique(source, names)
  keys = {key(name) for name in names}
  table, lists = _list(section, source, section.label_file, keys)
  there, dropped = matched(table, names)
  found = annotations_of(table, section.label)
  if section.label in table.columns:
    there, unlabelled = with_value(table, there, section.label)
    dropped += unlabelled
  if not there:
    raise UserError(f"{table.where}: gives no image a value of '{section.label}'")
  notes = (f'what is known of each image is of {table.where}', *notes_of(table, found))
  return _Known(Spec('folder', served_shape(section, 3), annotations=found), source, there, coded(table, there, found),
                lists, dropped, len(table.rows.keys() - keys), notes)


def _list(section, source, named, known):
  """(the Table that a config key names, the files to watch): next to the images, in their zip or anywhere else."""
  if not isinstance(source, archive.Folder) and named in source.names:
    try:
      return read_table(source.read(named), f'{source.path}/{named}', known), ()
    except OSError as error:
      raise UserError(f'{source.path}/{named}: cannot be read ({error})') from error
  path = list_path(named, section.dir)
  return read_table(list_bytes(path), str(path), known), (path,)


def _partitioned(section, known):
  """What is known of the images that a list puts into the wanted splits."""
  _check_unique(known.source, known.names)
  path = list_path(section.partition_file, section.dir)
  table = read_table(list_bytes(path), str(path), {key(name) for name in known.names})
  there, unassigned = matched(table, known.names)
  numbers = split_numbers(table)
  wanted = {SPLITS.index(split) for split in section.splits}
  chosen = [n for n, name in enumerate(known.names) if key(name) in numbers and numbers[key(name)] in wanted]
  if not chosen:
    raise UserError(empty_splits(path, section.splits, [numbers[key(name)] for name in there]))
  return dataclasses.replace(known, names=[known.names[n] for n in chosen], annotations=known.annotations[chosen],
                             lists=(*known.lists, path), dropped=(*known.dropped, *unassigned))


def _check_unique(source, names):
  seen: dict[str, str] = {}
  for name in names:
    if key(name) in seen:
      raise UserError(f"{source.path}: '{seen[key(name)]}' and '{name}' differ in folder or extension alone, so that a "
                      'list cannot tell them apart; rename one')
    seen[key(name)] = name
