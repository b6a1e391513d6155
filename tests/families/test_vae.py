"""Likelihoods, regularisers and the ledger against closed forms, scipy and PyTorch."""

import dataclasses

from flax import jax_utils
from flax import linen as nn
from helpers import tiny
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special, stats

from jgen import families
from jgen.data.spec import Dataset, Spec, Splits
from jgen.errors import UserError
from jgen.evaluation import EVALUATORS
from jgen.families import vae
from jgen.families.model import Compiled, Model
from jgen.losses.likelihoods import LIKELIHOODS
from jgen.losses.regularizers import Regularizer, kl_per_latent
from jgen.parallel import AXIS

SPEC = Spec('squares', (8, 8, 1), 10)


@pytest.fixture
def images_and_output():
  rng = np.random.default_rng()
  return rng.uniform(-1, 1, (3, 4, 5, 2)), rng.normal(size=(3, 4, 5, 2))


@pytest.mark.parametrize('name', ['squared_error', 'gaussian', 'learned_gaussian'])
def test_gaussians_are_scipys(images_and_output, name):
  images, output = images_and_output
  nats = LIKELIHOODS[name].nats(output, images, 0.3)
  expected = -stats.norm.logpdf(images, np.tanh(output), np.sqrt(0.3)).sum((1, 2, 3))
  np.testing.assert_allclose(nats, expected, rtol=1e-5)
  np.testing.assert_allclose(LIKELIHOODS[name].mean(output), np.tanh(output), rtol=1e-5)


def test_bernoulli_is_scipys_where_pixels_are_black_or_white(images_and_output):
  images, output = np.sign(images_and_output[0]), images_and_output[1]
  bernoulli = LIKELIHOODS['bernoulli']
  expected = -stats.bernoulli.logpmf(images > 0, special.expit(output)).sum((1, 2, 3))
  np.testing.assert_allclose(bernoulli.nats(output, images, 1.), expected, rtol=1e-5)
  np.testing.assert_allclose((bernoulli.mean(output) + 1) / 2, special.expit(output), rtol=1e-5)
  assert bernoulli.bits_of_a_value == 0


@pytest.mark.parametrize('name, expected', [
    ('squared_error', lambda square, variance: square.mean((1, 2, 3))),
    ('gaussian', lambda square, variance: square.sum((1, 2, 3)) / (2 * variance)),
    ('learned_gaussian', lambda square, variance: (
        square.sum((1, 2, 3)) / (2 * variance) + square[0].size / 2 * np.log(2 * np.pi * variance)))])
def test_objectives_are_as_the_papers_write_them(images_and_output, name, expected):
  images, output = images_and_output
  square = (images - np.tanh(output))**2
  np.testing.assert_allclose(LIKELIHOODS[name].reconstruction(output, images, 0.3), expected(square, 0.3), rtol=1e-5)


@pytest.mark.parametrize('name', list(LIKELIHOODS))
def test_every_form_of_the_weight_is_the_same_objective(images_and_output, name):
  images, output = images_and_output
  likelihood, weight, size, kl = LIKELIHOODS[name], 0.7, 40, np.array([3., 5., 8.])
  per_pixel, per_image = likelihood.weights(weight, 0.3, size)
  error = np.asarray(likelihood.error(output, images))
  objective = likelihood.reconstruction(output, images, 0.3) - likelihood.offset(0.3, size) + weight * kl
  for other in (error / size + per_pixel * kl, error + per_image * kl):
    np.testing.assert_allclose(other / other[0], objective / objective[0], rtol=1e-5)


def test_a_squared_error_with_a_weight_is_a_gaussian_without_one(images_and_output):
  images, output = images_and_output
  likelihood, weight, size, kl = LIKELIHOODS['squared_error'], 0.02, 40, np.array([3., 5., 8.])
  variance = likelihood.fixed_variance(weight, size)
  objective = likelihood.reconstruction(output, images, variance) + weight * kl
  negative_elbo = likelihood.nats(output, images, variance) + kl
  np.testing.assert_allclose(np.diff(objective) / weight, np.diff(negative_elbo), rtol=1e-4, atol=1e-5)


