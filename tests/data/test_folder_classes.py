"""Folders as classes: which become classes, which are left out, and which are refused."""

import json

from helpers.pictures import encoded, put, put_zip, smooth
from helpers.published import refusal, section
import numpy as np
import pytest

from jgen import data
from jgen.commands import data as data_sheet
from jgen.commands import prepare
from jgen.data.host import tensorflow

tensorflow()                            # imported before the first preparation, which else tells that it takes long


def png(seed):
  return encoded(smooth(seed, 9, 9), 'PNG')


def images(*names):
  return {name: png(n) for n, name in enumerate(names)}


def wanted(path, tmp_path, **others):
  return section('folder', path, image_size=8, cache_dir=tmp_path / 'cache', **{'splits': ('all',), **others})


@pytest.mark.parametrize('folders', [('train', 'val'), ('train', 'test'), ('Training', 'validation', 'TEST'),
                                     ('train', 'test', 'cat'), ('dev', 'eval')])
def test_splits_are_no_classes(folders, tmp_path):
  put(tmp_path / 'data', images(*(f'{folder}/x/{n}.png' for folder in folders for n in range(2))))
  splits = ', '.join(sorted(folder for folder in folders if folder != 'cat'))
  line = refusal(data.describe, wanted(tmp_path / 'data', tmp_path))
  assert line.startswith(f'{tmp_path}/data: its folders {splits} have names of splits, and would become classes; '
                         f'name the one to train on: --config.data.dir={tmp_path}/data/{splits.split(", ")[0]} ')


def test_the_split_that_is_named_has_the_classes(tmp_path):
  put(tmp_path / 'data', images('train/cat/0.png', 'train/dog/1.png', 'val/cat/2.png'))
  assert data.load(wanted(tmp_path / 'data/train', tmp_path)).spec.label_names == ('cat', 'dog')
  put(tmp_path / 'one', images('test/0.png', 'cat/1.png'))   # a class that is called test
  assert data.describe(wanted(tmp_path / 'one', tmp_path)).label_names == ('cat', 'test')


@pytest.mark.parametrize('system', [
    '@eaDir', '#recycle', '.thumbnails', '$RECYCLE.BIN', '__MACOSX', 'System Volume Information'])
def test_folders_of_systems_are_no_classes(system, tmp_path):
  contents = images('cat/0.png', 'dog/1.png', f'{system}/0.png', f'cat/{system}/0.png')
  put(tmp_path / 'data', contents)
  put_zip(tmp_path / 'data.zip', contents)
  for path in (tmp_path / 'data', tmp_path / 'data.zip'):
    dataset = data.load(wanted(path, tmp_path))
    assert dataset.spec.label_names == ('cat', 'dog') and len(dataset.images) == 2
    assert dataset.notes[1] == (f'left out: {", ".join(sorted((system, f"cat/{system}")))}'.replace(
        ',', ' (hidden, or a system folder),') + ' (hidden, or a system folder)')


def test_stray_pictures_beside_the_classes(tmp_path, capsys):
  put(tmp_path / 'data', images('0.png', 'cat/1.png', 'dog/2.png', 'dog/3.png'))
  dataset = data.load(wanted(tmp_path / 'data', tmp_path))
  assert dataset.labels.tolist() == [0, 1, 1]
  assert capsys.readouterr().err == 'warning: 1 of 4 images are left out: 0.png: is in no class folder\n'
  manifest = json.loads(next(tmp_path.glob('cache/*/manifest.json')).read_text())
  assert manifest['skipped'] == [{'file': '0.png', 'why': 'is in no class folder'}]
  put(tmp_path / 'data', images('4.png', '5.png', '6.png'))
  dataset = data.load(wanted(tmp_path / 'data', tmp_path))
  assert len(dataset.images) == 7 and not dataset.spec.num_classes
  assert dataset.notes[0].startswith('unlabelled: most images (4) lie directly in ')


def test_a_class_without_a_readable_picture(tmp_path, capsys):
  put(tmp_path / 'data', images('cat/0.png', 'dog/1.png', 'dog/2.png') | {'owl/0.png': b'', 'owl/1.jpg': b'<html>'})
  line = refusal(data.load, wanted(tmp_path / 'data', tmp_path, max_bad_share=.5))
  assert line == ("the class 'owl' has no readable image, the first: owl/0.png: empty file; download them "
                  'again, or move that folder away')
  put(tmp_path / 'data', images('owl/2.png'))
  capsys.readouterr()
  assert np.bincount(data.load(wanted(tmp_path / 'data', tmp_path, max_bad_share=.5)).labels).tolist() == [1, 2, 1]
  empty = data.load(wanted(tmp_path / 'data', tmp_path, splits=('train',), max_bad_share=.5))
  missing = 3 - len(set(empty.labels))
  assert (f'warning: {missing} classes have no image in train' in capsys.readouterr().err) == bool(missing)


def test_endings_that_are_read_and_that_are_passed_over(tmp_path):
  image = smooth(0, 9, 9)
  put(tmp_path / 'data', {
      'cat/a.tif': encoded(image, 'TIFF'), 'cat/b.TIFF': encoded(image, 'TIFF', compression='tiff_lzw'),
      'dog/c.jfif': encoded(image), 'dog/d.JPE': encoded(image), 'dog/e.heic': b'x', 'owl/f.avif': b'x',
      'g.HEIC': b'x'})
  dataset = data.load(wanted(tmp_path / 'data', tmp_path))
  assert dataset.labels.tolist() == [0, 0, 1, 1] and dataset.spec.label_names == ('cat', 'dog')
  np.testing.assert_array_equal(dataset.images[0], dataset.images[1])
  assert dataset.notes[-1].startswith('ignored: 1 .avif, 2 .heic; convert them to .png')
  put(tmp_path / 'none', {'a.heic': b'x'})
  assert 'ignored: 1 .heic' in refusal(data.load, wanted(tmp_path / 'none', tmp_path))


def test_what_was_taken_as_what_is_said_by_prepare_and_by_the_sheet(tmp_path):
  put(tmp_path / 'data', images('all/cat/0.png', 'all/dog/1.png'))
  dataset = data.load(wanted(tmp_path / 'data', tmp_path))
  line = (f'unlabelled: all images are in the single folder all of {tmp_path}/data; to use the folders in it as '
          f'classes, name it: --config.data.dir={tmp_path}/data/all')
  assert dataset.notes == (line,)
  assert line in data_sheet.table(dataset).splitlines() and f'  {line}' in prepare.summary(dataset).splitlines()
  put(tmp_path / 'flat', images('0.png'))
  assert data.load(wanted(tmp_path / 'flat', tmp_path)).notes == (
      f'unlabelled: all images lie directly in {tmp_path}/flat',)
