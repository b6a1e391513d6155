"""Flips, crops and rotations on the device, against numpy; without them the step computes nothing more."""

import functools
import types

from helpers import tiny
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgen import families, recipes
from jgen.augmentation import images as augmentation
from jgen.augmentation.images import Augmentation, affine, sample_affine
from jgen.commands import train
from jgen.data.spec import Spec
from jgen.errors import UserError
from jgen.families import train_state
from jgen.images import pixels
from jgen.parallel import AXIS
from jgen.training import step as step_lib

pytestmark = pytest.mark.usefixtures('few_figures')

KEY = jax.random.key(3)


def noise(*shape):
  return np.random.default_rng(0).random(shape, dtype=np.float32)


@jax.jit
def sampled(image, flipped, scale, angle, offset):
  return sample_affine(image, affine(flipped, scale, angle), offset)


def applied(image, flipped=False, scale=1., degrees=0., offset=(0., 0.)):
  return np.asarray(sampled(image, flipped, scale, np.deg2rad(degrees).astype(np.float32), jnp.array(offset)))


def restated(image, flipped=False, scale=1., degrees=0., offset=(0., 0.)):
  """Bilinear samples one pixel at a time, in float64: mirrored, turned, cropped, in this order from the result."""
  height, width, _ = image.shape
  out = np.empty(image.shape)
  for i in range(height):
    for j in range(width):
      down, right = i - (height - 1) / 2, j - (width - 1) / 2
      if flipped:
        right = -right
      angle = np.deg2rad(degrees)
      down, right = np.cos(angle) * down - np.sin(angle) * right, np.sin(angle) * down + np.cos(angle) * right
      row = np.clip((height - 1) / 2 + offset[0] + scale * down, 0, height - 1)
      column = np.clip((width - 1) / 2 + offset[1] + scale * right, 0, width - 1)
      top, left = int(row), int(column)
      bottom, beside = min(top + 1, height - 1), min(left + 1, width - 1)
      below, aside = row - top, column - left
      out[i, j] = ((1 - below) * ((1 - aside) * image[top, left] + aside * image[top, beside])
                   + below * ((1 - aside) * image[bottom, left] + aside * image[bottom, beside]))
  return out


@pytest.mark.parametrize('size', [7, 8])
def test_whole_turns_and_mirrors_are_those_of_numpy(size):
  image = noise(size, size, 3)
  np.testing.assert_array_equal(applied(image), image)
  np.testing.assert_array_equal(applied(image, flipped=True), image[:, ::-1])
  for turns in (1, 2, 3, -1):
    np.testing.assert_allclose(applied(image, degrees=90 * turns), np.rot90(image, -turns), atol=1e-5)   # clockwise
  np.testing.assert_allclose(applied(image, True, degrees=90), np.rot90(image, -1)[:, ::-1], atol=1e-5)


def test_a_crop_of_half_the_side_is_its_corner_enlarged():
  image = noise(8, 8, 1)
  corner = applied(image, scale=0.5, offset=(-2., 2.))   # rows 0 to 3, columns 4 to 7
  np.testing.assert_allclose(corner, restated(image, scale=0.5, offset=(-2., 2.)), atol=1e-6)
  # Every second pair of results straddles the centre of one pixel, a quarter to each side.
  means = (corner[1:-1:2, 1:-1:2] + corner[2::2, 1:-1:2] + corner[1:-1:2, 2::2] + corner[2::2, 2::2]) / 4
  squares = (image[:3, 4:7] + image[1:4, 4:7] + image[:3, 5:8] + image[1:4, 5:8]) / 4
  np.testing.assert_allclose(means, squares, atol=1e-6)


@pytest.mark.parametrize('settings', [
    dict(scale=0.7, offset=(0.9, -1.1)), dict(degrees=33.),
    dict(flipped=True, scale=0.8, degrees=-20., offset=(1., 0.5))])
def test_one_map_is_bilinear_sampling_restated(settings):
  image = noise(9, 6, 2)
  np.testing.assert_allclose(applied(image, **settings), restated(image, **settings), atol=1e-5)


def drawn(augment, count, shape=(10, 20)):
  maps = jax.jit(jax.vmap(functools.partial(augment.draw, shape=shape)))(jax.random.split(KEY, count))
  return tuple(np.asarray(values) for values in maps)


def test_what_is_drawn_has_the_ranges_that_are_asked_for():
  matrices, offsets = drawn(Augmentation(horizontal_flip=0.25, smallest_crop=0.6, largest_rotation=30.), 4000)
  determinants = np.linalg.det(matrices)
  assert np.mean(determinants < 0) == pytest.approx(0.25, abs=0.03)
  scales = np.sqrt(abs(determinants))
  angles = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
  for values, low, high in [(scales, 0.6, 1.), (angles, -30., 30.)]:
    assert low - 1e-4 <= values.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < values.max() <= high + 1e-4
    assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
  free = (1 - scales[:, None]) * [5, 10]   # a crop of the 10 x 20 image does not leave it
  assert (abs(offsets) <= free + 1e-5).all() and (abs(offsets) > 0.98 * free).any(0).all()


