"""CelebA in every layout in which it is distributed; the same images and attributes from each."""

import hashlib
import json
import os
from pathlib import Path
import sys

from helpers.pictures import encoded, put, put_zip, served, smooth
from helpers.published import cut, refusal, section
import numpy as np
import pytest

from jgen import data
from jgen.data.host import tensorflow
from jgen.data.readers import celeba

tensorflow()                            # imported before the first preparation, which else tells that it takes long
COUNT = 12
SIZE = 16
NAMES = [f'{n + 1:06d}.jpg' for n in range(COUNT)]
JPEGS = {name: encoded(smooth(n, 109, 89), quality=90) for n, name in enumerate(NAMES)}
YES = np.random.default_rng(0).integers(0, 2, (COUNT, 40))
PARTS = [0, 0, 0, 0, 1, 0, 0, 1, 2, 2, 0, 0]
TRAIN = [n for n in range(COUNT) if PARTS[n] == 0]


def attributes_txt(yes=YES, names=NAMES):
  rows = [f"{name}  {' '.join(f'{2 * value - 1:2d}' for value in row)}" for name, row in zip(names, yes, strict=True)]
  return '\n'.join([str(len(rows)), ' '.join(celeba.ATTRIBUTES) + ' ', *rows]) + '\n'


def attributes_csv(no=-1, names=NAMES):
  rows = [f"{name},{','.join(str(1 if value else no) for value in row)}" for name, row in zip(names, YES, strict=True)]
  return '\n'.join(['image_id,' + ','.join(celeba.ATTRIBUTES), *rows]) + '\n'


def partition_txt(parts=PARTS, names=NAMES):
  return ''.join(f'{name} {part}\n' for name, part in zip(names, parts, strict=True))


def partition_csv():
  return 'image_id,partition\n' + partition_txt().replace(' ', ',')


IMAGES = {f'img_align_celeba/{name}': content for name, content in JPEGS.items()}
LISTS = {'list_attr_celeba.txt': attributes_txt(), 'list_eval_partition.txt': partition_txt()}
CSV = {'list_attr_celeba.csv': attributes_csv(), 'list_eval_partition.csv': partition_csv()}


def official(root):
  put(root, IMAGES | LISTS)
  return root


def official_tree_with_zip(root):
  put(root, {'Anno/list_attr_celeba.txt': attributes_txt(), 'Eval/list_eval_partition.txt': partition_txt()})
  put_zip(root / 'Img' / 'img_align_celeba.zip', IMAGES)
  return root


def kaggle_folder(root):
  put(root, {f'img_align_celeba/{name}': content for name, content in IMAGES.items()} | CSV)
  return root


def kaggle_of_zeros(root):
  put(root, IMAGES | CSV | {'list_attr_celeba.csv': '\ufeff' + attributes_csv(no=0).replace('\n', '\r\n')})
  return root


def kaggle_zip(root):
  put_zip(root / 'archive.zip', {f'img_align_celeba/{name}': content for name, content in IMAGES.items()} | CSV | {
      '__MACOSX/._000001.jpg': b'junk'})
  return root / 'archive.zip'


def zip_beside_lists(root):
  put(root, LISTS | {'.DS_Store': b'junk', 'img_align_celeba/._000001.jpg': b'junk'})
  put_zip(root / 'img_align_celeba.zip', IMAGES)
  return root


def zip_beside_a_stray_picture(root):
  put(zip_beside_lists(root), {'data.png': encoded(smooth(0, 9, 9), 'PNG')})
  return root


def wanted(folder, tmp_path, **others):
  return section('celeba', folder, image_size=SIZE, cache_dir=tmp_path / 'cache', **others)


@pytest.mark.parametrize('layout', [official, official_tree_with_zip, kaggle_folder, kaggle_of_zeros, kaggle_zip,
                                    zip_beside_lists, zip_beside_a_stray_picture])
def test_every_layout_gives_the_same(layout, tmp_path, capsys):
  folder = layout(tmp_path / 'data')
  dataset = data.load(wanted(folder, tmp_path))
  expected = np.stack([served(JPEGS[NAMES[n]], 70, 19, 9, SIZE) for n in TRAIN])
  np.testing.assert_array_equal(dataset.images, expected)
  np.testing.assert_array_equal(dataset.annotations, YES[TRAIN])
  assert dataset.annotations.dtype == np.int32 and dataset.spec == data.describe(wanted('/nowhere', tmp_path))
  assert dataset.spec.num_classes == 0 and not dataset.labels.any()
  assert [(len(a.values), a.name) for a in dataset.spec.annotations] == [(2, name) for name in celeba.ATTRIBUTES]
  assert capsys.readouterr() == ('', '')
  both = data.load(wanted(folder, tmp_path, splits=('test', 'valid'), label='Smiling'))
  places = [4, 7, 8, 9]
  np.testing.assert_array_equal(both.labels, YES[places, 31])
  assert both.spec.num_classes == 2 and both.spec.label_names == ('not Smiling', 'Smiling')
  np.testing.assert_array_equal(both.images, [served(JPEGS[NAMES[n]], 70, 19, 9, SIZE) for n in places])


