"""Reading and resizing images: real values, and every way in which the data can be wrong."""

import errno
import importlib.resources
import os
from pathlib import Path
import sys
from types import SimpleNamespace
import urllib.error

from helpers.published import cut, refusal, section, write_mat
import numpy as np
import pytest
from scipy.io import loadmat

from jgen import data
from jgen.data.files.resizing import resize
from jgen.data.host import tensorflow
from jgen.data.readers import svhn
from jgen.data.spec import Annotation, Dataset, Spec, checked


@pytest.fixture
def real():
  if not os.environ.get('JGEN_TEST_DATA'):
    pytest.skip('JGEN_TEST_DATA names no folder with svhn/*.mat')
  return Path(os.environ['JGEN_TEST_DATA']) / 'svhn'


# ------------------------------------------------------------------------------------------ sections


def test_describe_needs_no_data():
  spec = data.describe(section('svhn', '/nowhere', image_size=64))
  assert spec == Spec('svhn', (64, 64, 3), 10, tuple('0123456789'), (Annotation('digit', tuple('0123456789')),))
  assert data.describe(section('digits', image_size=8)).image_shape == (8, 8, 1)


@pytest.mark.parametrize('call', [data.describe, data.load])
@pytest.mark.parametrize(('wrong', 'line'), [
    (section('shvn'), "config.data.name: 'shvn' is not known; did you mean 'svhn'?"),
    (section('svhn', splits=('train', 'tset')),
     "config.data.splits: unknown split 'tset' for svhn; available: train, test, extra"),
    (section('digits', splits=()), 'config.data.splits is empty; available for digits: train, valid, test, all'),
    (section('digits', image_size=0), 'config.data.image_size is 0; expected a number of pixels, at least 1'),
])
def test_sections_that_name_nothing(call, wrong, line):
  assert refusal(call, wrong) == line


@pytest.mark.parametrize(('images', 'labels', 'line'), [
    (np.zeros((2, 4, 4, 1), np.float32), [0, 1], 'images are float32 [4, 4, 1]; expected uint8 [4, 4, 1]'),
    (np.zeros((2, 4, 5, 1), np.uint8), [0, 1], 'images are uint8 [4, 5, 1]; expected uint8 [4, 4, 1]'),
    (np.zeros((2, 4, 4, 1), np.uint8), [0, 1, 2], '2 images but 3 labels; expected one label per image'),
    (np.zeros((2, 4, 4, 1), np.uint8), [0, 3], 'label 3; expected 0 to 2'),
    (np.zeros((2, 4, 4, 1), np.uint8), [-1, 0], 'label -1; expected 0 to 2'),
    (np.zeros((2, 4, 4, 1), np.uint8), [[0, 1]], 'labels are int32 [1, 2]; expected int32 [N]'),
    (np.zeros((0, 4, 4, 1), np.uint8), [], 'holds no image'),
])
def test_arrays_that_break_the_promise(images, labels, line):
  dataset = Dataset(Spec('set', (4, 4, 1), 3), images, np.array(labels, np.int32), 'there')
  assert refusal(checked, dataset) == f'set from there: {line}'


def test_what_a_reader_returns_is_checked(monkeypatch):
  def load(section):
    spec = Spec('broken', (4, 4, 1), 3)
    return Dataset(spec, np.zeros((1, 4, 4, 1), np.uint8), np.array([7], np.int32), 'there')
  monkeypatch.setitem(data.READERS, 'broken', SimpleNamespace(SPLITS=('train',), load=load))
  assert refusal(data.load, section('broken')) == 'broken from there: label 7; expected 0 to 2'


def test_arrays_that_keep_it():
  dataset = Dataset(Spec('set', (4, 4, 1)), np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int32), 'there')
  assert checked(dataset) is dataset
  wrong = Dataset(dataset.spec, dataset.images, np.zeros(2, np.int64), 'there')
  assert 'labels are int64' in refusal(checked, wrong)


# -------------------------------------------------------------------------------------------- images