def test_divergence_is_that_of_scipy_by_quadrature():
  mean, log_variance = np.array([0., 1.5, -0.3]), np.array([0., -1., 0.8])
  for m, v, kl in zip(mean, log_variance, kl_per_latent(mean, log_variance), strict=True):
    q, p = stats.norm(m, np.exp(v / 2)), stats.norm()
    expected = q.expect(lambda z, q=q, p=p: q.logpdf(z) - p.logpdf(z))
    np.testing.assert_allclose(kl, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name, step, expected', [
    ('kl', 0, 0.), ('kl', 5, 0.5 * 2 * 7.5), ('kl', 10, 2 * 7.5), ('kl', 99, 2 * 7.5),
    ('free_bits', 10, 2 * (1 + 2.5 + 4.5)), ('capacity', 10, 2 * (7.5 - 5)), ('capacity', 40, 2 * (20 - 7.5)),
    ('capacity', 99, 2 * (20 - 7.5))])
def test_regularizers_by_hand(name, step, expected):
  regularizer = Regularizer(name, weight=2., warmup_steps=10, free_nats=1., capacity_nats=20.,
                            capacity_steps=40)
  np.testing.assert_allclose(regularizer(np.array([0.5, 2.5, 4.5]), step), expected, rtol=1e-6)


def test_units_are_active_whose_means_vary_over_the_images_of_all_devices():
  means = np.random.default_rng(0).normal([3., 3., 0., 0.], [0.5, 0.05, 0.5, 0.05], (4, 20, 4)).astype(np.float32)
  means[..., 3] += np.arange(4)[:, None]   # alike on each device
  np.testing.assert_array_equal(jax.vmap(vae.active_units, axis_name=AXIS)(means), [3.] * 4)


def test_without_a_warmup_the_weight_is_there_from_the_start():
  regularizer = Regularizer(weight=2.)
  assert regularizer.weight_at(0) == 2.


class LinearVAE(nn.Module):
  """x = W z + b with noise: where W's columns are orthogonal the posterior is a diagonal Gaussian, written here."""

  weights: np.ndarray                   # [D, Z]
  bias: np.ndarray                      # [D]
  variance: float

  def encode(self, images, train):
    precision = 1 + (self.weights**2).sum(0) / self.variance
    mean = (images.reshape(len(images), -1) - self.bias) @ self.weights / self.variance / precision
    return mean, jnp.broadcast_to(-jnp.log(precision), mean.shape)

  def decode(self, latents, train):
    return (latents @ self.weights.T + self.bias).reshape(-1, 2, 3, 1)

  @nn.compact
  def __call__(self, images, noise, train):
    mean, log_variance = self.encode(images, train)
    return mean, log_variance, self.decode(mean + jnp.exp(log_variance / 2) * noise, train)


@pytest.fixture(scope='module')
def linear():
  """(a model whose posterior is exact, uint8 test images, log p(x) of each in closed form)."""
  rng, variance = np.random.default_rng(), 0.2
  weights = np.linalg.qr(rng.normal(size=(6, 2)))[0] * [0.9, 0.4]
  bias = rng.uniform(-0.3, 0.3, 6)
  likelihood = dataclasses.replace(LIKELIHOODS['gaussian'], mean=lambda output: output,
                                   error=lambda output, images: jnp.square(images - output).sum((1, 2, 3)))
  family = vae.VAE(
      network=LinearVAE(weights, bias, variance), optimizer=optax.sgd(0.), likelihood=likelihood,
      regularizer=Regularizer(), variance=variance, image_shape=(2, 3, 1),
      latent_size=2)
  images = rng.integers(0, 256, (150, 2, 3, 1), np.uint8)
  state = vae.train_state.TrainState(jnp.int32(7), {'vae': {}}, {}, {'vae': {}, 'likelihood': {
      'variance': jnp.float32(variance)}}, {})
  model = Model(Compiled(family), jax_utils.replicate(state))
  x = images.reshape(150, 6) / 127.5 - 1
  evidence = stats.multivariate_normal(bias, weights @ weights.T + variance * np.eye(6)).logpdf(x)
  return model, images, evidence


