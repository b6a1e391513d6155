"""Image files of users, in folders and zips, with and without lists of labels."""

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
import zipfile

from helpers.pictures import decoded, encoded, put, put_zip, served, smooth
from helpers.published import cut, refusal, section
import numpy as np
import pytest

from jgen import data
from jgen.commands import prepare
from jgen.data import cache
from jgen.data.files import archive, image_files, tables
from jgen.data.host import tensorflow
from jgen.data.readers import folder

tensorflow()                            # imported before the first preparation, which else tells that it takes long
SIZE = 8
KINDS = ('JPEG', 'PNG', 'WEBP', 'BMP')
SHAPES = ((20, 12), (12, 20), (9, 9), (8, 8), (30, 11))


def pictures(count=20):
  """{name: bytes}, flat, of every format and of several shapes."""
  return {f'{n:03d}.{KINDS[n % 4].lower()}': encoded(smooth(n, *SHAPES[n % 5]), KINDS[n % 4]) for n in range(count)}


def square(content):
  height, width = decoded(content).shape[:2]
  side = min(height, width)
  return served(content, side, (height - side) // 2, (width - side) // 2, SIZE)


def wanted(path, tmp_path, **others):
  return section('folder', path, image_size=SIZE, cache_dir=tmp_path / 'cache', **{'splits': ('all',), **others})


def test_flat_nested_and_zipped(tmp_path, capsys):
  contents = pictures()
  put(tmp_path / 'flat', contents | {'notes.txt': 'no image', '.hidden.jpg': b'', 'list.csv': 'a,b'})
  nested = {f'x/{"y/" * (n % 3)}{name}': content for n, (name, content) in enumerate(contents.items())}
  put(tmp_path / 'nested', nested)
  put_zip(tmp_path / 'zipped.zip', contents | {'__MACOSX/._000.jpg': b''})
  expected = np.stack([square(content) for content in contents.values()])
  for path in (tmp_path / 'flat', tmp_path / 'zipped.zip'):
    dataset = data.load(wanted(path, tmp_path))
    np.testing.assert_array_equal(dataset.images, expected)
    assert dataset.spec.num_classes == 0 and dataset.annotations.shape == (20, 0)
  images = data.load(wanted(tmp_path / 'nested', tmp_path)).images
  np.testing.assert_array_equal(images, np.stack([square(nested[name]) for name in sorted(nested)]))
  assert capsys.readouterr() == ('', '')


def test_folders_are_classes(tmp_path):
  contents = list(pictures(6).items())
  named = {f'{kind}/{"deep/" * n}{name}': content for n, (name, content) in enumerate(contents)
           for kind in (['dog', 'cat'][n % 2],)}
  put(tmp_path / 'data', named)
  dataset = data.load(wanted(tmp_path / 'data', tmp_path))
  assert dataset.spec.label_names == ('cat', 'dog') and dataset.spec.num_classes == 2
  assert dataset.labels.tolist() == [0, 0, 0, 1, 1, 1]
  np.testing.assert_array_equal(dataset.images, np.stack([square(named[name]) for name in sorted(named)]))
  put(tmp_path / 'data', {'alone.png': contents[1][1]})
  dataset = data.load(wanted(tmp_path / 'data', tmp_path))
  assert dataset.labels.tolist() == [0, 0, 0, 1, 1, 1]
  assert dataset.notes == (f'the folders directly below {tmp_path}/data are the classes: cat, dog',)


def test_splits_are_a_function_of_the_bytes(tmp_path):
  contents = pictures(200)
  put(tmp_path / 'data', contents)
  shares = {name: int(hashlib.sha256(content).hexdigest()[:16], 16) / 2**64 for name, content in contents.items()}
  counts = []
  for split, low, high in (('train', 0, .8), ('valid', .8, .9), ('test', .9, 1)):
    images = data.load(wanted(tmp_path / 'data', tmp_path, splits=(split,))).images
    expected = [square(contents[name]) for name in sorted(contents) if low <= shares[name] < high]
    np.testing.assert_array_equal(images, expected)
    counts.append(len(images))
  assert sum(counts) == 200 and counts[0] > 130
  both = data.load(wanted(tmp_path / 'data', tmp_path, splits=('valid', 'test'))).images
  assert len(both) == counts[1] + counts[2]


def test_a_list_with_a_header(tmp_path, capsys):
  contents = pictures()
  csv = 'hair,image_id,note,age\n' + ''.join(
      f"{('red', 'fair')[n % 2]},{n:03d}{'.jpg' if n % 3 else ''},{n % 7},{10 - n % 3}\n"
      for n in range(20))
  put(tmp_path / 'data', contents | {'labels.csv': csv})
  dataset = data.load(wanted(tmp_path / 'data', tmp_path, label_file='labels.csv', label='age'))
  assert [(a.name, a.values) for a in dataset.spec.annotations] == [
      ('hair', ('fair', 'red')), ('note', tuple('0123456')), ('age', ('8', '9', '10'))]   # as numbers: 10 is last
  np.testing.assert_array_equal(dataset.annotations, [[1 - n % 2, n % 7, 2 - n % 3] for n in range(20)])
  np.testing.assert_array_equal(dataset.labels, [2 - n % 3 for n in range(20)])
  put_zip(tmp_path / 'data.zip', contents | {'labels.csv': csv})
  zipped = data.load(wanted(tmp_path / 'data.zip', tmp_path, label_file='labels.csv', label='hair'))
  np.testing.assert_array_equal(zipped.annotations, dataset.annotations)
  assert zipped.spec.label_names == ('fair', 'red')
  assert capsys.readouterr() == ('', '')


def test_a_list_without_a_header(tmp_path):
  put(tmp_path / 'faces', {f'{n}.jpg': encoded(smooth(n, 9, 9)) for n in range(12)})
  put(tmp_path, {'label.csv': ''.join(f'{n},{n % 2},1,{n % 3}\n' for n in range(11, -1, -1))})
  config = wanted(tmp_path / 'faces', tmp_path, label_file=str(tmp_path / 'label.csv'), label='column_3')
  dataset = data.load(config)
  order = sorted(range(12), key=str)    # 0, 1, 10, 11, 2: of the names
  np.testing.assert_array_equal(dataset.labels, [n % 3 for n in order])
  assert [a.name for a in dataset.spec.annotations] == ['column_1', 'column_2', 'column_3']
  config.label = 'column_2'
  assert refusal(data.describe, config) == (
      "config.data.label names 'column_2', which has a single value in folder, '1'; a label needs at least two")
  config.label = 'colum_1'
  assert refusal(data.load, config).endswith("for folder; did you mean 'column_1'?")


def test_which_column_is_which(tmp_path):
  put(tmp_path / 'data', {f'{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(4)})
  put(tmp_path / 'data', {'l.csv': 'id,male,filename,split\r' + '\r'.join(
      f'{n},{n % 2},{(n + 1) % 4}.png,{("train", "test")[n == 2]}' for n in range(4))})   # line ends of an old Mac
  asked = dict(label_file='l.csv', partition_file='l.csv', splits=('train',))
  dataset = data.load(wanted(tmp_path / 'data', tmp_path, **asked))
  assert [a.name for a in dataset.spec.annotations] == ['id', 'male', 'split']   # the row's number is no file
  assert dataset.annotations[:, :2].tolist() == [[3, 1], [0, 0], [1, 1]]   # 0.png is of row 3, 1.png of row 0


def test_a_first_row_of_an_image_that_is_not_there(tmp_path):
  put(tmp_path / 'data', {f'{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(3)})
  put(tmp_path / 'data', {'l.csv': '77.png,1,0\n0.png,0,0\n1.png,1,1\n2.png,0,1\n'})
  dataset = data.load(wanted(tmp_path / 'data', tmp_path, label_file='l.csv'))
  assert dataset.annotations.tolist() == [[0, 0], [1, 1], [0, 1]]
  assert [annotation.name for annotation in dataset.spec.annotations] == ['column_1', 'column_2']


def test_names_with_dots(tmp_path):
  put(tmp_path / 'data', {f'x.{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(3)})
  put(tmp_path / 'data', {'l.csv': 'id,a\nx.0,0\nx.1.PNG,1\nfaces/x.2,0\n'})
  assert data.load(wanted(tmp_path / 'data', tmp_path, label_file='l.csv')).annotations.tolist() == [[0], [1], [0]]


def test_values_that_are_the_same_number_or_none_have_one_order():
  for order in (['1.0', 'nan', '1', '-2', 'NaN', '10'], ['NaN', '10', 'nan', '1', '-2', '1.0']):
    assert sorted(order, key=tables._order(order)) == ['-2', '1', '1.0', '10', 'NaN', 'nan']


def test_a_column_of_too_many_values_is_no_annotation(tmp_path):
  put(tmp_path / 'data', pictures(1))
  rows = ''.join(f'{n:03d},person{n},{n % 2}\n' for n in range(300))
  put(tmp_path, {'label.csv': 'id,identity,male\n' + rows})
  spec = data.describe(wanted(tmp_path / 'data', tmp_path, label_file=str(tmp_path / 'label.csv')))
  assert [a.name for a in spec.annotations] == ['male']


def test_images_without_a_row_are_left_out_and_named(tmp_path, capsys):
  rows = ''.join(f'{n:03d},{n % 2}\n' for n in (0, 1, 3, 4, 77))
  put(tmp_path / 'data', pictures(6) | {'label.csv': 'id,a\n' + rows})
  dataset = data.load(wanted(tmp_path / 'data', tmp_path, label_file='label.csv', label='a'))
  assert dataset.labels.tolist() == [0, 1, 1, 0]
  assert capsys.readouterr().err == (
      'warning: the lists name 1 images that are missing; continuing with the 6 present\n'
      'warning: 2 of 6 images are left out: 002.webp, 005.png: has no row in label.csv\n')
  manifest = json.loads(next(tmp_path.glob('cache/*/manifest.json')).read_text())
  assert [entry['file'] for entry in manifest['skipped']] == ['002.webp', '005.png']


def test_a_partition_file(tmp_path):
  contents = pictures(5)
  put(tmp_path / 'data', contents | {'split.csv': 'image_id,split\n000.jpeg,test\n001,train\n002,test\n003,valid\n'
                                                  '004,test\n'})
  dataset = data.load(wanted(tmp_path / 'data', tmp_path, partition_file='split.csv', splits=('test', 'valid')))
  names = sorted(contents)
  np.testing.assert_array_equal(dataset.images, np.stack([square(contents[names[n]]) for n in (0, 2, 3, 4)]))
  put(tmp_path / 'data', {'split.csv': 'image_id,split\n000,test\n001,train\n002,test\n'})
  line = refusal(data.load, wanted(tmp_path / 'data', tmp_path, partition_file='split.csv', splits=('valid',)))
  assert line == (f'{tmp_path}/data/split.csv: puts no image into valid (1 in train, 2 in test); choose a split that '
                  'has images, or name another list with --config.data.partition_file=FILE')


@pytest.mark.parametrize(('files', 'others', 'line'), [
    ({'a.txt': 'x'}, {}, 'holds no image; supported: .jpg'),
    ({'1.png': b'x', 'l.csv': 'id,a\n1,0\n1,1\n'}, dict(label_file='l.csv'), "names '1' twice; expected one row"),
    ({'1.png': b'x', 'l.csv': 'id,a\n1,0,3\n'}, dict(label_file='l.csv'), 'row 1 has 3 cells, expected 2'),
    ({'1.png': b'x', 'l.csv': 'id,a\n'}, dict(label_file='l.csv'), 'holds no row'),
    ({'1.png': b'x', 'l.csv': 'id,a\n7,0\n'}, dict(label_file='l.csv'), "lists none of the images: it has '7', ..."),
    ({'1.png': b'x'}, dict(label_file='l.csv'), 'l.csv not found, neither as given nor in'),
    ({'a/1.png': b'x', 'b/1.png': b'x', 'l.csv': 'id,a\n1,0\n'}, dict(label_file='l.csv'),
     "'a/1.png' and 'b/1.png' differ only in folder or extension"),
    ({'a/1.png': b'x', 'b/1.png': b'x', 'l.csv': 'id,split\na/1.png,train\nb/1.png,test\n'},
     dict(partition_file='l.csv', splits=('train',)), "'a/1.png' and 'b/1.png' differ only in folder or extension"),
    ({'1.png': b'x', 'l.csv': '77,1,0,0\n1,0,1,1\n'}, dict(label_file='l.csv'), "its first row has '0' twice; "),
    ({'1.png': b'x', 'l.csv': 'id,a,b\n1,"0,0\n2,1,1\n'}, dict(label_file='l.csv'), 'is not a comma-separated list ('),
    ({'1.png': b'x', 'l.csv': 'id,male,age\n1,0,1\n'}, dict(partition_file='l.csv', splits=('train',)),
     'unclear which column holds the splits; expected a single column besides the file names, or one named partition, '
     'split, set, subset; found male, age'),
    ({'1.png': b'x', 'l.csv': 'id\n1\n'}, dict(partition_file='l.csv', splits=('train',)), 'subset; found none'),
    ({'1.png': b'x'}, dict(max_bad_share=1.), 'no image is left of 1; the first: 1.png: no JPEG'),
    ({'1.png': b'x'}, dict(max_bad_share=2.), 'config.data.max_bad_share is 2.0; expected a share, 0 to 1'),
    ({'1.png': b'x'}, dict(crop=-.1), 'config.data.crop is -0.1; expected a share'),
])
def test_what_is_wrong_is_said_in_one_line(files, others, line, tmp_path):
  put(tmp_path / 'data', files)
  assert line in refusal(data.load, wanted(tmp_path / 'data', tmp_path, **others))
  assert not list(tmp_path.glob('cache/*'))


def test_links_are_followed_but_not_in_circles(tmp_path):
  put(tmp_path / 'elsewhere', pictures(3))
  put(tmp_path / 'data', {'a/x.png': encoded(smooth(8, 9, 9), 'PNG')})
  (tmp_path / 'data' / 'b').symlink_to(tmp_path / 'elsewhere')
  (tmp_path / 'elsewhere' / 'back').symlink_to(tmp_path / 'data' / 'b')
  (tmp_path / 'data' / 'a' / 'dangling.png').symlink_to(tmp_path / 'nowhere.png')
  dataset = data.load(wanted(tmp_path / 'data', tmp_path))
  assert dataset.labels.tolist() == [0, 1, 1, 1] and dataset.spec.label_names == ('a', 'b')


def test_files_that_come_in_portions_or_have_grown(tmp_path, monkeypatch):
  put(tmp_path / 'data', {'a.png': bytes(range(200)), 'none.png': b''})
  source = archive.opened(tmp_path / 'data')
  whole, read = bytes(range(200)), os.read
  monkeypatch.setattr(os, 'read', lambda descriptor, count: read(descriptor, min(count, 7)))
  assert source.read('a.png') == whole and source.read('none.png') == b''
  monkeypatch.undo()
  put(tmp_path / 'data', {'a.png': whole * 3})
  assert source.read('a.png') == whole * 3
  with pytest.raises(OSError):
    (tmp_path / 'data/a.png').unlink()
    source.read('a.png')


def test_no_folder_at_all(tmp_path):
  assert refusal(data.load, wanted('', tmp_path)).startswith('config.data.dir is empty; name the folder')


@pytest.mark.parametrize('name', ['../climbs.png', '/etc/absolute.png', 'a/../../b.png', 'C:/x.png', '..\\w.png'])
def test_zips_that_climb_out_are_refused(name, tmp_path):
  put_zip(tmp_path / 'evil.zip', pictures(2) | {name: b'x'})
  line = refusal(data.load, wanted(tmp_path / 'evil.zip', tmp_path))
  assert line.startswith(f"{tmp_path}/evil.zip: holds '{name}', a path that leads out of the archive")


def test_harmless_names_in_zips(tmp_path):
  put_zip(tmp_path / 'data.zip', {f'./{name}': content for name, content in pictures(3).items()} | {
      '12:30.png': encoded(smooth(8, 9, 9), 'PNG')})
  dataset = data.load(wanted(tmp_path / 'data.zip', tmp_path))
  assert len(dataset.images) == 4 and dataset.spec.num_classes == 0
  put_zip(tmp_path / 'flat.zip', {f'./{name}': content for name, content in pictures(3).items()})
  assert data.describe(wanted(tmp_path / 'flat.zip', tmp_path)).num_classes == 0
  put_zip(tmp_path / 'classes.zip', {f'./{"ab"[n % 2]}/{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(4)})
  assert data.load(wanted(tmp_path / 'classes.zip', tmp_path)).labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize('together', [1, 2 * 9 * 9 * 3, 10**6])
def test_images_of_one_size_in_a_row_are_resized_together_up_to_a_bound(together, tmp_path, monkeypatch):
  contents = pictures(8) | {f'z{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(5)}
  put(tmp_path / 'data', contents)
  shapes = []
  resize = image_files.resize
  monkeypatch.setattr(image_files, 'resize', lambda images, size, out: (
      shapes.append(images.shape), resize(images, size, out=out)))
  monkeypatch.setattr(image_files, '_TOGETHER', together)
  images = data.load(wanted(tmp_path / 'data', tmp_path)).images
  np.testing.assert_array_equal(images, np.stack([square(content) for content in contents.values()]))
  assert sum(n for n, *_ in shapes) == len(contents)
  assert all(n == 1 or (n - 1) * height * width * 3 <= together for n, height, width, _ in shapes)
  assert max(n for n, *_ in shapes) == {1: 1, 10**6: 6}.get(together, 3)


def test_the_share_of_bad_images_is_of_the_split(tmp_path):
  contents = {f'{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(60)}
  in_test = [name for name, content in contents.items() if folder.hashed_split(content) == 2]
  bad = next(b'bad %d' % n for n in range(100) if folder.hashed_split(b'bad %d' % n) == 2)
  put(tmp_path / 'data', contents | {'bad.png': bad})
  asked = dict(splits=('test',), max_bad_share=0.02)
  line = refusal(data.load, wanted(tmp_path / 'data', tmp_path, **asked))
  assert line.startswith(f'folder: 1 of the first 61 images are bad, more than config.data.max_bad_share '
                         f'allows for {len(in_test) + 1};')
  assert len(data.load(wanted(tmp_path / 'data', tmp_path, **asked | {'splits': ('all',)})).images) == 60


def test_a_home_that_is_none(tmp_path):
  assert refusal(data.load, wanted('~nobody-is-called-so/x', tmp_path)).startswith(
      '~nobody-is-called-so/x: there is no such home')


def test_zips_that_are_damaged_or_too_large(tmp_path, monkeypatch):
  path = tmp_path / 'data.zip'
  put_zip(path, pictures())
  whole = path.read_bytes()
  cut(path, 0.7)
  assert f'{path}: cannot be read as a zip (File is not a zip file)' in refusal(data.load, wanted(path, tmp_path))
  path.write_bytes(whole)
  with zipfile.ZipFile(path) as archive:
    at = archive.infolist()[3].header_offset + 60
  content = bytearray(whole)
  content[at] ^= 0xff
  path.write_bytes(content)
  assert 'damaged in the zip' in refusal(data.load, wanted(path, tmp_path))
  assert len(data.load(wanted(path, tmp_path, max_bad_share=0.05)).images) == 19
  line = refusal(data.load, wanted(path, tmp_path, max_bad_share=0.04))   # though it is prepared
  assert 'folder: 1 of the first 20 images are bad, more than config.data.max_bad_share allows' in line
  path.write_bytes(whole)
  monkeypatch.setattr('jgen.data.files.archive._MAX_BYTES', 10)
  assert 'unpacks to more than' in refusal(data.load, wanted(path, tmp_path))


def test_the_same_bytes_whatever_the_number_of_cores(tmp_path, monkeypatch):
  put(tmp_path / 'data', pictures(60) | {'000.jpeg': b''})
  monkeypatch.setattr(image_files, '_PIECE', 7)   # several pieces, and none decoded in one call
  digests = set()
  for cores in (1, 2, 5):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid, cores=cores: range(cores))
    config = wanted(tmp_path / 'data', tmp_path, splits=('train',), max_bad_share=0.1)
    config.cache_dir = str(tmp_path / f'cache{cores}')
    data.load(config)
    made, = (tmp_path / f'cache{cores}').glob('*')
    digests.add(tuple((path.name, path.read_bytes()) for path in sorted(made.iterdir())
                      if path.name != 'verified.json'))
  assert len(digests) == 1


def test_changed_files_are_prepared_again(tmp_path):
  put(tmp_path / 'data', pictures(4))
  first = np.array(data.load(wanted(tmp_path / 'data', tmp_path)).images)
  put(tmp_path / 'data', {'000.jpeg': encoded(smooth(99, 9, 9))})
  assert not np.array_equal(data.load(wanted(tmp_path / 'data', tmp_path)).images, first)
  put(tmp_path / 'data', {'zzz.png': encoded(smooth(98, 9, 9), 'PNG')})
  assert len(data.load(wanted(tmp_path / 'data', tmp_path)).images) == 5
  assert len(list(tmp_path.glob('cache/*'))) == 3


def test_what_prepare_prints(tmp_path, capsys, monkeypatch):
  put(tmp_path / 'data', pictures(8) | {'007.bmp': b'', 'l.csv': 'id,a,b\n' + ''.join(
      f'{n:03d},{n % 2},{"xy"[n % 4 == 0]}\n' for n in range(8))})
  config = SimpleNamespace(data=wanted(
      tmp_path / 'data', tmp_path, label_file='l.csv', label='b', max_bad_share=0.2, test_splits=()))
  prepare.run(config, Path('runs/x'), 'python launch.py')
  said = capsys.readouterr().out.splitlines()
  made, = tmp_path.glob('cache/*')
  assert said[-1].startswith('done in ')
  assert said[:-1] == [f'folder: 7 images of 8 x 8 x 3 from {tmp_path}/data: all',
                      f'  annotations are read from {tmp_path}/data/l.csv',
                      '  a: 0 57.1%, 1 42.9%', '  b: x 71.4%, y 28.6%', 'labels: 2 classes', 'skipped: 1',
                      '  007.bmp: empty file', f'stored in {made}', 'verified: 0.00 GB in 0s']
  config.data.splits, config.data.test_splits = ('train',), ('valid', 'test')
  prepare.run(config, Path('runs/x'), 'python launch.py')
  said = [line for line in capsys.readouterr().out.splitlines() if line.startswith('folder: ')]
  assert [line.rpartition(': ')[2] for line in said] == ['train', 'valid, test']
  monkeypatch.setattr(cache, 'prepared', lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
  line = refusal(prepare.run, config, Path('runs/x'), 'python launch.py --mode=prepare')
  assert line == 'stopped; what is prepared is kept, continue with: python launch.py --mode=prepare'


def test_published_share_of_a_split():
  content = b'any bytes'
  share = int(hashlib.sha256(content).hexdigest()[:16], 16) / 2**64
  assert folder.hashed_split(content) == (share >= .8) + (share >= .9)


@pytest.fixture
def real():
  if not os.environ.get('JGEN_TEST_DATA'):
    pytest.skip('JGEN_TEST_DATA names no folder with bitmoji/ and anime/')
  return Path(os.environ['JGEN_TEST_DATA'])


def test_bitmoji_of_the_test_data(real, tmp_path):
  dataset = data.load(wanted(real / 'bitmoji', tmp_path, label_file='BitmojiDataset/train.csv', label='is_male'))
  rows = sorted(line.split(',') for line in (real / 'bitmoji/BitmojiDataset/train.csv').read_text().split()[1:])
  assert dataset.spec.label_names == ('-1', '1') and len(dataset.images) == 2000
  np.testing.assert_array_equal(dataset.labels, [value == '1' for _, value in rows])


def test_anime_of_the_test_data(real, tmp_path):
  dataset = data.load(wanted(real / 'anime/faces', tmp_path, label_file=str(real / 'anime/label.csv')))
  rows = dict(line.split(',', 1) for line in (real / 'anime/label.csv').read_text().split())
  names = sorted(path.name for path in (real / 'anime/faces').iterdir())
  assert len(dataset.images) == len(names) == 5000
  expected = np.array([[int(cell) for cell in rows[name.removesuffix('.jpg')].split(',')] for name in names])
  np.testing.assert_array_equal(dataset.annotations, expected)
