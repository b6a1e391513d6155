"""Tiny ImageNet as a folder and as a zip: labels of both labelled splits, classes, grey images."""

import json
import os
from pathlib import Path

from helpers.pictures import decoded, encoded, put, put_zip, smooth
from helpers.published import refusal, section
import numpy as np
from PIL import Image
import pytest

from jgen import data
from jgen.data.host import tensorflow

tensorflow()                            # imported before the first preparation, which else tells that it takes long
WNIDS = ('n03', 'n01', 'n02')           # as published: in no order
WORDS = 'n01\tgoldfish, Carassius auratus\nn02\tbrown bear\nn03\treel\nn99\tnot ours\n'
TRAIN = [(f'train/{wnid}/images/{wnid}_{n}.JPEG', wnid) for wnid in WNIDS for n in range(3)]
VAL = [(f'val/images/val_{n}.JPEG', WNIDS[n % 3]) for n in range(12)]
TEST = [f'test/images/test_{n}.JPEG' for n in range(4)]
CLASS = {'n01': 0, 'n02': 1, 'n03': 2}
GREY = 'train/n01/images/n01_1.JPEG'


def files():
  every = {name: encoded(smooth(n, 64, 64)) for n, name in enumerate(
      [*(name for name, _ in TRAIN), *(name for name, _ in VAL), *TEST])}
  every[GREY] = encoded(Image.fromarray(smooth(77, 64, 64)).convert('L'))
  annotations = ''.join(f"{Path(name).name}\t{wnid}\t0\t32\t44\t62\n" for name, wnid in VAL)
  return every | {'wnids.txt': '\n'.join(WNIDS) + '\n', 'words.txt': WORDS, 'val/val_annotations.txt': annotations,
                  'train/n01/n01_boxes.txt': 'n01_0.JPEG\t0\t1\t2\t3\n'}


def below(prefix, contents):
  return {prefix + name: content for name, content in contents.items()}


def folder(root):
  put(root, files())
  return root


def folder_above(root):
  put(root, below('tiny-imagenet-200/', files()))
  return root


def zipped(root):
  put_zip(root / 'tiny-imagenet-200.zip', below('tiny-imagenet-200/', files()))
  return root / 'tiny-imagenet-200.zip'


def sorted_val(root):
  """The validation images in folders of their classes, as many sort them, and no list."""
  contents = files()
  del contents['val/val_annotations.txt']
  put(root, {f'val/{dict(VAL)[name]}/{Path(name).name}' if name in dict(VAL) else name: content
             for name, content in contents.items()})
  return root


def wanted(path, tmp_path, **others):
  return section('tiny_imagenet', path, cache_dir=tmp_path / 'cache', **{'image_size': 64, **others})


@pytest.mark.parametrize('layout', [folder, folder_above, zipped, sorted_val])
def test_labels_of_every_layout(layout, tmp_path, capsys):
  path = layout(tmp_path / 'data')
  dataset = data.load(wanted(path, tmp_path, splits=('val', 'train')))
  assert dataset.spec == data.describe(wanted(path, tmp_path))
  assert dataset.spec.num_classes == 3 and dataset.spec.label_names == ('goldfish', 'brown bear', 'reel')
  contents = files()
  label_of = {decoded(contents[name]).tobytes(): CLASS[wnid] for name, wnid in VAL + TRAIN}
  assert len(label_of) == len(dataset.images) == 21
  assert [label_of[image.tobytes()] for image in dataset.images] == dataset.labels.tolist()
  val = {decoded(contents[name]).tobytes() for name, _ in VAL}
  assert [image.tobytes() in val for image in dataset.images] == [True] * 12 + [False] * 9
  np.testing.assert_array_equal(dataset.annotations, dataset.labels[:, None])
  grey, = (image for image in dataset.images if image.tobytes() == decoded(contents[GREY]).tobytes())
  assert (grey == grey[..., :1]).all()
  assert capsys.readouterr() == ('', '')


