"""Augmentation and noise of the critic's input: each against numpy, its random numbers, and the decay of the noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgen.augmentation import critic_inputs
from jgen.augmentation.diff_augment import color, cut_out, cutout, stretch, translate, translation
from jgen.errors import UserError
from jgen.parallel import AXIS

HEIGHT, WIDTH = 16, 24                  # an eighth: 2 and 3; a half: 8 and 12


@pytest.fixture
def image():
  return np.random.default_rng().uniform(-1, 1, (HEIGHT, WIDTH, 3)).astype(np.float32)


def keys(count):
  return jax.random.split(jax.random.key(np.random.default_rng().integers(2**31)), count)


def test_distances_from_the_mean_are_stretched(image):
  grey = image.mean(2, keepdims=True)
  np.testing.assert_allclose(stretch(image, 1.7, axes=2), grey + 1.7 * (image - grey), atol=1e-6)
  mean = image.mean()
  np.testing.assert_allclose(stretch(image, 0.6, axes=(0, 1, 2)), mean + 0.6 * (image - mean), atol=1e-6)


@pytest.mark.parametrize('limits', [(2, 3)])
def test_translation_moves_every_pixel(image, limits):
  for rows in range(-2, 3):
    for columns in range(-3, 4):
      expected = np.zeros_like(image)
      for i in range(max(0, rows), HEIGHT + min(0, rows)):
        for j in range(max(0, columns), WIDTH + min(0, columns)):
          expected[i, j] = image[i - rows, j - columns]
      np.testing.assert_array_equal(translate(image, rows, columns, limits), expected)


def test_a_rectangle_is_cut_out(image):
  for top, left in ((-4, -6), (3, 5), (12, 18)):
    expected = image.copy()
    expected[max(0, top):top + 8, max(0, left):left + 12] = 0
    np.testing.assert_array_equal(cut_out(image, (top, left), (8, 12)), expected)


def test_colors_are_drawn_from_the_published_ranges():
  # Two grey levels and a tint show the three numbers: brightness moves the mean, contrast the distance of the levels,
  # saturation and contrast that of the channels.
  image = np.stack([np.full((2, 2), -0.5), np.full((2, 2), 0.5)])[..., None] + np.float32([-0.1, 0., 0.1])
  changed = np.asarray(jax.jit(jax.vmap(functools.partial(color, image=image.reshape(4, 2, 3))))(keys(2_000)))
  brightness = changed.mean((1, 2, 3))
  contrast = changed[:, 2:].mean((1, 2, 3)) - changed[:, :2].mean((1, 2, 3))
  saturation = (changed[:, 0, 0, 2] - changed[:, 0, 0, 0]) / 0.2 / contrast
  for numbers, low, high in ((brightness, -0.5, 0.5), (contrast, 0.5, 1.5), (saturation, 0., 2.)):
    margin = 0.01 * (high - low)
    assert low - 1e-5 < numbers.min() < low + margin and high - margin < numbers.max() < high + 1e-5
  assert np.abs(np.corrcoef([brightness, contrast, saturation]) - np.eye(3)).max() < 0.1


def test_translations_and_holes_are_drawn_evenly():
  ones = jnp.ones((HEIGHT, WIDTH, 1))
  moved = np.asarray(jax.jit(jax.vmap(lambda key: translation(key, ones)))(keys(1_000)))[..., 0]
  rows, columns = moved.any(2), moved.any(1)    # what is left of each side
  shifts = {(int(r.argmax() or r.sum() - HEIGHT), int(c.argmax() or c.sum() - WIDTH))
            for r, c in zip(rows, columns, strict=True)}
  assert shifts == {(r, c) for r in range(-2, 3) for c in range(-3, 4)}
  holed = np.asarray(jax.jit(jax.vmap(lambda key: cutout(key, ones)))(keys(2_000)))[..., 0] == 0
  rows, columns = holed.any(2).sum(1), holed.any(1).sum(1)
  np.testing.assert_array_equal(holed.sum((1, 2)), rows * columns)   # rectangles
  assert set(rows) == set(range(4, 9)) and set(columns) == set(range(6, 13))
  # The centre is one of HEIGHT + 1 places, of WIDTH + 1, and half of the hole is before it.
  assert set(holed.any(2).argmax(1)) == set(range(13)) and set(holed.any(1).argmax(1)) == set(range(19))
  np.testing.assert_allclose([(rows == 8).mean(), (columns == 12).mean()], [9 / 17, 13 / 25], atol=0.05)


def shown(present, images, step=0, seed=0):
  """What the critic sees on one device."""
  call = lambda x: present(jax.random.key(seed), jnp.int32(step), x)
  return np.asarray(jax.pmap(call, axis_name=AXIS, devices=jax.devices()[:1])(images[None])[0])


def create(policies=(), stddev=0., decay_steps=0):
  return critic_inputs.create(policies, {'stddev': stddev, 'decay_steps': decay_steps})


def test_noise_falls_to_nothing():
  images = np.random.default_rng().uniform(-1, 1, (8, HEIGHT, WIDTH, 3)).astype(np.float32)
  present = create(stddev=0.4, decay_steps=10)
  noise = {step: shown(present, images, step) - images for step in (0, 5, 10, 30)}
  np.testing.assert_allclose([noise[step].std() for step in noise], [0.4, 0.2, 0., 0.], rtol=0.03)
  assert abs(noise[0].mean()) < 0.02
  np.testing.assert_array_equal(noise[30], 0)
  assert np.abs(np.corrcoef(noise[0].reshape(8, -1)) - np.eye(8)).max() < 0.2   # of its own for each image
  lasting = create(stddev=0.4)
  np.testing.assert_allclose((shown(lasting, images, 10**6) - images).std(), 0.4, rtol=0.03)


def test_policies_come_one_after_the_other_with_numbers_of_their_own():
  images = np.ones((40, HEIGHT, WIDTH, 1), np.float32)
  both = shown(create(('translation', 'cutout')), images)
  left = (both != 0).mean((1, 2, 3))
  assert 0.3 < left.min() < left.max() <= 1 and len(np.unique(left)) > 10
  one = shown(create(('color',)), images)
  assert len(np.unique(one.mean((1, 2, 3)))) == 40
  np.testing.assert_array_equal(both, shown(create(('translation', 'cutout')), images))
  assert (shown(create(('color',)), images, seed=1) != one).all()


def test_gradients_pass_through():
  images = np.random.default_rng().uniform(-1, 1, (3, HEIGHT, WIDTH, 3)).astype(np.float32)
  weights = np.random.default_rng().normal(size=images.shape).astype(np.float32)
  present = create(('color', 'translation', 'cutout'), stddev=0.1)
  def total(x):
    return (present(jax.random.key(3), jnp.int32(0), x) * weights).sum()
  gradient, ahead, behind = jax.pmap(
      lambda x: (jax.grad(total)(x), total(x + 0.5 * weights), total(x - 0.5 * weights)),
      axis_name=AXIS, devices=jax.devices()[:1])(images[None])
  # All of it is affine in the image, so that differences are exact at any distance.
  np.testing.assert_allclose((gradient[0] * weights).sum(), ahead[0] - behind[0], rtol=1e-3)


def test_the_defaults_show_images_as_they_are():
  assert create() is critic_inputs.unchanged


def test_an_unknown_policy_is_refused():
  with pytest.raises(UserError, match="config.model.diff_augment: 'colour' is not known; did you mean 'color'"):
    create(policies=('colour',))