def test_with_the_exact_posterior_every_sample_weighs_the_evidence(linear):
  model, images, evidence = linear
  for seed in (1, 2):
    np.testing.assert_allclose(model.log_weight(images, seed), evidence, rtol=1e-4, atol=1e-5)


def test_the_ledger_meets_the_evidence(linear):
  model, images, evidence = linear
  dataset = Dataset(Spec('made', (2, 3, 1)), images, np.zeros(150, np.int32), 'made in a test')
  numbers = EVALUATORS['ledger'](num_images=0, importance_samples=3).measure(
      model, Splits(dataset, dataset), seed=0).numbers
  np.testing.assert_allclose(numbers['importance_bound'], evidence.mean(), rtol=1e-4)
  # The ELBO of one sample scatters around the evidence, and its standard error says how far.
  assert abs(numbers['elbo'] - evidence.mean()) < 5 * np.hypot(numbers['elbo_standard_error'], 0.01)
  np.testing.assert_allclose(numbers['elbo'], -numbers['reconstruction_nats'] - numbers['kl'], rtol=1e-5)
  np.testing.assert_allclose(numbers['loss'], numbers['reconstruction'] + numbers['kl'], rtol=1e-5)
  bits = -numbers['elbo'] / 6 / np.log(2) + np.log2(127.5)
  np.testing.assert_allclose(numbers['bits_per_dimension'], bits, rtol=1e-5)
  x = images.reshape(150, 6) / 127.5 - 1
  mean, log_variance = (np.asarray(a, np.float64) for a in model.encode(images))
  residual = x - (mean @ model.family.network.weights.T + model.family.network.bias)
  np.testing.assert_allclose(numbers['mse'], (residual**2).mean(), rtol=1e-4)
  reconstructed = np.clip(((x - residual) + 1) * 127.5, 0, 255).reshape(images.shape)
  assert np.abs(model.reconstruct(images) - reconstructed).max() <= 0.51
  assert numbers['mse_sampled'] > numbers['mse'] and numbers['num_images'] == 150
  kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance)
  np.testing.assert_allclose(numbers['kl_per_latent'], kl.mean(0), rtol=1e-4, atol=1e-6)
  assert numbers['active_units'] == (mean.var(0) > 0.01).sum()
  np.testing.assert_allclose(numbers['elbo_standard_error'] * np.sqrt(150),
                             model.eval_step(images, dataset.labels, 0)['elbo'].std(ddof=1), rtol=1e-4)


def test_without_a_weight_it_is_a_plain_autoencoder(linear):
  model, images, _ = linear
  family = dataclasses.replace(model.family, regularizer=dataclasses.replace(model.family.regularizer, weight=0.))
  plain = Model(Compiled(family), model.state)
  one, other = (plain.eval_step(images, np.zeros(150, np.int32), seed) for seed in (1, 2))
  np.testing.assert_array_equal(one['mse'], other['mse'])
  np.testing.assert_allclose(one['mse'], one['mse_of_mean'], rtol=1e-6)   # it decodes the mean, without noise


def test_the_bound_rises_from_the_elbo_to_the_evidence(linear):
  exact, images, _ = linear
  state = jax_utils.unreplicate(exact.state)
  state = state.replace(model_state={**state.model_state, 'likelihood': {'variance': jnp.float32(0.5)}})
  model, network = Model(exact.compiled, jax_utils.replicate(state)), exact.family.network   # its posterior is of 0.2
  evidence = stats.multivariate_normal(network.bias, network.weights @ network.weights.T + 0.5 * np.eye(6)).logpdf(
      images.reshape(150, 6) / 127.5 - 1).mean()
  one, many = (EVALUATORS['ledger'](0, count).importance_bounds(model, images, seed=0).mean() for count in (1, 60))
  assert one < evidence - 0.05 and abs(many - evidence) < (evidence - one) / 4


