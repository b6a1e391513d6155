"""Grey, colour and not square, of every data set; the networks take what halves evenly."""

from types import SimpleNamespace

from helpers import tiny
from helpers.pictures import decoded, encoded, put, smooth
from helpers.published import refusal, section, write_mat
import jax
import numpy as np
from PIL import Image
import pytest

from jgen import data, families
from jgen.data.files import resizing
from jgen.parallel import AXIS


def test_greys_are_pillows():
  image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  grey = np.asarray(Image.fromarray(image).convert('L'))
  np.testing.assert_array_equal(resizing.in_channels(image[np.newaxis], 1)[0, :, :, 0], grey)
  np.testing.assert_array_equal(resizing.in_channels(grey[np.newaxis, ..., np.newaxis], 3)[0], np.stack([grey] * 3, -1))


def test_folders_grey_and_not_square(tmp_path):
  contents = {f'{n}.png': encoded(smooth(n, 40, 30), 'PNG') for n in range(4)}
  put(tmp_path / 'data', contents)
  wanted = dict(folder=tmp_path / 'data', cache_dir=tmp_path / 'cache', splits=('all',))
  dataset = data.load(section('folder', image_size=16, image_width=8, channels=1, **wanted))
  assert dataset.spec.image_shape == (16, 8, 1) and dataset.spec == data.describe(
      section('folder', image_size=16, image_width=8, channels=1, **wanted))
  for image, content in zip(dataset.images, contents.values(), strict=True):
    middle = decoded(content)[:, 5:25][np.newaxis]
    np.testing.assert_array_equal(image, resizing.resize(resizing.in_channels(middle, 1), (16, 8))[0])
  wide = data.load(section('folder', image_size=15, image_width=30, **wanted))
  middle = decoded(contents['0.png'])[12:27][np.newaxis]
  np.testing.assert_array_equal(wide.images[0], resizing.resize(middle, (15, 30))[0])
  assert sorted(path.name.split('-')[1] for path in tmp_path.glob('cache/*')) == ['15x30', '16x8']


def test_resizing_to_a_rectangle_is_tensorflows():
  from jgen.data.host import tensorflow
  images = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
  for size in ((16, 8), (60, 20), (20, 60), (80, 90)):
    expected = tensorflow().image.resize(images, size, 'bilinear', antialias=True).numpy()
    assert np.abs(resizing.resize(images, size) - expected).max() <= 0.5 + 1e-3


def test_other_sets_are_served_alike(tmp_path):
  images, _ = write_mat(tmp_path / 'train_32x32.mat')
  grey = data.load(section(folder=tmp_path, cache_dir=tmp_path / 'cache', image_width=16, channels=1))
  np.testing.assert_array_equal(grey.images, resizing.resize(resizing.in_channels(images[:, :, 8:24], 1), (32, 16)))
  digits = data.load(section('digits', image_size=8, channels=3))
  assert digits.images.shape[1:] == (8, 8, 3) and (digits.images == digits.images[..., :1]).all()
  drawn = data.load(section('sprites', image_size=8, channels=3, cache_dir=tmp_path / 'cache',
                            sprites=SimpleNamespace(num_images=40)))
  assert drawn.images.shape[1:] == (8, 8, 3)


@pytest.mark.parametrize(('others', 'line'), [
    (dict(channels=2), "config.data.channels is 2; expected 1 for grey, 3 for colour or 0 for the data set's own"),
    (dict(image_width=-8), 'config.data.image_width is -8; expected a number of pixels, at least 1'),
    (dict(image_size=0), 'config.data.image_size is 0'), (dict(channels=-1), 'config.data.channels is -1; expected 1')])
def test_shapes_that_are_none(others, line):
  assert refusal(data.describe, section('svhn', **others)).startswith(line)
  assert refusal(data.describe, section('digits', **others)).startswith(line)


@pytest.mark.parametrize('make', [tiny.dcgan, tiny.vae])
def test_networks_take_a_rectangle_or_refuse_it_in_one_line(make):
  config = make(**{'data.image_size': 8, 'data.image_width': 16, 'data.channels': 3})
  family = families.create(config, data.describe(config.data))
  drawn = jax.eval_shape(jax.vmap(lambda key: family.sample(family.init(key), key, np.zeros(2, np.int32)),
                                  axis_name=AXIS), jax.random.split(jax.random.key(0), 1))
  assert drawn.shape == (1, 2, 8, 16, 3)
  config.data.image_width = 15
  assert '8 x 15 pixels' in refusal(lambda: jax.eval_shape(
      families.create(config, data.describe(config.data)).init, jax.random.key(0)))