def test_crop_and_png(tmp_path):
  pngs = {f"img_align_celeba_png/{name.replace('.jpg', '.png')}": encoded(smooth(n, 109, 89), 'PNG')
          for n, name in enumerate(NAMES)}
  put(tmp_path / 'data', pngs | LISTS)   # the lists say .jpg
  dataset = data.load(wanted(tmp_path / 'data', tmp_path, crop=1.))
  contents = list(pngs.values())
  np.testing.assert_array_equal(dataset.images, [served(contents[n], 89, 10, 0, SIZE) for n in TRAIN])
  assert '0 to 1' in refusal(data.load, wanted(tmp_path / 'data', tmp_path, crop=1.5))


def test_the_uncropped_images_beside_are_left_alone(tmp_path):
  folder = official(tmp_path / 'data')
  put(folder, {f'Img/img_celeba/{name}': encoded(smooth(50 + n, 60, 80)) for n, name in enumerate(NAMES)})
  dataset = data.load(wanted(folder, tmp_path, splits=('valid',)))
  np.testing.assert_array_equal(dataset.images, [served(JPEGS[NAMES[n]], 70, 19, 9, SIZE) for n in (4, 7)])


def test_of_two_copies_the_first_counts_and_other_lists_and_splits_do_not(tmp_path):
  folder = official(tmp_path / 'data')
  other = encoded(smooth(99, 109, 89))
  of_valid = attributes_txt().splitlines()
  of_valid[2 + 4] = of_valid[2 + 4].replace('1', 'x')
  put(folder, {'img_align_celeba/0 copy/000001.jpg': other, 'z/img_align_celeba/000002.jpg': other,
               'a_list_attr_celeba.txt': 'mine', 'list_attr_celeba.txt': '\n'.join(of_valid)})
  contents = [other, *(JPEGS[NAMES[n]] for n in TRAIN[1:])]
  dataset = data.load(wanted(folder, tmp_path))
  np.testing.assert_array_equal(dataset.images, [served(content, 70, 19, 9, SIZE) for content in contents])
  np.testing.assert_array_equal(dataset.annotations, YES[TRAIN])


def test_another_partition_file(tmp_path):
  folder = official(tmp_path / 'data')
  put(folder, {'mine.txt': partition_txt(parts=[2] + [0] * 11)})
  dataset = data.load(wanted(folder, tmp_path, partition_file='mine.txt', splits=('test',)))
  np.testing.assert_array_equal(dataset.annotations, YES[:1])
  words = ''.join(f"{n + 1:06d},{'valid' if n else 'train'}\n" for n in range(COUNT))
  put(tmp_path, {'words.csv': 'id,split\n' + words})
  dataset = data.load(wanted(folder, tmp_path, partition_file=str(tmp_path / 'words.csv'), splits=('valid',)))
  np.testing.assert_array_equal(dataset.annotations, YES[1:])
  assert refusal(data.load, wanted(folder, tmp_path, partition_file='none.txt')).startswith('none.txt not found')
  put(folder, {'odd.txt': partition_txt(parts=[7] + [0] * 11), 'others.txt': 'a.jpg 0\nb.jpg 0\n'})
  line = refusal(data.load, wanted(folder, tmp_path, partition_file='odd.txt'))
  assert line == f"{folder}/odd.txt: '000001' has the partition '7'; expected 0, 1, 2 or train, valid, test"
  line = refusal(data.load, wanted(folder, tmp_path, partition_file='others.txt'))
  assert line.startswith(f"{folder}/others.txt: puts none of the 12 images ('img_align_celeba/000001.jpg', ...)")


def test_a_split_without_an_image_and_all_splits_joined(tmp_path):
  folder = official(tmp_path / 'data')
  joined = data.load(wanted(folder, tmp_path, splits=('test', 'train', 'valid')))
  np.testing.assert_array_equal(joined.annotations, YES)
  put(folder, {'list_eval_partition.txt': partition_txt(parts=[0] * 11 + [1])})   # as where only a part is there
  line = refusal(data.load, wanted(folder, tmp_path, splits=('test',)))
  assert line == (f'{folder}/list_eval_partition.txt: puts no image into test (11 in train, 1 in valid); choose a '
                  'split that has images, or name another list with --config.data.partition_file=FILE')


