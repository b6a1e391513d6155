"""Grids of images, pixel by pixel."""

import numpy as np
from PIL import Image
import pytest

from jgen.images import grids


def test_a_title_stands_above(tmp_path):
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
  grids.save_grid(tmp_path / 'bare.png', images, 2, ('a', 'b'))
  grids.save_grid(tmp_path / 'titled.png', images, 2, ('a', 'b'), 'from -3 to 3')
  bare, titled = (np.asarray(Image.open(tmp_path / f'{name}.png')) for name in ('bare', 'titled'))
  top = len(titled) - len(bare)
  np.testing.assert_array_equal(titled[top:, :bare.shape[1]], bare)
  assert top > 16 and (titled[:top] < 128).any()


@pytest.mark.parametrize('side, channels, factor', [(8, 1, 6), (20, 3, 3), (64, 3, 1)])
def test_each_image_is_at_its_place_magnified_and_unchanged(tmp_path, side, channels, factor):
  images = np.random.default_rng(0).integers(0, 256, (6, side, side, channels), np.uint8)
  grids.save_grid(tmp_path / 'new' / 'grid.png', images, columns=3)
  picture = np.asarray(Image.open(tmp_path / 'new' / 'grid.png'))
  pitch = side * factor + 2
  assert picture.shape == (2 * pitch + 2, 3 * pitch + 2, 3)
  background = np.ones(picture.shape[:2], bool)
  for i, image in enumerate(images):
    row, column = divmod(i, 3)
    place = (slice(2 + row * pitch, (row + 1) * pitch), slice(2 + column * pitch, (column + 1) * pitch))
    expected = np.kron(image, np.ones((factor, factor, 1), np.uint8))
    np.testing.assert_array_equal(picture[place], np.broadcast_to(expected, (*expected.shape[:2], 3)))
    background[place] = False
  assert (picture[background] == 160).all()


def test_row_names_stand_at_the_left_uncut():
  images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
  bare = grids.compose_grid(images, 2)
  named = grids.compose_grid(images, 2, ('1', 'Wavy_Hair gjpqy', '10'))
  width = named.shape[1] - bare.shape[1]
  np.testing.assert_array_equal(named[:, width:], bare)
  ink = (named[:, :width] < 128).all(axis=-1)
  inked_columns = []
  for row in range(3):
    band = ink[1 + row * 50:1 + (row + 1) * 50]
    inked_rows, inked = np.flatnonzero(band.any(axis=1)), np.flatnonzero(band.any(axis=0))
    assert inked_rows[0] > 4 and inked_rows[-1] < 45          # inside its own row, with room
    assert abs(inked_rows.mean() - 24.5) < 5                  # in the middle of it
    assert inked[0] >= 4 and inked[-1] < width - 4            # neither end is cut or touches the images
    inked_columns.append(np.ptp(inked))
  assert inked_columns[1] > inked_columns[2] > inked_columns[0]   # the longer name is longer
  assert ink.sum() > 200


def test_a_name_for_every_row():
  with pytest.raises(ValueError):
    grids.compose_grid(np.zeros((4, 8, 8, 1), np.uint8), 2, ('one', 'two', 'three'))


def test_a_picture_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
  path = tmp_path / 'grid.png'
  path.write_bytes(b'the old one')
  def broken(self, file, format):
    open(file, 'w').close()
    raise OSError('disk full')
  monkeypatch.setattr(Image.Image, 'save', broken)
  with pytest.raises(OSError):
    grids.save_grid(path, np.zeros((1, 8, 8, 1), np.uint8), 1)
  assert path.read_bytes() == b'the old one' and list(tmp_path.iterdir()) == [path]