def test_digits_are_those_of_scikit_learn():
  from sklearn.datasets import load_digits
  published = load_digits()
  digits = data.load(section('digits', splits=('all',), image_size=8))
  assert digits.images.shape == (1797, 8, 8, 1) and digits.images.dtype == np.uint8
  np.testing.assert_allclose(digits.images[..., 0], published.images * 255 / 16, atol=0.5)
  assert digits.images.min() == 0 and digits.images.max() == 255
  np.testing.assert_array_equal(digits.labels, published.target)
  larger = data.load(section('digits', splits=('all',), image_size=16))
  assert larger.images.shape == (1797, 16, 16, 1) and larger.spec.image_shape == (16, 16, 1)


def triangle_weights(old, new):
  """Weights of every input pixel in every output pixel of one axis, [new, old]."""
  ratio = old / new
  centres = (np.arange(new) + 0.5) * ratio - 0.5
  distances = np.abs(np.arange(old) - centres[:, None])
  weights = np.maximum(0, 1 - distances / max(ratio, 1))
  return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(('old', 'new'), [(8, 8), (32, 64), (32, 48), (32, 16), (32, 7), (5, 1), (3, 17)])
def test_resizing_is_bilinear_with_half_pixel_centres(old, new):
  images = np.random.default_rng(0).integers(0, 256, (600, old, old, 2), dtype=np.uint8)   # beyond a chunk
  weights = triangle_weights(old, new)
  expected = np.einsum('ph,qw,nhwc->npqc', weights, weights, images.astype(float), optimize=True)
  resized = resize(images, new)
  assert resized.dtype == np.uint8 and resized.shape == (600, new, new, 2)
  assert np.abs(resized - expected).max() <= 0.5 + 1e-3   # the nearest integer; ties either way


def test_resizing_of_rectangles_shrinks_one_axis_and_enlarges_the_other():
  images = np.random.default_rng(0).integers(0, 256, (3, 30, 10, 1), dtype=np.uint8)
  down, up = triangle_weights(30, 20), triangle_weights(10, 20)
  expected = np.einsum('ph,qw,nhwc->npqc', down, up, images.astype(float))
  assert np.abs(resize(images, 20) - expected).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(('old', 'new'), [((8, 8), (16, 16)), ((8, 5), (8, 40)), ((4, 8), (128, 8))])
def test_doubled_sides_are_those_of_tensorflow_to_the_last_tie(old, new):
  images = np.random.default_rng(0).integers(0, 256, (100, *old, 3), np.uint8)
  expected = np.rint(tensorflow().image.resize(images, new, 'bilinear').numpy())
  np.testing.assert_array_equal(resize(images, new), expected)


def test_svhn_from_published_files(tmp_path, capsys):
  train, train_labels = write_mat(tmp_path / 'train_32x32.mat', 30)
  extra, extra_labels = write_mat(tmp_path / 'extra_32x32.mat', 11)
  both = data.load(section(folder=tmp_path, splits=('extra', 'train'), cache_dir=tmp_path / 'cache'))
  np.testing.assert_array_equal(both.images, np.concatenate([extra, train]))
  np.testing.assert_array_equal(both.labels, np.concatenate([extra_labels, train_labels]))
  assert both.source == f'{tmp_path}: extra_32x32.mat, train_32x32.mat'
  assert set(both.labels) == set(range(10)) and both.labels[9] == 0   # published as 10
  assert isinstance(both.images, np.memmap) and not both.images.flags.writeable
  assert capsys.readouterr() == ('', '')
  larger = data.load(section(folder=tmp_path, image_size=40, cache_dir=tmp_path / 'cache'))
  np.testing.assert_array_equal(larger.images, resize(train, 40))


def test_svhn_goes_on_without_a_split_and_says_so(tmp_path, capsys):
  write_mat(tmp_path / 'train_32x32.mat')
  dataset = data.load(section(folder=tmp_path, splits=svhn.SPLITS, cache_dir=tmp_path / 'cache'))
  assert len(dataset.labels) == 12
  assert dataset.source.endswith('(missing: test_32x32.mat, extra_32x32.mat)')
  warning = f'warning: test_32x32.mat, extra_32x32.mat not found in {tmp_path}: continuing without\n'
  assert capsys.readouterr() == ('', warning)
  line = refusal(data.load, section(folder=tmp_path, splits=('test',), cache_dir=tmp_path / 'cache'))
  assert line.startswith(f'test_32x32.mat not found in {tmp_path}; download it with: curl ')


