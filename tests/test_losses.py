"""Losses and penalties against numpy restatements and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgen.losses.adversarial import ADVERSARIAL_LOSSES
from jgen.losses.penalties import gradient_penalty


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


# (critic, generator) as the papers write them, in terms of D = sigmoid(logit) or of the critic's value.
RESTATED = {
    'non_saturating': (lambda r, f: -np.log(sigmoid(r)) - np.log(1 - sigmoid(f)), lambda f: -np.log(sigmoid(f))),
    'wasserstein': (lambda r, f: -(r - f), lambda f: -f),
}


@pytest.fixture
def logits():
  return np.random.default_rng().normal(0, 3, (2, 50)).astype(np.float32)   # fresh numbers in every run


def test_every_loss_is_restated():
  assert set(RESTATED) == set(ADVERSARIAL_LOSSES)


@pytest.mark.parametrize('name', list(RESTATED))
def test_losses_against_their_restatement(name, logits):
  real, fake = logits.astype(np.float64)
  loss, (critic, generator) = ADVERSARIAL_LOSSES[name], RESTATED[name]
  np.testing.assert_allclose(loss.critic(*logits), critic(real, fake), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(loss.generator(logits[1]), generator(fake), rtol=1e-4, atol=1e-5)


def test_non_saturating_stays_finite_far_out():
  far = jnp.array([-1e4, 1e4])
  loss = ADVERSARIAL_LOSSES['non_saturating']
  gradient = jax.grad(lambda x: loss.critic(x, x).sum() + loss.generator(x).sum())(far)
  assert np.isfinite(loss.critic(far, far)).all() and np.isfinite(gradient).all()


def test_what_is_watched(logits):
  real, fake = logits
  accuracy = ADVERSARIAL_LOSSES['non_saturating'].monitor(real, fake)
  np.testing.assert_array_equal(accuracy['real_accuracy'], sigmoid(real) > 0.5)
  np.testing.assert_array_equal(accuracy['fake_accuracy'], sigmoid(fake) < 0.5)
  np.testing.assert_allclose(ADVERSARIAL_LOSSES['wasserstein'].monitor(real, fake)['wasserstein_estimate'], real - fake)


@pytest.fixture
def images():
  rng = np.random.default_rng()
  return rng.normal(size=(2, 6, 4, 4, 3)).astype(np.float32), rng.uniform(size=6).astype(np.float32)


def test_penalty_of_a_linear_critic_is_that_of_its_weights(images):
  (real, fake), mix = images
  weights = np.random.default_rng().normal(size=(4, 4, 3)).astype(np.float32)
  penalty, slope = gradient_penalty(lambda x: jnp.sum(x * weights, (1, 2, 3)), real, fake, mix)
  norm = np.sqrt(np.sum(weights.astype(np.float64)**2))
  np.testing.assert_allclose(slope, [norm] * 6, rtol=1e-5)
  np.testing.assert_allclose(penalty, [(norm - 1)**2] * 6, rtol=1e-4)


def test_penalty_is_taken_between_the_images(images):
  # The gradient of |x|^2 / 2 is x itself, so the slope is the length of the point at which it was taken.
  (real, fake), mix = images
  _, slope = gradient_penalty(lambda x: jnp.sum(x**2, (1, 2, 3)) / 2, real, fake, mix)
  points = (1 - mix)[:, None] * real.reshape(6, -1) + mix[:, None] * fake.reshape(6, -1)
  np.testing.assert_allclose(slope, np.linalg.norm(points, axis=1), rtol=1e-5)


def test_penalty_pushes_the_weights_of_a_linear_critic_to_length_one(images):
  (real, fake), mix = images
  def loss(weights):
    return gradient_penalty(lambda x: jnp.sum(x * weights, (1, 2, 3)), real, fake, mix)[0].mean()
  weights = np.random.default_rng().normal(size=(4, 4, 3)).astype(np.float32)
  norm = np.linalg.norm(weights)
  np.testing.assert_allclose(jax.grad(loss)(weights), 2 * (norm - 1) * weights / norm, rtol=1e-4, atol=1e-6)


def test_gradients_are_finite_where_the_slope_is_zero(images):
  (real, fake), mix = images
  def loss(weights):
    penalty, _ = gradient_penalty(lambda x: jnp.sum(x * weights, (1, 2, 3)), real, fake, mix)
    return penalty.mean()
  value, gradient = jax.value_and_grad(loss)(jnp.zeros((4, 4, 3)))
  np.testing.assert_allclose(value, 1., rtol=1e-5)
  assert np.isfinite(gradient).all()
