"""Losses, penalties and targets against numpy restatements, finite differences and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit as sigmoid

from jgen.losses.adversarial import ADVERSARIAL_LOSSES
from jgen.losses.penalties import PENALTIES, dragan, gradient_penalty, r1
from jgen.losses.targets import Targets
from jgen.parallel import AXIS

# (critic, generator) as the papers write them, in terms of D = sigmoid(logit) or of the critic's value.
CROSS_ENTROPY = lambda r, f: -np.log(sigmoid(r)) - np.log(1 - sigmoid(f))
RESTATED = {
    'saturating': (CROSS_ENTROPY, lambda f: np.log(1 - sigmoid(f))),
    'non_saturating': (CROSS_ENTROPY, lambda f: -np.log(sigmoid(f))),
    'least_squares': (lambda r, f: (r - 1)**2 + f**2, lambda f: (f - 1)**2),
    'hinge': (lambda r, f: np.maximum(0, 1 - r) + np.maximum(0, 1 + f), lambda f: -f),
    'wasserstein': (lambda r, f: -(r - f), lambda f: -f),
}
# Relativistic losses, Jolicoeur-Martineau 2019, eq. 7, 10 and 11: (critic, generator) of both logits, their means.
RELATIVISTIC = {
    'relativistic_average': (
        lambda r, f: -np.log(sigmoid(r - f.mean())).mean() - np.log(1 - sigmoid(f - r.mean())).mean(),
        lambda r, f: -np.log(sigmoid(f - r.mean())).mean() - np.log(1 - sigmoid(r - f.mean())).mean()),
    'relativistic_pairing': (lambda r, f: -np.log(sigmoid(r - f)).mean(), lambda r, f: -np.log(sigmoid(f - r)).mean()),
}
each_loss = pytest.mark.parametrize('name', list(RESTATED))


@pytest.fixture
def logits():
  return np.random.default_rng().normal(0, 3, (2, 50)).astype(np.float32)   # fresh numbers in every run


def test_every_loss_is_restated():
  assert {*RESTATED, *RELATIVISTIC} == set(ADVERSARIAL_LOSSES)
  assert {name for name, loss in ADVERSARIAL_LOSSES.items() if loss.relativistic} == set(RELATIVISTIC)


@each_loss
def test_losses_against_their_restatement(name, logits):
  real, fake = logits.astype(np.float64)
  loss, (critic, generator) = ADVERSARIAL_LOSSES[name], RESTATED[name]
  np.testing.assert_allclose(sum(loss.critic(*logits)), critic(real, fake), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(loss.generator(None, logits[1]), generator(fake), rtol=1e-4, atol=1e-5)


@each_loss
def test_gradients_are_the_restatements_differences(name, logits):
  (real, fake), step = logits.astype(np.float64), 1e-5
  loss, (critic, generator) = ADVERSARIAL_LOSSES[name], RESTATED[name]
  smooth = (np.abs(np.abs(logits) - 1) > 1e-3).all(0)   # the hinge has corners at 1 and -1
  difference = lambda f, x: ((f(x + step) - f(x - step)) / (2 * step))[smooth]
  gradient = lambda f, x: jax.grad(lambda x: f(x).sum())(x)[smooth]
  expect = lambda f, x, other: np.testing.assert_allclose(gradient(f, x), other, rtol=1e-3, atol=1e-4)
  expect(lambda x: loss.generator(None, x), logits[1], difference(generator, fake))
  expect(lambda x: sum(loss.critic(x, logits[1])), logits[0], difference(lambda x: critic(x, fake), real))
  expect(lambda x: sum(loss.critic(logits[0], x)), logits[1], difference(lambda x: critic(real, x), fake))


@pytest.mark.parametrize('devices', [1, 2])
@pytest.mark.parametrize('name', list(RELATIVISTIC))
def test_relativistic_losses_are_of_the_batch_over_all_devices(name, devices, logits):
  """Their means, and the gradients at all logits, against numpy and its differences."""
  real, fake = logits.astype(np.float64) / 3
  loss, step = ADVERSARIAL_LOSSES[name], 1e-5
  def both(real, fake):
    of_critic = lambda real, fake: sum(loss.critic(real, fake)).mean()
    of_generator = lambda real, fake: loss.generator(real, fake).mean()
    return [jax.value_and_grad(f, argnums=(0, 1))(real, fake) for f in (of_critic, of_generator)]
  split = lambda x: jnp.asarray(x, jnp.float32).reshape(devices, -1)
  found = jax.pmap(both, AXIS, devices=jax.devices()[:devices])(split(real), split(fake))
  for (value, gradients), restated in zip(found, RELATIVISTIC[name], strict=True):
    np.testing.assert_allclose(np.mean(value), restated(real, fake), rtol=1e-4)
    for place, gradient in enumerate(gradients):
      for i in (0, 30):                 # on either device
        moved = [np.array([real, fake]), np.array([real, fake])]
        moved[0][place, i] += step
        moved[1][place, i] -= step
        difference = (restated(*moved[0]) - restated(*moved[1])) / (2 * step)
        np.testing.assert_allclose(np.ravel(gradient)[i] / devices, difference, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize('name', ['saturating', 'non_saturating'])
def test_logarithms_stay_finite_far_out(name):
  far = jnp.array([-1e4, 1e4])
  loss = ADVERSARIAL_LOSSES[name]
  total = lambda x: sum(loss.critic(x, x)).sum() + loss.generator(None, x).sum()
  assert np.isfinite(total(far)) and np.isfinite(jax.grad(total)(far)).all()


@pytest.mark.parametrize(('name', 'answer', 'boundary'), [
    ('saturating', sigmoid, 0.5), ('non_saturating', sigmoid, 0.5), ('least_squares', lambda x: x, 0.5),
    ('hinge', lambda x: x, 0.)])
def test_accuracies(name, answer, boundary, logits):
  real, fake = logits / 3
  accuracy = ADVERSARIAL_LOSSES[name].monitor(real, fake)
  np.testing.assert_array_equal(accuracy['real_accuracy'], answer(real) > boundary)
  np.testing.assert_array_equal(accuracy['fake_accuracy'], answer(fake) < boundary)


def test_what_is_watched_of_a_wasserstein_critic(logits):
  watched = ADVERSARIAL_LOSSES['wasserstein'].monitor(*logits)
  np.testing.assert_allclose(watched['wasserstein_estimate'], logits[0] - logits[1])


# Targets


def test_costs_towards_a_target_are_soft_cross_entropy_and_square(logits):
  x, t = logits[0].astype(np.float64), np.random.default_rng().uniform(size=50)
  towards = lambda name: ADVERSARIAL_LOSSES[name].towards(logits[0], t.astype(np.float32))
  np.testing.assert_allclose(towards('saturating'), -t * np.log(sigmoid(x)) - (1 - t) * np.log(1 - sigmoid(x)),
                             rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(towards('least_squares'), (x - t)**2 + t * (1 - t), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(towards('wasserstein'), (1 - 2 * t) * x, rtol=1e-4, atol=1e-4)


def drawn(count=4_000, **settings):
  keys = jax.random.split(jax.random.key(np.random.default_rng().integers(2**31)), count)
  return np.asarray(jax.vmap(Targets(**settings).draw)(keys))


def test_targets_are_smoothed_noisy_and_flipped_as_asked():
  smooth = drawn(real=0.9, generated=0.2)
  np.testing.assert_allclose(smooth, np.broadcast_to(np.float32([0.9, 0.2]), smooth.shape), rtol=1e-6)
  noisy = drawn(real=0.9, generated=0.2, noise=0.15)
  assert 0.74 < noisy[:, 0].min() < 0.76 and noisy[:, 0].max() == 1   # the targets stay in [0, 1]
  assert 0.04 < noisy[:, 1].min() < 0.06 and 0.34 < noisy[:, 1].max() < 0.36
  assert abs(np.corrcoef(noisy.T)[0, 1]) < 0.1
  flipped = drawn(flip_probability=0.25)
  assert set(np.unique(flipped)) == {0, 1}
  np.testing.assert_allclose(flipped.mean(0), [0.75, 0.25], atol=0.04)
  assert abs(np.corrcoef(flipped.T)[0, 1]) < 0.1


# Penalties


@pytest.fixture
def images():
  rng = np.random.default_rng()
  return rng.normal(size=(2, 6, 4, 4, 3)).astype(np.float32), rng.uniform(size=6).astype(np.float32)


def test_penalty_of_a_linear_critic_is_that_of_its_weights(images):
  (real, fake), mix = images
  weights = np.random.default_rng().normal(size=(4, 4, 3)).astype(np.float32)
  norm = np.sqrt(np.sum(weights.astype(np.float64)**2))
  score = lambda x: jnp.sum(x * weights, (1, 2, 3))
  penalty, watched = gradient_penalty(score, real, fake, mix)
  np.testing.assert_allclose(watched['slope'], [norm] * 6, rtol=1e-5)
  np.testing.assert_allclose(penalty, [(norm - 1)**2] * 6, rtol=1e-4)
  np.testing.assert_allclose(r1(score, real, fake, ())[0], [norm**2 / 2] * 6, rtol=1e-4)
  np.testing.assert_allclose(dragan(score, real, fake, real)[0], [(norm - 1)**2] * 6, rtol=1e-4)


def test_penalties_are_taken_where_they_say(images):
  # The gradient of |x|^2 / 2 is x itself, so the slope is the length of the point at which it was taken.
  (real, fake), mix = images
  score = lambda x: jnp.sum(x**2, (1, 2, 3)) / 2
  length = lambda points: np.linalg.norm(points.reshape(6, -1).astype(np.float64), axis=1)
  _, watched = gradient_penalty(score, real, fake, mix)
  np.testing.assert_allclose(watched['slope'], length(real + mix[:, None, None, None] * (fake - real)), rtol=1e-5)
  penalty, watched = r1(score, real, fake, ())
  np.testing.assert_allclose(watched['slope_at_real'], length(real), rtol=1e-5)
  np.testing.assert_allclose(penalty, length(real)**2 / 2, rtol=1e-5)
  noise = np.random.default_rng().uniform(size=real.shape).astype(np.float32)
  penalty, watched = dragan(score, real, fake, noise)
  near = real + 0.5 * real.reshape(6, -1).std(1)[:, None, None, None] * noise
  np.testing.assert_allclose(watched['slope'], length(near), rtol=1e-5)
  np.testing.assert_allclose(penalty, (length(near) - 1)**2, rtol=1e-4)


@pytest.mark.parametrize(('name', 'shape'), [('gradient_penalty', (500,)), ('dragan', (500, 4, 4, 3))])
def test_penalties_draw_from_the_unit_interval(name, shape):
  numbers = jax.vmap(lambda key: PENALTIES[name].draw(key, (4, 4, 3)))(jax.random.split(jax.random.key(0), 500))
  assert numbers.shape == shape and 0 <= numbers.min() < 0.01 and 0.99 < numbers.max() < 1
  assert len(np.unique(numbers)) > 0.99 * numbers.size


def test_penalties_push_the_weights_of_a_linear_critic(images):
  (real, fake), mix = images
  def gradient(penalty, drawn):
    loss = lambda weights: penalty(lambda x: jnp.sum(x * weights, (1, 2, 3)), real, fake, drawn)[0].mean()
    return jax.grad(loss)(weights)
  weights = np.random.default_rng().normal(size=(4, 4, 3)).astype(np.float32)
  norm = np.linalg.norm(weights)
  to_length_one = 2 * (norm - 1) * weights / norm
  np.testing.assert_allclose(gradient(gradient_penalty, mix), to_length_one, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(gradient(dragan, real), to_length_one, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(gradient(r1, ()), weights, rtol=1e-4, atol=1e-6)   # to nothing


def test_gradients_are_finite_where_the_slope_is_zero(images):
  (real, fake), mix = images
  for penalty, at_zero in ((gradient_penalty, 1.), (dragan, 1.), (r1, 0.)):
    drawn = real if penalty is dragan else mix
    loss = lambda weights, p=penalty, d=drawn: p(lambda x: jnp.sum(x * weights, (1, 2, 3)), real, fake, d)[0].mean()
    value, gradient = jax.value_and_grad(loss)(jnp.zeros((4, 4, 3)))
    np.testing.assert_allclose(value, at_zero, rtol=1e-5, atol=1e-6)
    assert np.isfinite(gradient).all()