def test_svhn_of_the_test_data(real, tmp_path):
  dataset = data.load(section(folder=real, splits=('train', 'test'), cache_dir=tmp_path))
  assert dataset.images.shape == (2500, 32, 32, 3) and dataset.labels.dtype == np.int32
  for split, start in (('train', 0), ('test', 2000)):
    raw = loadmat(real / f'{split}_32x32.mat')
    for n, h, w, c in np.random.default_rng(1).integers(0, (500, 32, 32, 3), (200, 4)):
      assert dataset.images[start + n, h, w, c] == raw['X'][h, w, c, n]
      assert dataset.labels[start + n] == (0 if raw['y'][n, 0] == 10 else raw['y'][n, 0])
  assert (np.bincount(dataset.labels) > 0).all()


# ----------------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize(('spoil', 'line'), [
    (lambda path: cut(path, 0.9995), 'cannot be read as a MATLAB file'),   # within y
    (lambda path: cut(path, 0.5), "holds no 'y'; expected X and y, it may be truncated"),   # within X
    (lambda path: cut(path, 0.001), 'cannot be read as a MATLAB file'),   # within the header
    (lambda path: path.write_bytes(b''), 'cannot be read as a MATLAB file'),
    (lambda path: path.write_text('<!DOCTYPE html><html>404 Not Found</html>' * 50),
     'cannot be read as a MATLAB file (ValueError: Unknown mat file type'),
    (lambda path: write_mat(path, X=None), "holds no 'X'"),
    (lambda path: write_mat(path, y=None), "holds no 'y'"),
    (lambda path: write_mat(path, y=np.arange(12)[:, None]), 'y holds the label 0; expected 1 to 10'),
    (lambda path: write_mat(path, y=np.full((12, 1), 11)), 'y holds the label 11; expected 1 to 10'),
    (lambda path: write_mat(path, y=np.full((12, 1), 2.5)), 'y holds the label 2.5; expected 1 to 10'),
    (lambda path: write_mat(path, y=np.full((12, 1), 1j)), 'y holds the label 1j; expected 1 to 10'),
    (lambda path: write_mat(path, y=np.ones((9, 1))), 'X has 12 images but y 9 labels'),
    (lambda path: write_mat(path, X=np.zeros((12, 32, 32, 3), np.uint8)),
     'X is uint8 [12, 32, 32, 3]; expected uint8 [32, 32, 3, N]'),
    (lambda path: write_mat(path, X=np.zeros((32, 32, 3), np.uint8)), 'X is uint8 [32, 32, 3]; expected'),
    (lambda path: write_mat(path, X=np.zeros((32, 32, 3, 12))), 'X is double [32, 32, 3, 12]; expected'),
])
def test_svhn_file_that_is_wrong(tmp_path, spoil, line):
  path = tmp_path / 'train_32x32.mat'
  write_mat(path)
  spoil(path)
  said = refusal(data.load, section(folder=tmp_path, cache_dir=tmp_path / 'cache'))
  assert said.startswith(f'{path}: {line}')
  assert said.endswith(f'download it again: curl --fail -o {path} http://ufldl.stanford.edu/housenumbers/{path.name}')
  assert not list(tmp_path.glob('cache/*'))


def test_svhn_file_whose_images_are_damaged(tmp_path):
  """Headers and labels are whole, so only decoding the images finds it, when the cache is half written."""
  path = tmp_path / 'train_32x32.mat'
  write_mat(path)
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 0xff
  path.write_bytes(content)
  said = refusal(data.load, section(folder=tmp_path, cache_dir=tmp_path / 'cache'))
  assert said.startswith(f'{path}: cannot be read as a MATLAB file')
  assert not list(tmp_path.glob('cache/*'))


# ---------------------------------------------------------------------------------------------- tfds


@pytest.fixture
def no_network(monkeypatch):
  def urlopen(request, timeout):
    assert request.full_url == 'http://ufldl.stanford.edu/housenumbers/train_32x32.mat'
    assert request.get_method() == 'HEAD' and timeout <= 10
    raise urllib.error.URLError('Name or service\nnot known')
  monkeypatch.setattr('urllib.request.urlopen', urlopen)


