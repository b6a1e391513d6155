"""MNIST and Fashion-MNIST from the published idx files."""

import gzip
import os
from pathlib import Path

from helpers.published import cut, idx, refusal, section, write_mnist
import numpy as np
import pytest

from jgen import data

FILES = {'train': ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte'),
         'test': ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte')}


def wanted(folder, tmp_path, name='mnist', **others):
  return section(name, folder, cache_dir=tmp_path / 'cache', **{'image_size': 28, **others})


def content(folder, split):
  """The published arrays, by numpy alone."""
  images, labels = (gzip.decompress((folder / f'{name}.gz').read_bytes()) for name in FILES[split])
  return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28, 1), np.frombuffer(labels, np.uint8, offset=8)


@pytest.mark.parametrize('layout', ['packed', 'unpacked', 'torchvision', 'dots'])
def test_every_layout(layout, tmp_path):
  folder = write_mnist(tmp_path / 'data')
  test, train = content(folder, 'test'), content(folder, 'train')
  images, labels = (np.concatenate(parts) for parts in zip(test, train, strict=True))
  for names in FILES.values() if layout != 'packed' else ():
    for name in names:
      other = {'unpacked': name, 'torchvision': f'MNIST/raw/{name}', 'dots': name.replace('-idx', '.idx')}[layout]
      (folder / other).parent.mkdir(parents=True, exist_ok=True)
      (folder / other).write_bytes(gzip.decompress((folder / f'{name}.gz').read_bytes()))
      (folder / f'{name}.gz').unlink()
  dataset = data.load(wanted(folder, tmp_path, splits=('test', 'train')))
  np.testing.assert_array_equal(dataset.images, images)
  np.testing.assert_array_equal(dataset.labels, labels)
  assert dataset.spec == data.describe(wanted('/nowhere', tmp_path)) and dataset.spec.image_shape == (28, 28, 1)
  assert dataset.annotations.tolist() == dataset.labels[:, None].tolist()


def test_fashion_has_its_own_names(tmp_path):
  dataset = data.load(wanted(write_mnist(tmp_path / 'data'), tmp_path, 'fashion_mnist', image_size=32))
  assert dataset.spec.name == 'fashion_mnist' and dataset.spec.label_names[9] == 'Ankle boot'
  assert dataset.images.shape == (60, 32, 32, 1)


def spoiled(folder, spoil):
  """The training images' file, after `spoil` made other bytes of its unpacked ones."""
  path = folder / 'train-images-idx3-ubyte.gz'
  path.write_bytes(gzip.compress(spoil(gzip.decompress(path.read_bytes()))))


@pytest.mark.parametrize(('spoil', 'line'), [
    (lambda f: cut(f / 'train-images-idx3-ubyte.gz', .5), 'train-images-idx3-ubyte.gz: cannot be read (EOFError'),
    (lambda f: (f / 'train-images-idx3-ubyte.gz').write_bytes(b'<html>'),
     'is not an idx file of images (it begins with 3c6874'),
    (lambda f: spoiled(f, lambda c: c[:-1]), 'its header announces 60 x 28 x 28 values, but it holds 47,039'),
    (lambda f: spoiled(f, lambda c: c[:4] + b'\xff' * 12 + c[16:]), 'its header announces 4294967295 x 4294967295 x'),
    (lambda f: spoiled(f, lambda c: idx(np.zeros((59, 28, 28), np.uint8))), '59 images but 60 labels'),
    (lambda f: spoiled(f, lambda c: c[:9]), 'is not an idx file of images'),
    (lambda f: spoiled(f, lambda c: idx(np.zeros((0, 28, 28), np.uint8))), 'its header announces 0 x 28 x 28'),
    (lambda f: (f / 'train-labels-idx1-ubyte.gz').write_bytes(gzip.compress(idx(np.full(60, 10, np.uint8)))),
     'holds the label 10; expected 0 to 9'),
    (lambda f: (f / 'train-labels-idx1-ubyte.gz').unlink(), 'train-labels-idx1-ubyte.gz not found in'),
])
def test_what_is_wrong_is_said_in_one_line(spoil, line, tmp_path):
  folder = write_mnist(tmp_path / 'data')
  spoil(folder)
  said = refusal(data.load, wanted(folder, tmp_path))
  assert line in said and ('curl --fail' in said)


def test_without_data_or_network(tmp_path, monkeypatch):
  def urlopen(request, timeout):
    raise OSError('Name or service not known')
  monkeypatch.setattr('urllib.request.urlopen', urlopen)
  line = refusal(data.load, wanted(tmp_path / 'none', tmp_path, splits=('train', 'test')))
  assert line.startswith(f'MNIST not found in {tmp_path}/none (neither *-ubyte.gz nor mnist of tensorflow_datasets)')
  assert "mnist/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz'" in line


def test_of_the_test_data(tmp_path):
  if not os.environ.get('JGEN_TEST_DATA'):
    pytest.skip('JGEN_TEST_DATA names no folder with mnist/')
  root = Path(os.environ['JGEN_TEST_DATA']) / 'mnist'
  dataset = data.load(wanted(root, tmp_path, splits=('test',)))
  assert np.bincount(dataset.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
  assert dataset.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9] and len(dataset.images) == 10_000
  assert (dataset.images[0] > 127).sum() > 50 and not dataset.images[:, 0].any()
