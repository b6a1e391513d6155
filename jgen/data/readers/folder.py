"""The user's own images: JPEG, PNG, WebP, BMP, GIF or TIFF files of any sizes in a folder, zip or tar, nested or flat.

Annotations come from a list (config.data.label_file), else from the folders (files/folder_classes.py). Splits come from
a list (config.data.partition_file), else from the images themselves: the hash for partition.py is the first 8 bytes of
the file's sha256. So an image keeps its split when other images are added, removed or renamed, and copies of an image
are always in the same split.
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
_VERSION = 3                            # of the parsing of lists


def describe(section: ConfigDict) -> Spec:
  """Three channels; the annotations of the list, or a single one with the folders as classes. Reads no image."""
  return _list_images(section).spec


def load(section: ConfigDict) -> Dataset:
  """The splits, sorted by file name; prepared once, then memory-mapped."""
  listing = _list_images(section)
  belongs, settings = everything, {}
  warn_extra(listing.num_extra, len(listing.names) + len(listing.dropped))
  if 'all' not in section.splits and section.partition_file:
    listing = _partitioned(section, listing)
  elif 'all' not in section.splits:
    wanted = {SPLITS.index(split) for split in section.splits}
    belongs, settings = lambda content: hashed_split(content) in wanted, partition.settings(section.splits)
  warn_dropped(listing.dropped, len(listing.names) + len(listing.dropped))
  original = ImageFiles(listing.source, tuple(listing.names), listing.annotations, listing.lists, _VERSION,
                        crop_share(section, 1.), bad_share(section), tuple(listing.dropped), belongs, settings)
  images, annotations = cache.prepared(section, listing.spec, original)
  if listing.spec.num_classes:
    _check_classes(listing.spec.label_names, images, annotations[:, 0], section.splits)
  labels = annotations[:, 0] if listing.spec.num_classes else np.zeros(len(images), np.int32)
  return Dataset(listing.spec, images, labels, f"{listing.source.path}: {', '.join(section.splits)}", annotations,
                 listing.notes)


def _check_classes(names, images, labels, splits):
  """Warns of classes without images in the splits; raises UserError if that is because none can be read."""
  counts = np.bincount(labels, minlength=len(names))
  missing = [name for name, count in zip(names, counts, strict=True) if not count]
  folder = cache.folder_of(images)
  for entry in cache.read_manifest(folder)['skipped'] if missing and folder else ():
    if entry['file'].partition('/')[0] in missing:
      name = entry['file'].partition('/')[0]
      raise UserError(f"the class '{name}' has no readable image, the first: {entry['file']}: {entry['why']}; "
                      'download them again, or move that folder away')
  if missing:
    terminal.warn(f"{len(missing):,} classes have no image in {', '.join(splits)}: {few(missing)}")


def hashed_split(content: bytes) -> int:
  """The split of an image file: 0 train, 1 valid, 2 test; a function of the file's bytes."""
  return int(partition.place(int.from_bytes(hashlib.sha256(content).digest()[:8])))


@dataclasses.dataclass(frozen=True)
class _Listing:
  """The image files and their annotations, before any image is read."""

  spec: Spec
  source: archive.Folder | archive.Zip
  names: Sequence[str]
  annotations: np.ndarray               # int32 [N, M]
  lists: tuple[Path, ...] = ()
  dropped: Sequence[tuple[str, str]] = ()   # (file, why)
  num_extra: int = 0                    # rows of missing images
  notes: tuple[str, ...] = ()           # as of a Dataset


def _list_images(section):
  if not section.dir:
    raise archive.MissingDataError('config.data.dir is empty; name the folder or zip of your pictures with '
                                   '--config.data.dir=PATH')
  source = archive.opened(section.dir)
  names, others = pictures(source.names), passed_over(source.names)
  if not names:
    raise UserError(f"{source.path}: holds no image; supported: {', '.join(SUFFIXES)}" + ''.join(
        f'; {line}' for line in others))
  listing = (_from_list if section.label_file else _from_folders)(section, source, names)
  left_out = [f'left out: {few(f"{folder} ({why})" for folder, why in source.left_out)}'] if source.left_out else []
  return dataclasses.replace(listing, notes=(*listing.notes, *left_out, *others))


def _from_folders(section, source, names):
  classes = of_folders(names, str(source.path))
  values = classes.values
  spec = Spec('folder', served_shape(section, 3), len(values), values,
              (Annotation('class', values),) if values else ())
  return _Listing(spec, source, classes.names, classes.codes, dropped=classes.dropped, notes=(classes.note,))


def _from_list(section, source, names):
  _check_unique(source, names)
  keys = {key(name) for name in names}
  table, lists = _list(section, source, section.label_file, keys)
  listed, dropped = matched(table, names)
  annotations = annotations_of(table, section.label)
  if section.label in table.columns:
    listed, unlabelled = with_value(table, listed, section.label)
    dropped += unlabelled
  if not listed:
    raise UserError(f"{table.where}: gives no image a value of '{section.label}'")
  notes = (f'annotations are read from {table.where}', *notes_of(table, annotations))
  spec = Spec('folder', served_shape(section, 3), annotations=annotations)
  return _Listing(spec, source, listed, coded(table, listed, annotations), lists, dropped,
                  len(table.rows.keys() - keys), notes)


def _list(section, source, named, keys):
  """(the Table that a config key names, the files to check for changes); it may be in the zip or anywhere else."""
  if not isinstance(source, archive.Folder) and named in source.names:
    try:
      return read_table(source.read(named), f'{source.path}/{named}', keys), ()
    except OSError as error:
      raise UserError(f'{source.path}/{named}: cannot be read ({error})') from error
  path = list_path(named, section.dir)
  return read_table(list_bytes(path), str(path), keys), (path,)


def _partitioned(section, listing):
  """The part of a _Listing whose images a list puts into the requested splits."""
  _check_unique(listing.source, listing.names)
  path = list_path(section.partition_file, section.dir)
  table = read_table(list_bytes(path), str(path), {key(name) for name in listing.names})
  listed, unassigned = matched(table, listing.names)
  numbers = split_numbers(table)
  wanted = {SPLITS.index(split) for split in section.splits}
  chosen = [n for n, name in enumerate(listing.names) if key(name) in numbers and numbers[key(name)] in wanted]
  if not chosen:
    raise UserError(empty_splits(path, section.splits, [numbers[key(name)] for name in listed]))
  return dataclasses.replace(listing, names=[listing.names[n] for n in chosen], annotations=listing.annotations[chosen],
                             lists=(*listing.lists, path), dropped=(*listing.dropped, *unassigned))


def _check_unique(source, names):
  seen: dict[str, str] = {}
  for name in names:
    if key(name) in seen:
      raise UserError(f"{source.path}: '{seen[key(name)]}' and '{name}' differ only in folder or extension, so a list "
                      'cannot distinguish them; rename one')
    seen[key(name)] = name
