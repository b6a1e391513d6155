"""Which images are in train, valid and test where a data set is published in one piece."""

from types import SimpleNamespace

from helpers.published import refusal, section
import numpy as np
import pytest
from sklearn.datasets import load_digits
from test_dsprites import content, write

from jgen import data
from jgen.data.files import partition
from jgen.data.readers import dsprites, sprites

NAMES = ('train', 'valid', 'test')
# The first outputs for the seed 0 of the generator's published C code, https://prng.di.unimi.it/splitmix64.c
FIRST = (0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f, 0xf88bb8a8724c81ec, 0x1b39896a51a8749b)


def hash_of(number):
  """SplitMix64 in whole numbers."""
  z = (number + 1) * 0x9e3779b97f4a7c15 % 2**64
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 % 2**64
  z = (z ^ z >> 27) * 0x94d049bb133111eb % 2**64
  return z ^ z >> 31


def numbers_in(split, numbers):
  low, high = {'train': (0, 8), 'valid': (8, 9), 'test': (9, 10)}[split]
  return [number for number in numbers if low * 2**64 <= 10 * hash_of(int(number)) < high * 2**64]


def sprites_section(tmp_path, num_images, splits, image_size=8):
  config = section('sprites', splits=splits, image_size=image_size, cache_dir=tmp_path / 'cache')
  config.sprites = SimpleNamespace(num_images=num_images)
  return config


def numbers_of(dataset):
  return np.ravel_multi_index(dataset.annotations.T, sprites.SIZES)


def test_the_hash_is_splitmix64():
  assert tuple(partition.splitmix64(np.arange(5))) == FIRST == tuple(map(hash_of, range(5)))
  numbers = np.random.default_rng(0).integers(0, 2**62, 100)
  assert partition.splitmix64(numbers).tolist() == [hash_of(int(number)) for number in numbers]


def test_the_bounds():
  low, high = 8 * 2**64 // 10, 9 * 2**64 // 10
  hashes = [0, low - 10**4, low + 10**4, high - 10**4, high + 10**4, 2**64 - 1]   # 10^4: what float64 can tell
  assert partition.place(hashes).tolist() == [0, 0, 1, 1, 2, 2]


def test_digits():
  published = np.rint(load_digits().images * (255 / 16))[..., np.newaxis]
  found = {split: data.load(section('digits', splits=(split,), image_size=8)) for split in NAMES}
  for split, dataset in found.items():
    numbers = numbers_in(split, range(1797))
    np.testing.assert_array_equal(dataset.images, published[numbers])
    np.testing.assert_array_equal(dataset.labels, load_digits().target[numbers])
    assert dataset.source == f'sklearn.datasets.load_digits: {split}'
    assert set(dataset.labels) == set(range(10))
  assert [len(dataset.images) for dataset in found.values()] == [1468, 158, 171]
  both = data.load(section('digits', splits=('test', 'train'), image_size=8))
  np.testing.assert_array_equal(both.images, published[sorted(numbers_in('train', range(1797))
                                                              + numbers_in('test', range(1797)))])
  assert len(data.load(section('digits', splits=('all', 'test'), image_size=8)).images) == 1797


def test_a_sprite_stays_where_it_is_at_every_number_and_size(tmp_path):
  for count, size in ((300, 8), (4000, 8), (300, 16)):
    for split in NAMES:
      dataset = data.load(sprites_section(tmp_path, count, (split,), size))
      expected = numbers_in(split, sprites.subset(count))
      assert numbers_of(dataset).tolist() == expected
      assert dataset.source.startswith(f'procedural: {split}, {len(expected):,} of the 737,280 ')
      whole = data.load(sprites_section(tmp_path, count, ('all',), size))
      np.testing.assert_array_equal(dataset.images, whole.images[np.isin(numbers_of(whole), expected)])


def test_shares_of_all_the_sprites_and_of_each_value_of_a_factor():
  numbers = np.arange(sprites.NUM_IMAGES)
  for split, share in zip(NAMES, (.8, .1, .1), strict=True):
    chosen = sprites.classes(numbers[partition.belong(numbers, (split,))])
    for column, size in zip(chosen.T, sprites.SIZES, strict=True):
      shares = np.bincount(column, minlength=size) * size / sprites.NUM_IMAGES
      np.testing.assert_allclose(shares, share, atol=6 * np.sqrt(share * size / sprites.NUM_IMAGES))


@pytest.mark.parametrize('order', [slice(None), slice(None, None, -1)], ids=['as published', 'in another order'])
def test_dsprites_by_the_factors_whatever_the_order(order, tmp_path, monkeypatch):
  monkeypatch.setattr(dsprites, '_PART', 100)
  arrays = {name: array[order] for name, array in content(350).items()}
  write(tmp_path, tmp_path / 'trap', **arrays)
  numbers = np.ravel_multi_index(arrays['latents_classes'].T, sprites.SIZES)
  for splits in (('train',), ('valid', 'test')):
    dataset = data.load(section('dsprites', tmp_path, splits, 64, tmp_path / 'cache'))
    chosen = np.isin(numbers, [number for split in splits for number in numbers_in(split, numbers)])
    np.testing.assert_array_equal(dataset.images[..., 0], 255 * arrays['imgs'][chosen])
    np.testing.assert_array_equal(dataset.annotations, arrays['latents_classes'][chosen])
    assert dataset.source.endswith(f": {', '.join(splits)}")


def test_a_part_without_an_image_is_told_in_one_line(tmp_path):
  line = refusal(data.load, sprites_section(tmp_path, 1, ('train', 'test')))
  assert line == 'none of the 1 sprites is in train, test; raise config.data.sprites.num_images'
  write(tmp_path, tmp_path / 'trap', **content(3))
  empty = next(split for split in NAMES if not numbers_in(split, [0, 80, 160]))
  line = refusal(data.load, section('dsprites', tmp_path, (empty,), 64, tmp_path / 'cache'))
  assert line == f'dsprites: no image is left of 3; none of them is in {empty}; choose another split'
  assert not list(tmp_path.glob('cache/*'))