def test_svhn_without_data_or_network(tmp_path, no_network, capfd, monkeypatch):
  folder = tmp_path / 'my data'
  line = refusal(data.load, section(folder=folder, splits=('train', 'extra')))
  assert line.startswith(f'SVHN not found in {folder} (neither *_32x32.mat nor svhn_cropped of tensorflow_d')
  assert 'Name or service not known' in line
  assert f"curl --fail --create-dirs --output-dir '{folder}' -O" in line
  assert "-O 'http://ufldl.stanford.edu/housenumbers/{train,extra}_32x32.mat'" in line
  assert line.endswith(f"--config.data.dir='{folder}'")
  assert capfd.readouterr() == ('', '') and not folder.exists()
  import tensorflow_datasets as tfds
  monkeypatch.setattr(tfds.core.constants, 'DATA_DIR', str(tmp_path / 'default'))
  line = refusal(data.load, section())
  assert 'SVHN not found in ' in line and line.endswith('--config.data.dir=svhn')


def test_svhn_whose_download_fails(tmp_path, monkeypatch):
  import tensorflow_datasets as tfds
  monkeypatch.setattr('urllib.request.urlopen', lambda request, timeout: SimpleNamespace(close=lambda: None))

  def full(builder):
    raise OSError(errno.ENOSPC, 'No space left on device')
  monkeypatch.setattr(tfds.core.DatasetBuilder, 'download_and_prepare', full)
  line = refusal(data.load, section(folder=tmp_path))
  assert line.startswith(f'SVHN not found in {tmp_path} ')
  assert 'the download failed (OSError: [Errno 28] No space left on device); download it with: curl' in line


@pytest.fixture
def prepared_by_tfds(tmp_path, monkeypatch):
  """svhn_cropped built by tensorflow_datasets itself from small published files; also their contents."""
  import tensorflow_datasets as tfds
  splits = {split: write_mat(tmp_path / f'{split}.mat', 20 + i) for i, split in enumerate(svhn.SPLITS)}
  monkeypatch.setattr(tfds.download.DownloadManager, 'download',
                      lambda manager, urls: {split: tmp_path / f'{split}.mat' for split in urls})
  # tensorflow_datasets 4.9 imports it without requiring it
  monkeypatch.setitem(sys.modules, 'importlib_resources', importlib.resources)
  monkeypatch.setattr('urllib.request.urlopen', lambda request, timeout: SimpleNamespace(close=lambda: None))
  return tmp_path / 'tfds', splits


def test_svhn_through_tfds(prepared_by_tfds, tmp_path, monkeypatch):
  folder, splits = prepared_by_tfds
  wanted = section(folder=folder, splits=('test', 'train'), cache_dir=tmp_path / 'cache')
  dataset = data.load(wanted)
  assert dataset.spec == Spec('svhn', (32, 32, 3), 10, tuple('0123456789'), (Annotation('digit', tuple('0123456789')),))
  assert dataset.images.dtype == np.uint8 and dataset.labels.dtype == np.int32
  assert dataset.source == f"{folder / 'svhn_cropped' / '3.1.0'}: test, train"
  images = np.concatenate([splits['test'][0], splits['train'][0]])
  labels = np.concatenate([splits['test'][1], splits['train'][1]])
  order = {image.tobytes(): n for n, image in enumerate(images)}   # tfds shuffles within a split
  found = [order[image.tobytes()] for image in dataset.images]
  assert sorted(found[:21]) == list(range(21)) and sorted(found[21:]) == list(range(21, 41))
  np.testing.assert_array_equal(dataset.labels, labels[found])

  def never(*arguments):
    raise AssertionError('read again')
  monkeypatch.setattr('tensorflow_datasets.as_numpy', never)
  monkeypatch.setattr('urllib.request.urlopen', never)
  np.testing.assert_array_equal(data.load(wanted).images, dataset.images)
  monkeypatch.undo()
  records = next(folder.glob('svhn_cropped/*/*test.tfrecord*'))
  records.write_bytes(records.read_bytes()[:-5000])
  assert 'cannot be read (DataLossError' in refusal(data.load, wanted)