def test_the_ledger_of_the_first_images_is_that_of_these_alone(linear):
  model, images, _ = linear
  both = [Splits(None, Dataset(Spec('made', (2, 3, 1)), some, np.zeros(len(some), np.int32), '')) for some in (
      images, images[:70])]
  first, alone = (EVALUATORS['ledger'](count, 0).measure(model, splits, 0).numbers for count, splits in zip(
      (70, 0), both, strict=True))
  assert first == alone and first['num_images'] == 70


def test_the_variance_is_that_of_the_training_pixels():
  images = np.random.default_rng().integers(0, 256, (2_300, 3, 2, 1)).astype(np.uint8)
  np.testing.assert_allclose(vae.pixel_variance(images), np.var(images / 127.5 - 1), rtol=1e-12)


def adapted(**overrides):
  family = families.create(tiny.vae(**overrides), SPEC)
  images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8)
  dataset = Dataset(SPEC, images, np.zeros(20, np.int32), 'made in a test')
  state = family.init_from_data(jax.jit(family.init)(jax.random.key(0)), dataset)
  return float(family.pixel_variance(state.params, state.model_state)), np.var(images / 127.5 - 1)


@pytest.mark.parametrize('overrides, expected', [
    ({}, None), ({'model.variance': 0.25}, 0.25), ({'model.likelihood': 'learned_gaussian'}, None),
    ({'model.likelihood': 'squared_error', 'model.regularizer.weight': 0.01}, 0.01 * 64 / 2),
    ({'model.likelihood': 'squared_error', 'model.regularizer.weight': 0.}, None)])
def test_where_the_variance_comes_from(overrides, expected):
  variance, of_pixels = adapted(**overrides)
  np.testing.assert_allclose(variance, expected or of_pixels, rtol=1e-6)


def test_a_learned_variance_is_a_factor_of_that_of_the_pixels():
  family = families.create(tiny.vae(**{'model.likelihood': 'learned_gaussian'}), SPEC)
  state = jax.jit(family.init)(jax.random.key(0))
  state = state.replace(model_state={**state.model_state, 'likelihood': {'variance': jnp.float32(0.2)}})
  images, compiled = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8), Compiled(family)
  for factor in (1., 0.3):
    learned = {'vae': {**state.params['vae'], 'log_variance': jnp.log(factor)}}
    table = Model(compiled, jax_utils.replicate(state.replace(params=learned))).eval_step(images, np.zeros(3, int), 1)
    np.testing.assert_allclose(table['pixel_variance'], 0.2 * factor, rtol=1e-5)
    expected = 64 / 2 * (table['mse'] / (0.2 * factor) + np.log(2 * np.pi * 0.2 * factor))
    np.testing.assert_allclose(table['reconstruction_nats'], expected, rtol=1e-4)
  slope = jax.grad(lambda log: family.pixel_variance({'vae': {'log_variance': log}}, state.model_state))(0.)
  np.testing.assert_allclose(slope, 0.2, rtol=1e-5)


def test_images_without_variance_are_refused():
  family = families.create(tiny.vae(), SPEC)
  flat = Dataset(SPEC, np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int32), '')
  with pytest.raises(UserError, match='all pixels of squares are equal'):
    family.init_from_data(None, flat)


@pytest.mark.parametrize('overrides, words', [
    ({'model.likelihood': 'gausian'}, ["'gausian'", "'gaussian'"]),
    ({'model.regularizer.name': 'lk'}, ["'lk'", 'kl']),
    ({'model.regularizer.free_nats': -1.}, ['free_nats is -1.0', 'at least 0']),
    ({'model.latent_size': 0}, ['latent_size is 0', 'at least 1']),
    ({'model.variance': -0.5}, ['variance is -0.5', 'at least 0']),
    ({'model.decoder.kernel_size': 6, 'model.decoder.padding': 0}, ['config.model.decoder', '8 x 8']),
    ({'model.encoder.features': (4, 4, 4, 4)}, ['4 times', '8 x 8']),
    ({'model.optimizer.name': 'adamm'}, ["'adamm'", "'adam'"])])
def test_what_cannot_work_is_refused(overrides, words):
  with pytest.raises(UserError) as error:
    families.create(tiny.vae(**overrides), SPEC)
  assert all(word in str(error.value) for word in words) and '\n' not in str(error.value)
