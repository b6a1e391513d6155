"""CelebA, aligned: 202,599 faces of 178x218 with 40 attributes (Liu et al. 2015).

Read from the published folders or zips, with the lists as .txt or .csv; or from what tensorflow_datasets has prepared.
By default cropped to the centred square of 140 x 140 pixels that most papers use.
"""

import dataclasses
from pathlib import Path
import posixpath

from ml_collections import ConfigDict
import numpy as np

from jgen.data import cache
from jgen.data.files import archive, fetched
from jgen.data.files.decoding import centre_crop
from jgen.data.files.image_files import (
  ImageFiles,
  bad_share,
  crop_share,
  list_bytes,
  list_path,
  pictures,
  warn_dropped,
  warn_extra,
)
from jgen.data.files.tables import empty_splits, few, key, read_table, split_numbers
from jgen.data.spec import Annotation, Dataset, Spec, served_shape
from jgen.errors import UserError
from jgen.host.files import expanded

SPLITS = ('train', 'valid', 'test')
NEEDS = '--config.data.dir=FOLDER of the aligned faces and their lists: docs/data/celeba.md'
ATTRIBUTES = (
    '5_o_Clock_Shadow', 'Arched_Eyebrows', 'Attractive', 'Bags_Under_Eyes', 'Bald', 'Bangs', 'Big_Lips', 'Big_Nose',
    'Black_Hair', 'Blond_Hair', 'Blurry', 'Brown_Hair', 'Bushy_Eyebrows', 'Chubby', 'Double_Chin', 'Eyeglasses',
    'Goatee', 'Gray_Hair', 'Heavy_Makeup', 'High_Cheekbones', 'Male', 'Mouth_Slightly_Open', 'Mustache',
    'Narrow_Eyes', 'No_Beard', 'Oval_Face', 'Pale_Skin', 'Pointy_Nose', 'Receding_Hairline', 'Rosy_Cheeks',
    'Sideburns', 'Smiling', 'Straight_Hair', 'Wavy_Hair', 'Wearing_Earrings', 'Wearing_Hat', 'Wearing_Lipstick',
    'Wearing_Necklace', 'Wearing_Necktie', 'Young')
_CROP = 140 / 178                       # the default square, as a share of the width
_VERSION = 1
_TFDS_SPLITS = {'train': 'train', 'valid': 'validation', 'test': 'test'}
_WHERE = ('they are available from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Google Drive, whose daily quota '
          'is often used up; the Baidu link next to it and the copy on kaggle.com, jessicali9530/celeba-dataset, work '
          'as well)')


def describe(section: ConfigDict) -> Spec:
  """Three channels, 40 binary attributes, no classes unless config.data.label names one of the attributes."""
  return Spec('celeba', served_shape(section, 3),
              annotations=tuple(Annotation(name, (f'not {name}', name)) for name in ATTRIBUTES))


def load(section: ConfigDict) -> Dataset:
  """The splits, sorted by file name; prepared once, then memory-mapped."""
  prepared_by_tfds = _tfds(section)
  original, source = prepared_by_tfds or _files(section)
  spec = describe(section)
  images, annotations = cache.prepared(section, spec, original)
  return Dataset(spec, images, np.zeros(len(images), np.int32), source, annotations)


def _files(section):
  if not section.dir:
    raise UserError('CelebA is not downloaded automatically; name the folder or zip with img_align_celeba, '
                    f'list_attr_celeba and list_eval_partition with --config.data.dir=PATH; {_WHERE}')
  root = archive.opened(section.dir)
  attributes, attribute_files = _list(root, 'list_attr_celeba', None)
  numbers, partition_files = _partition(section, root)
  source, names = _images(root)
  wanted = {SPLITS.index(split) for split in section.splits}
  in_splits = [stem for stem in names if stem in numbers and numbers[stem] in wanted]
  if not in_splits:
    raise UserError(_none_in_splits(_name_of(section, partition_files), section.splits, numbers, names))
  listed = [stem for stem in in_splits if stem in attributes.rows]
  if not listed:
    raise UserError(f"{attributes.where}: lists none of the images: it has '{next(iter(attributes.rows))}', ... and "
                    f"the images are '{names[in_splits[0]]}', ...; expected a list of these images")
  warn_extra(len((numbers.keys() | attributes.rows.keys()) - names.keys()), len(names))
  dropped = (*((names[stem], 'is in no partition') for stem in names if stem not in numbers),
             *((names[stem], f'has no row in {Path(attributes.where).name}')
               for stem in in_splits if stem not in attributes.rows))
  warn_dropped(dropped, len(names))
  original = ImageFiles(
      source, tuple(names[stem] for stem in listed), _codes(attributes, listed),
      (*attribute_files, *partition_files), _VERSION, crop_share(section, _CROP), bad_share(section), dropped)
  return original, f"{source.path}: {', '.join(section.splits)}"