def test_rows_and_images_without_each_other(tmp_path, capsys):
  folder = official(tmp_path / 'data')
  put(folder, {'list_attr_celeba.txt': attributes_txt(YES[1:], NAMES[1:]),
               'list_eval_partition.txt': partition_txt(PARTS[2:] + [0], [*NAMES[2:], '999999.jpg'])})
  (folder / 'img_align_celeba' / NAMES[2]).unlink()
  put(folder, {'img_align_celeba/000002.jpg': JPEGS[NAMES[1]]})
  dataset = data.load(wanted(folder, tmp_path))
  np.testing.assert_array_equal(dataset.annotations, YES[[3, 5, 6, 10, 11]])
  assert capsys.readouterr().err == (
      'warning: the lists name 2 images that are missing; continuing with the 11 present\n'
      'warning: 2 of 11 images are left out: img_align_celeba/000001.jpg, img_align_celeba/000002.jpg: '
      'is in no partition\n')
  manifest = json.loads(next(tmp_path.glob('cache/*/manifest.json')).read_text())
  assert manifest['skipped'] == [
      {'file': f'img_align_celeba/{name}', 'why': 'is in no partition'} for name in NAMES[:2]]
  put(folder, {'list_eval_partition.txt': partition_txt()})
  dataset = data.load(wanted(folder, tmp_path))
  assert capsys.readouterr().err.endswith('000001.jpg: has no row in list_attr_celeba.txt\n')
  np.testing.assert_array_equal(dataset.annotations, YES[[1, 3, 5, 6, 10, 11]])


@pytest.mark.parametrize(('spoil', 'line'), [
    (lambda root: (root / 'list_attr_celeba.txt').unlink(), 'holds no list_attr_celeba.txt or list_attr_celeba.csv;'),
    (lambda root: (root / 'list_eval_partition.txt').unlink(), 'holds no list_eval_partition.txt or list_eval_'),
    (lambda root: [path.unlink() for path in root.glob('*/*.jpg')], 'holds no image, neither in img_align_celeba/ nor'),
    (lambda root: put(root, {'list_attr_celeba.txt': attributes_txt() + '000001.jpg ' + '1 ' * 40}),
     "names '000001' twice"),
    (lambda root: put(root, {'list_attr_celeba.txt': attributes_txt().replace('Smiling', 'Simling')}),
     'has no column Smiling; expected the 40'),
    (lambda root: put(root, {'list_attr_celeba.txt': attributes_txt().replace(' 1 -1', ' 3 -1', 1)}),
     "'000001' has the value '3' of Attractive; expected -1, 0 or 1"),
    (lambda root: cut(root / 'list_attr_celeba.txt', 0.8), 'cells, expected 41'),
    (lambda root: put(root, {'list_attr_celeba.txt': '<html>quota</html>'}), 'is not a list, but perhaps a web page'),
    (lambda root: put(root, {'list_attr_celeba.txt': ''}), 'is empty'),
    (lambda root: put(root, {'list_attr_celeba.txt': b'\xff\xfe\x00'}), 'is not UTF-8 text'),
    (lambda root: put(root, {'list_attr_celeba.txt': attributes_txt(names=[f'x{name}' for name in NAMES])}),
     "lists none of the images: it has 'x000001', ..."),
])
def test_lists_that_are_wrong(spoil, line, tmp_path):
  folder = official(tmp_path / 'data')
  spoil(folder)
  said = refusal(data.load, wanted(folder, tmp_path))
  assert line in said and said.startswith(str(folder))
  assert not list(tmp_path.glob('cache/*'))


def test_a_wrong_attribute_or_no_folder(tmp_path):
  line = refusal(data.describe, wanted('/nowhere', tmp_path, label='Smilin'))
  assert line == "config.data.label: unknown label 'Smilin' for celeba; did you mean 'Smiling'?"
  assert 'kaggle.com' in refusal(celeba._files, wanted('', tmp_path))
  assert refusal(data.load, wanted('/nowhere', tmp_path)).startswith('/nowhere is neither a folder nor a zip')