@pytest.mark.parametrize('settings', [
    dict(horizontal_flip=1.), dict(smallest_crop=0.5), dict(largest_rotation=45.)])
def test_each_option_does_its_own_part_alone(settings):
  matrices, offsets = drawn(Augmentation(**settings), 50)
  signs = -1. if 'horizontal_flip' in settings else 1.
  unit = np.array([[1, 0], [0, signs]], np.float32)
  assert ('smallest_crop' in settings) == bool(offsets.any())
  if 'horizontal_flip' in settings:
    np.testing.assert_array_equal(matrices, np.broadcast_to(unit, matrices.shape))
  elif 'smallest_crop' in settings:
    np.testing.assert_array_equal(matrices, matrices[:, :1, :1] * unit)
  else:
    np.testing.assert_allclose(matrices @ matrices.swapaxes(1, 2), np.broadcast_to(unit, matrices.shape), atol=1e-6)


def on(devices, augment, batch, step):
  """The augmented [K, G, H, W, C], shared out over so many devices."""
  shares = np.stack(np.split(batch, devices, axis=1))
  return np.concatenate(list(np.asarray(mapped(devices, augment)(step, shares))), axis=1)


@functools.cache
def mapped(devices, augment):
  return jax.pmap(functools.partial(augment, KEY), axis_name=AXIS, in_axes=(None, 0), devices=jax.devices()[:devices])


def test_an_image_is_changed_by_its_position_alone():
  augment = Augmentation(horizontal_flip=0.5, smallest_crop=0.5, largest_rotation=30.)
  one_image = noise(5, 5, 1)
  batch = np.broadcast_to(one_image, (2, 8, 5, 5, 1))
  one, four = on(1, augment, batch, 6), on(4, augment, batch, 6)
  np.testing.assert_allclose(four, one, atol=1e-6)
  assert len(np.unique(one.reshape(16, -1), axis=0)) == 16   # another map at every position of every batch
  other = batch.copy()
  other[:, 1:] = 0                        # another neighbour changes nothing
  np.testing.assert_array_equal(on(4, augment, other, 6)[:, 0], four[:, 0])
  np.testing.assert_array_equal(on(4, augment, batch, 6), four)
  assert (on(4, augment, batch, 7) != four).any((2, 3, 4)).all()


SPEC = Spec('squares', (8, 8, 1), 10, tuple('0123456789'))


def program(step, family):
  """The traced computation of one device's step, as text."""
  state = jax.eval_shape(family.init, KEY)
  batch = {'image': jnp.zeros((family.batches_per_step, 4, *SPEC.image_shape), jnp.uint8),
           'label': jnp.zeros((family.batches_per_step, 4), jnp.int32)}
  return str(jax.make_jaxpr(step, axis_env=[(AXIS, 4)])(state, batch))


def test_where_all_is_off_the_step_is_the_plain_one():
  family = families.create(tiny.wgan(), SPEC)

  def plain(state, batches):
    batches, before = {**batches, 'image': pixels.to_float(batches['image'])}, state
    state, metrics = family.train_step(state, batches, jax.random.fold_in(KEY, state.step))
    return state.replace(step=state.step + 1), {**jax.lax.pmean(metrics, AXIS), **step_lib.of_updates(before, state)}

  def step(**settings):
    section = recipes.base().augmentation
    section.update(settings)
    return functools.partial(step_lib.step_on_device, family, augmentation.create(section), KEY)

  assert program(step(), family) == program(plain, family)
  assert program(step(horizontal_flip=0.5), family) != program(plain, family)


@pytest.mark.parametrize(('key', 'value', 'expected'), [
    ('horizontal_flip', 1.5, 'from 0 to 1'), ('smallest_crop', 0., 'from 0.01 to 1'),
    ('largest_rotation', float('nan'), 'from 0 to 180')])
def test_numbers_out_of_range_are_refused(key, value, expected, tmp_path):
  with pytest.raises(UserError, match=f'^config.augmentation.{key} is {value}; expected a number, {expected}$'):
    train.run(tiny.wgan(**{f'augmentation.{key}': value}), tmp_path / 'run', '')
  assert not (tmp_path / 'run').exists()


def test_every_step_is_augmented_by_its_own_number():
  told = []
  def augment(key, step, pixels):
    told.append(step)
    return pixels
  family = types.SimpleNamespace(ema_decay=0., train_step=lambda state, batches, key: (state, {}))
  state = train_state.TrainState(step=5, params={}, opt_state={}, model_state={}, ema_params={})
  step = lambda pixels: step_lib.step_on_device(family, augment, jax.random.key(0), state, {'image': pixels})[0].step
  assert jax.vmap(step, axis_name=AXIS, out_axes=None)(np.zeros((2, 1, 1, 4, 4, 1), np.uint8)) == 6
  assert told == [5]