def _none_in_splits(where, splits, numbers, names):
  image_splits = [numbers[stem] for stem in names if stem in numbers]
  if image_splits:
    return empty_splits(where, splits, image_splits)
  return (f"{where}: puts none of the {len(names):,} images ('{next(iter(names.values()))}', ...) into "
          f"{', '.join(splits)}; expected a list of these images")


def _images(root):
  """(source of the images, {key: name}): the folder or zip itself, else the img_align_celeba.zip in it."""
  names = pictures(root.names)
  aligned = [name for name in names if 'img_align_celeba' in name]
  inner = _called(root, 'img_align_celeba.zip')
  if not aligned and inner and isinstance(root, archive.Folder):   # loose images next to it do not belong to it
    return _images(archive.opened(root.path / inner[0]))
  if not names:
    raise UserError(f'{root.path}: holds no image, neither in img_align_celeba/ nor in img_align_celeba.zip; {_WHERE}')
  unique = {key(name): name for name in reversed(aligned or names)}   # keeps the first of several copies
  return root, dict(sorted(unique.items()))


def _called(root, *basenames):
  """The files with these names, at any depth."""
  return [name for name in root.names if name.endswith(basenames) and posixpath.basename(name) in basenames]


def _list(root, stem, header):
  """(the Table with this name, .txt or .csv, at any depth; the files to check for changes)."""
  names = _called(root, f'{stem}.txt', f'{stem}.csv')
  if not names:
    raise UserError(f'{root.path}: holds no {stem}.txt or {stem}.csv; {_WHERE}')
  files = (root.path / names[0],) if isinstance(root, archive.Folder) else ()
  where = f'{root.path}/{names[0]}'
  try:
    content = root.read(names[0])
  except OSError as error:
    raise UserError(f'{where}: cannot be read ({error}); download it again') from error
  return read_table(content, where, header=header if names[0].endswith('.txt') else None), files


def _partition(section, root):
  """({key: 0, 1 or 2}, files to check for changes) from the published list or config.data.partition_file."""
  if not section.partition_file:
    table, files = _list(root, 'list_eval_partition', ('partition',))
    return split_numbers(table), files
  path = list_path(section.partition_file, section.dir)
  header = ('partition',) if path.suffix.lower() == '.txt' else None
  return split_numbers(read_table(list_bytes(path), str(path), header=header)), (path,)


def _name_of(section, partition_files):
  return partition_files[0] if partition_files else f'the partition of {section.dir}'


def _codes(table, stems):
  """int32 [N, 40]: 0 for no, 1 for yes, from a list of -1 and 1 or of 0 and 1."""
  missing = [name for name in ATTRIBUTES if name not in table.columns]
  if missing:
    raise UserError(f'{table.where}: has no column {few(missing)}; expected the 40 attributes of CelebA')
  rows = np.array([table.rows[stem] for stem in stems])
  values = np.stack([np.asarray(table.columns[name])[rows] for name in ATTRIBUTES], axis=1)
  ones = values == '1'
  odd = np.argwhere(~(ones | (values == '0') | (values == '-1')))
  if odd.size:
    row, column = odd[0]
    raise UserError(f"{table.where}: '{stems[row]}' has the value '{values[row, column]}' of {ATTRIBUTES[column]}; "
                    'expected -1, 0 or 1')
  return ones.astype(np.int32)


def _tfds(section):
  """(Original, source) of tensorflow_datasets' `celeb_a` if it is prepared, else None."""
  root = expanded(section.dir or '~/tensorflow_datasets')
  if not next(root.glob('celeb_a/*/dataset_info.json'), None):
    return None
  if section.partition_file:
    raise UserError('config.data.partition_file is set, but tensorflow_datasets keeps no file names; leave it out, or '
                    'name the published files with --config.data.dir=PATH')
  share, shape = crop_share(section, _CROP), served_shape(section, 3)

  def read(batch):
    images = np.stack([centre_crop(image, share, shape) for image in batch['image']])
    return images, np.stack([batch['attributes'][name] for name in ATTRIBUTES], axis=1)

  published = fetched.Published('CelebA', 'celeb_a', 'img_align_celeba', '', '')
  original, where = fetched.through_tfds(
      published, section.dir, [_TFDS_SPLITS[split] for split in section.splits], _VERSION, read)
  return dataclasses.replace(original, settings={'crop': share}), f"{where}: {', '.join(section.splits)}"