def test_few_bad_images_are_skipped_and_named_and_many_refused(tmp_path, capsys):
  folder = official(tmp_path / 'data')
  put(folder, {'img_align_celeba/000002.jpg': b'', 'img_align_celeba/000004.jpg': b'<html>quota</html>'})
  line = refusal(data.load, wanted(folder, tmp_path))
  assert line.startswith('celeba: 2 of the first 8 images are bad') and '\n' not in line
  assert 'img_align_celeba/000002.jpg: empty file; img_align_celeba/000004.jpg: a web page' in line
  assert not list(tmp_path.glob('cache/*'))
  dataset = data.load(wanted(folder, tmp_path, max_bad_share=0.25))
  left = [n for n in TRAIN if n not in (1, 3)]
  np.testing.assert_array_equal(dataset.annotations, YES[left])
  np.testing.assert_array_equal(dataset.images, [served(JPEGS[NAMES[n]], 70, 19, 9, SIZE) for n in left])
  assert 'warning: img_align_celeba/000002.jpg: empty file: skipped' in capsys.readouterr().err
  manifest = json.loads(next(tmp_path.glob('cache/*/manifest.json')).read_text())
  assert manifest['skipped'] == [{'file': 'img_align_celeba/000002.jpg', 'why': 'empty file'},
                                 {'file': 'img_align_celeba/000004.jpg', 'why': 'a web page, not an image'}]
  assert manifest['crop'] == 140 / 178 and manifest['count'] == 6
  images = next(tmp_path.glob('cache/*/images.npy'))
  assert manifest['sha256'] == hashlib.sha256(images.read_bytes()).hexdigest()


def test_through_tfds(tmp_path, monkeypatch):
  import importlib.resources

  import tensorflow_datasets as tfds
  monkeypatch.setitem(sys.modules, 'importlib_resources', importlib.resources)   # tfds 4.9 does not require it
  images = {name: encoded(smooth(n, 218, 178)) for n, name in enumerate(NAMES)}
  put_zip(tmp_path / 'img_align_celeba.zip', {f'img_align_celeba/{name}': content for name, content in images.items()})
  points = ' '.join(f'{point}_{axis}' for point in ('lefteye', 'righteye', 'nose', 'leftmouth', 'rightmouth')
                    for axis in 'xy')
  landmarks = f'{COUNT}\n{points}\n' + ''.join(f'{name} {"1 " * 10}\n' for name in NAMES)
  put(tmp_path, LISTS | {'landmarks_celeba.txt': landmarks,
                         'identity_celeba.txt': ''.join(f'{name} 7\n' for name in NAMES)})
  paths = {path.stem: path for path in tmp_path.iterdir()}
  monkeypatch.setattr(
      tfds.download.DownloadManager, 'download',
      lambda manager, urls: {name: paths[name] for name in urls})
  folder = tmp_path / 'tfds'
  tfds.builder('celeb_a', data_dir=folder).download_and_prepare()
  dataset = data.load(wanted(folder, tmp_path, splits=('valid', 'test'), label='Male'))
  order = {row.tobytes(): n for n, row in enumerate(YES.astype(np.int32))}
  places = [order[row.tobytes()] for row in dataset.annotations]
  assert sorted(places[:2]) == [4, 7] and sorted(places[2:]) == [8, 9]
  expected = np.stack([served(images[NAMES[n]], 140, 39, 19, SIZE) for n in places]).astype(int)
  assert np.abs(dataset.images - expected).max() <= 6    # tensorflow_datasets decodes with the fast inverse DCT
  np.testing.assert_array_equal(dataset.labels, YES[places, 20])
  line = refusal(data.load, wanted(folder, tmp_path, partition_file='x.txt'))
  assert line.startswith('config.data.partition_file is set, but')


@pytest.fixture
def real():
  if not os.environ.get('JGEN_TEST_DATA'):
    pytest.skip('JGEN_TEST_DATA names no folder with celeba/')
  return Path(os.environ['JGEN_TEST_DATA']) / 'celeba'


def test_of_the_test_data(real, tmp_path):
  line = refusal(data.load, wanted(real, tmp_path, splits=('test',)))
  assert 'list_eval_partition.txt: puts no image into test (10,000 in train); choose' in line
  subset = 'list_eval_partition_subset_8000_1000_1000.txt'
  dataset = data.load(wanted(real, tmp_path, partition_file=subset, splits=('valid',), label='Smiling'))
  rows = [line.split() for line in (real / 'list_attr_celeba.txt').read_text().splitlines()[2:]]
  partition = dict(line.split() for line in (real / subset).read_text().splitlines())
  rows = [row for row in rows if partition[row[0]] == '1']
  assert len(dataset.images) == len(rows) == 1000
  np.testing.assert_array_equal(dataset.labels, [row[32] == '1' for row in rows])
  np.testing.assert_array_equal(dataset.annotations, [[cell == '1' for cell in row[1:]] for row in rows])
  for n in (0, 1, 500, 999):
    expected = served((real / 'img_align_celeba' / rows[n][0]).read_bytes(), 70, 19, 9, SIZE)
    np.testing.assert_array_equal(dataset.images[n], expected)
