"""The sheet of a data set: its picture pixel by pixel, its numbers against counts by hand."""

from helpers import tiny
import numpy as np
from PIL import Image
import pytest

from jgen import data
from jgen.augmentation import images as augmentation
from jgen.augmentation.images import Augmentation
from jgen.commands import data as data_sheet
from jgen.data.spec import Annotation, Dataset, Spec
from jgen.errors import UserError

COUNTS = (20, 0, 9, 3)                  # images of each class


@pytest.fixture
def dataset():
  labels = np.repeat(np.arange(4, dtype=np.int32), COUNTS)
  images = np.random.default_rng(0).integers(0, 256, (32, 48, 48, 1), dtype=np.uint8)
  images[:, 0, 0, 0] = np.arange(32)      # by which the picture is read
  smiling = np.arange(32) % 4 == 0
  annotations = (Annotation('animal', ('cat', 'dog', 'owl', 'bee')), Annotation('smiling', ('no', 'yes')))
  spec = Spec('animals', (48, 48, 1), 4, annotations[0].values, annotations)
  return Dataset(spec, images, labels, 'a zoo', np.stack([labels, smiling], axis=1).astype(np.int32))


def cells(half, left):
  """The 64 images of a half, 2 pixels of grey between and around them, below its heading: [64, 48, 48]."""
  grid = half[-(8 * 50 + 2):, left:left + 8 * 50 + 2]
  tiles = grid[2:, 2:].reshape(8, 50, 8, 50, 3).swapaxes(1, 2)
  assert (tiles[:, :, 48:] == 160).all() and (tiles[:, :, :, 48:] == 160).all() and (grid[:2] == 160).all()
  assert (tiles == tiles[..., :1]).all()   # greys
  return tiles[:, :, :48, :48, 0].reshape(64, 48, 48)


def halves(picture):
  """Both halves' images, found by the grey line along their tops."""
  grey = np.flatnonzero((picture[-(8 * 50 + 2)] == 160).all(-1))
  first, second = grey[0], grey[402]
  assert len(grey) == 2 * 402
  return cells(picture, first), cells(picture, second), picture[:, :first]


def test_the_picture_shows_rows_of_classes_and_what_becomes_of_them(dataset):
  plain, changed, names = halves(data_sheet.picture(dataset, Augmentation(horizontal_flip=1.), seed=0))
  shown = plain[:, 0, 0].astype(int)
  np.testing.assert_array_equal(plain, dataset.images[shown][..., 0])
  np.testing.assert_array_equal(changed, plain[:, :, ::-1])
  assert [set(dataset.labels[row]) for row in shown.reshape(8, 8)] == [{0}, {0}, {0}, {2}, {2}, {2}, {3}, {3}]
  for row in shown.reshape(8, 8)[:6]:
    assert len(set(row)) == 8             # no image twice where there are enough
  assert (names < 100).any(), 'no name stands beside the rows'
  heading = data_sheet.picture(dataset, Augmentation(horizontal_flip=1.), seed=0)[:-402]
  assert (heading < 100).any() and heading.shape[0] > 20


def test_without_augmentation_both_halves_are_the_same(dataset):
  unlabelled = Dataset(Spec('animals', (48, 48, 1)), dataset.images, np.zeros(32, np.int32), 'a zoo')
  picture = data_sheet.picture(unlabelled, augmentation.unchanged, seed=0)
  plain, changed, names = halves(picture)
  np.testing.assert_array_equal(plain, changed)
  assert names.shape[1] == 0 and sorted(plain[:32, 0, 0]) == list(range(32))
  assert not np.array_equal(picture, data_sheet.picture(unlabelled, augmentation.unchanged, seed=1))


def test_the_table_counts(dataset):
  assert data_sheet.table(dataset).splitlines() == [
      'animals: 32 images of 48x48x1', 'source: a zoo', 'classes: cat 20, dog 0, owl 9, bee 3',
      'animal: 4 values (cat to bee), 0 to 20 images each', 'smiling: yes 25.0%']
  many = Dataset(Spec('animals', (48, 48, 1), 32, tuple(f'no. {i}' for i in range(32))), dataset.images,
                 np.arange(32, dtype=np.int32), 'a zoo')
  assert data_sheet.table(many).splitlines()[2:] == ['classes: 32 values (no. 0 to no. 31), 1 images each']
  unlabelled = Dataset(Spec('animals', (48, 48, 1)), dataset.images, np.zeros(32, np.int32), 'a zoo')
  assert data_sheet.table(unlabelled).splitlines()[2:] == ['classes: none']


def test_the_mode_leaves_one_picture_and_needs_no_model(tmp_path, capsys):
  config = tiny.wgan(family='', **{'data.splits': ('all',), 'augmentation.largest_rotation': 10.})
  data_sheet.run(config, tmp_path / 'run', '')
  assert [path.name for path in (tmp_path / 'run').iterdir() if path.name != '.jgen'] == ['data.png']
  picture = np.asarray(Image.open(tmp_path / 'run/data.png'))
  np.testing.assert_array_equal(picture, data_sheet.picture(
      data.load(config.data), Augmentation(largest_rotation=10.), config.seed))
  said = capsys.readouterr().out
  assert 'digits: 1,797 images of 8x8x1' in said and 'classes: 0 178, 1 182, 2 177,' in said
  assert f"largest rotation 10): {tmp_path / 'run/data.png'}" in said
  with pytest.raises(UserError, match='largest_rotation is 200'):
    data_sheet.run(tiny.wgan(**{'augmentation.largest_rotation': 200.}), tmp_path / 'run', '')