def test_the_test_split_is_unlabelled_and_alone(tmp_path):
  path = folder(tmp_path / 'data')
  dataset = data.load(wanted(path, tmp_path, splits=('test',), image_size=16))
  assert dataset.images.shape == (4, 16, 16, 3) and not dataset.labels.any()
  assert dataset.spec.num_classes == 0 and dataset.spec.annotations == () and dataset.annotations.shape == (4, 0)
  line = refusal(data.load, wanted(path, tmp_path, splits=('train', 'test')))
  assert line.startswith('the test images of tiny_imagenet have no labels; use them alone')
  assert "unknown label 'class' for tiny_imagenet" in refusal(
      data.load, wanted(path, tmp_path, splits=('test',), label='class'))


def test_a_class_that_is_not_in_wnids_is_left_out_with_a_word(tmp_path, capsys):
  path = folder(tmp_path / 'data')
  put(path, {'wnids.txt': 'n01\nn03\n'})
  dataset = data.load(wanted(path, tmp_path, splits=('train', 'val')))
  assert np.bincount(dataset.labels).tolist() == [7, 7] and dataset.spec.label_names == ('goldfish', 'reel')
  assert capsys.readouterr().err == (
      'warning: 7 of 21 images are left out: train/n02/images/n02_0.JPEG, train/n02/images/n02_1.JPEG, '
      'train/n02/images/n02_2.JPEG and 4 others: its class is not in wnids.txt\n')
  assert len(json.loads(next(tmp_path.glob('cache/*/manifest.json')).read_text())['skipped']) == 7


def test_without_words_the_ids_are_the_names(tmp_path):
  path = folder(tmp_path / 'data')
  (path / 'words.txt').unlink()
  assert data.describe(wanted(path, tmp_path)).label_names == ('n01', 'n02', 'n03')


@pytest.mark.parametrize(('spoil', 'splits', 'line'), [
    (lambda root: (root / 'wnids.txt').unlink(), ('train',), 'holds no wnids.txt; expected the zip from http'),
    (lambda root: put(root, {'wnids.txt': ''}), ('train',), 'wnids.txt names no class'),
    (lambda root: put(root, {'wnids.txt': 'n77'}), ('train', 'val'), 'has the class of none of the 21 images in'),
    (lambda root: (root / 'val' / 'val_annotations.txt').unlink(), ('val',),
     'the class of val/images/val_0.JPEG is unknown; expected it in val/val_annotations.txt'),
    (lambda root: put(root, {'val/val_annotations.txt': 'val_0.JPEG n01\n'}), ('val',), 'row 1: expected a file and'),
    (lambda root: [path.unlink() for path in root.glob('val/images/*')], ('val',), 'holds no image in val/'),
])
def test_what_is_missing_is_named(spoil, splits, line, tmp_path):
  path = folder(tmp_path / 'data')
  spoil(path)
  assert line in refusal(data.load, wanted(path, tmp_path, splits=splits))


def test_without_a_folder():
  assert 'curl --fail -O http://cs231n.stanford.edu/tiny-imagenet-200.zip' in refusal(
      data.load, section('tiny_imagenet'))


def test_of_the_test_data(tmp_path):
  if not os.environ.get('JGEN_TEST_DATA'):
    pytest.skip('JGEN_TEST_DATA names no folder with tiny-imagenet-200/')
  root = Path(os.environ['JGEN_TEST_DATA']) / 'tiny-imagenet-200'
  dataset = data.load(wanted(root, tmp_path, splits=('val',)))
  wnids = sorted((root / 'wnids.txt').read_text().split())
  words = dict(line.split('\t') for line in (root / 'words.txt').read_text().splitlines())
  rows = [line.split('\t')[:2] for line in (root / 'val' / 'val_annotations.txt').read_text().splitlines()]
  assert len(dataset.images) == len(rows) == 1000 and dataset.spec.num_classes == len(wnids) == 20
  for place, (name, wnid) in enumerate(sorted(rows, key=lambda row: row[0])):
    assert dataset.spec.label_names[dataset.labels[place]] == words[wnid].split(',')[0]
    if place % 50 == 0:
      np.testing.assert_array_equal(dataset.images[place], decoded((root / 'val' / 'images' / name).read_bytes()))
