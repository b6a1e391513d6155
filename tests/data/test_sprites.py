"""The procedural sprites, against closed forms and against images of dSprites."""

import os
from pathlib import Path
from types import SimpleNamespace

from helpers.published import refusal, section
import numpy as np
import pytest

from jgen import data
from jgen.data.readers import sprites


def wanted(tmp_path, num_images, image_size=64, splits=('all',)):
  chosen = section('sprites', splits=splits, image_size=image_size, cache_dir=tmp_path / 'cache')
  chosen.sprites = SimpleNamespace(num_images=num_images)
  return chosen


def draw(shape, scale=1., angle=0., x=0.5, y=0.5, size=64):
  """One sprite as bool [size, size]; every argument but `shape` and `size` may be an array."""
  scale, angle, x, y = np.broadcast_arrays(*map(np.atleast_1d, (scale, angle, x, y)))
  shapes = np.full(len(scale), sprites.SHAPES.index(shape))
  images = sprites.render(shapes, scale, angle, x, y, size)
  assert images.shape == (len(scale), size, size, 1) and images.dtype == np.uint8 and set(np.unique(images)) == {0, 255}
  return images[..., 0] > 0


def centre_of_mass(white):
  """(x, y) of [n, size, size] as shares of the side."""
  places = (np.arange(white.shape[-1]) + 0.5) / white.shape[-1]
  total = white.sum((1, 2))
  return (white.sum(1) * places).sum(1) / total, (white.sum(2) * places).sum(1) / total


AREAS = {
    'square': 0.3**2,
    'ellipse': np.pi * 0.19953 * 0.11266,
    # The area inside x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t is 180 pi; its width is 32.
    'heart': 180 * np.pi * (0.15 / 16) * (0.6625 / 64),
}


@pytest.mark.parametrize('shape', sprites.SHAPES)
def test_areas_follow_the_scale(shape):
  areas = draw(shape, sprites.SCALES, 0.3, size=512).mean((1, 2))
  np.testing.assert_allclose(areas, AREAS[shape] * sprites.SCALES**2, rtol=5e-3)


@pytest.mark.parametrize('shape', sprites.SHAPES)
def test_positions_move_the_sprite_and_nothing_else(shape):
  x, y = (grid.ravel() for grid in np.meshgrid(sprites.POSITIONS, sprites.POSITIONS))
  white = draw(shape, 1., 0.7, x, y)
  at_x, at_y = centre_of_mass(white)
  around = {'heart': 0.04}.get(shape, 0.003)   # a heart's centre of mass is not the point that it turns around
  assert abs(at_x - (0.25 + 0.5 * x)).max() < around and abs(at_y - (0.25 + 0.5 * y)).max() < around
  assert np.polyfit(x, at_x, 1)[0] == pytest.approx(0.5, abs=2e-3)
  assert np.polyfit(y, at_y, 1)[0] == pytest.approx(0.5, abs=2e-3)
  border = np.concatenate([white[:, [0, -1]].ravel(), white[:, :, [0, -1]].ravel()])
  assert not border.any()


def test_orientations_turn_the_sprite_counterclockwise():
  quarter = np.pi / 2
  square, ellipse, heart = (draw(shape, 1., quarter * np.arange(4)) for shape in sprites.SHAPES)
  for turned in square[1:]:
    np.testing.assert_array_equal(turned, square[0])
  for shape in (ellipse, heart):
    assert (shape[0] != shape[1]).mean() > 0.01
    for k in range(4):
      np.testing.assert_array_equal(shape[k], np.rot90(shape[0], k))
  assert ellipse[0].any(0).sum() > ellipse[0].any(1).sum()   # lying
  np.testing.assert_array_equal(heart[0], heart[0][:, ::-1])
  widths = heart[0].sum(1)[heart[0].any(1)]
  assert widths[-1] <= 2 < widths[0]                          # its point is below
  assert sprites.ORIENTATIONS[10] == pytest.approx(quarter) and sprites.ORIENTATIONS[-1] < 2 * np.pi


def frames():
  if not os.environ.get('JGEN_TEST_DATA'):
    pytest.skip('JGEN_TEST_DATA names no folder with dsprites/dsprites_real_frames.npz')
  with np.load(Path(os.environ['JGEN_TEST_DATA']) / 'dsprites/dsprites_real_frames.npz', allow_pickle=False) as file:
    return file['imgs'], file['latents_classes'], file['latents_values']


def test_how_many_pixels_differ_from_images_of_dsprites():
  images, classes, values = frames()
  assert images.shape == (258, 64, 64)
  drawn = sprites.render(classes[:, 1], *values[:, 2:].T, 64)[..., 0]
  differ = (drawn != 255 * images).sum((1, 2))
  by_shape = [int(differ[classes[:, 1] == shape].sum()) for shape in range(3)]
  assert by_shape == [8, 8, 40] and differ.max() == 4 and (differ > 0).sum() == 37


def test_an_image_is_a_function_of_its_number(tmp_path):
  few, more = (data.load(wanted(tmp_path, count, 16)) for count in (60, 2500))
  assert few.spec.image_shape == (16, 16, 1) and few.source.startswith('procedural: all, 60 of the 737,280 sprites')
  numbers_of_few, numbers_of_more = sprites.subset(60), sprites.subset(2500)
  assert len(set(numbers_of_more)) == 2500 and (np.diff(numbers_of_more) > 0).all()
  places = np.searchsorted(numbers_of_more, numbers_of_few)
  np.testing.assert_array_equal(numbers_of_more[places], numbers_of_few)
  np.testing.assert_array_equal(more.images[places], few.images)
  for number, image, annotations in zip(numbers_of_few, few.images, few.annotations, strict=True):
    color, shape, scale, orientation, x, y = annotations
    assert number == (((shape * 6 + scale) * 40 + orientation) * 32 + x) * 32 + y and color == 0   # as in dSprites
    expected = draw(sprites.SHAPES[shape], 0.5 + 0.1 * scale, np.deg2rad(9 * orientation), x / 31, y / 31, size=16)
    np.testing.assert_array_equal(image[..., 0] > 0, expected[0])
  np.testing.assert_array_equal(few.labels, few.annotations[:, 1])
  assert [len(factor.values) for factor in few.spec.annotations] == [1, 3, 6, 40, 32, 32]


@pytest.mark.parametrize('count', [320, 1000, 10_000, 40_960])
def test_subsets_are_spread_over_every_factor(count):
  classes = sprites.classes(sprites.subset(count))
  for column, size in zip(classes.T, sprites.SIZES, strict=True):
    counts = np.bincount(column, minlength=size)
    assert abs(counts - count / size).max() <= max(6, 0.05 * count / size)
  if count == 40_960:                     # every pair of positions and every orientation at each of them once
    assert len(np.unique(classes[:, 3:], axis=0)) == 40 * 32 * 32


def test_all_of_them_are_asked_for_by_zero():
  numbers = sprites.subset(sprites.NUM_IMAGES)
  np.testing.assert_array_equal(numbers, np.arange(737_280))
  line = 'config.data.sprites.num_images is {}; expected 1 to 737,280, or 0 for all'
  for wrong in (-1, 737_281):
    assert refusal(data.describe, wanted(Path('/nowhere'), wrong)) == line.format(wrong)
