"""The families of the priors over latents: metrics and samples against closed forms, scikit-learn, PyTorch."""

import dataclasses

from helpers import tiny
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import pytest
import scipy.stats
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from jgen import families, keys, recipes
from jgen.data.spec import Dataset, Spec
from jgen.errors import UserError
from jgen.families import autoregressive, mixture
from jgen.losses.likelihoods import LIKELIHOODS
from jgen.networks.causal_transformer import CausalTransformer
from jgen.parallel import AXIS


def on_one_device(function, *arguments):
  """`function`, compiled, within the mapped axis that families expect, of one device."""
  mapped = jax.jit(jax.vmap(function, axis_name=AXIS))
  return jax.tree.map(lambda x: np.asarray(x[0]), mapped(*jax.tree.map(lambda x: x[None], arguments)))


# ------------------------------------------------------------------------------------------- the VAE


@pytest.mark.parametrize(('changes', 'words'), [
    ({'variance': 0.}, 'prior.variance is 0.0; expected a number, above 0'),
    ({'num_points': 1}, 'num_points is 1; expected a whole number, at least 2'),
    ({'likelihood': 'bernoulli'}, "'bernoulli' is not known; .*unbounded_gaussian"),
    ({'likelihood': 'gaussian'}, "did you mean 'unbounded_gaussian'"),
    ({'encoder.features': (0,)}, r'encoder.features is \(0,\); expected a tuple of whole numbers, at least 1')])
def test_a_vae_that_cannot_be_is_refused(changes, words):
  config = ConfigDict({'family': 'vae_prior', 'model': recipes.model('vae_prior')})
  config.model.vqvae, config.model.vqvae_step = tiny.vqvae().model, 1
  config.model.prior.update_from_flattened_dict(changes)
  with pytest.raises(UserError, match=words):
    families.create(config, Spec('made', (16, 16, 1)))


# ------------------------------------------------------------------------------------------- the mixture


POINTS = 400
SHAPE = (2, 3)


@pytest.fixture(scope='module')
def fitted():
  """(family, state, PCA, GaussianMixture): three clouds in six dimensions, fitted by our code and by scikit-learn's."""
  rng = np.random.default_rng(0)
  centers, spreads = rng.normal(0, 3, (3, 6)), rng.normal(size=(3, 6, 6))
  which = rng.integers(0, 3, POINTS)
  points = (centers[which] + np.einsum('nij,nj->ni', spreads[which], rng.normal(size=(POINTS, 6)))).astype(np.float32)
  section = keys.default(mixture.Keys)
  section.num_points, section.pca_dimension, section.num_components = POINTS, 4, 3
  family = mixture.create(section, SHAPE)
  state = jax.jit(family.init)(jax.random.key(0))
  clouds = Dataset(Spec('clouds', SHAPE), points.reshape(-1, *SHAPE), np.zeros(POINTS, np.int32), 'made in a test')
  state = family.init_from_data(state, clouds)
  pca = PCA(4).fit(points)
  seed = int(state.model_state['mixture']['seed'])
  return family, state, pca, GaussianMixture(3, random_state=seed).fit(pca.transform(points)), points


def test_samples_of_the_mixture_have_the_mean_and_covariance_of_the_fit(fitted):
  family, state, pca, reference, _ = fitted
  count = 40_000
  samples = on_one_device(family.sample, state, jax.random.key(1), jnp.zeros(count, jnp.int32))
  samples = samples.reshape(count, 6).astype(np.float64)
  weights, means = reference.weights_, reference.means_
  mean = weights @ means
  second = np.einsum('m,mij->ij', weights, reference.covariances_ + np.einsum('mi,mj->mij', means, means))
  covariance = pca.components_.T @ (second - np.outer(mean, mean)) @ pca.components_
  tolerance = 5 * np.sqrt(np.diag(covariance).max() / count)
  np.testing.assert_allclose(samples.mean(0), pca.mean_ + mean @ pca.components_, atol=tolerance)
  np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.03 * np.diag(covariance).max())


def test_a_mixture_that_scikit_learn_cannot_fit_is_one_line(fitted):
  family, state, *_, points = fitted
  few = Dataset(Spec('few', SHAPE), points[:60].reshape(-1, *SHAPE), np.zeros(60, np.int32), 'a test')
  with pytest.raises(UserError, match='30 Gaussians in 4 dimensions cannot be fitted to 60 points; raise config'):
    dataclasses.replace(family, num_components=30, smallest_variance=1e-30).init_from_data(state, few)


def test_the_mixtures_log_likelihood_is_scikit_learns(fitted):
  family, state, pca, reference, points = fitted
  told = on_one_device(family.eval_step, state, {'latents': points.reshape(-1, *SHAPE)}, jax.random.key(0))
  np.testing.assert_allclose(told['log_likelihood'], reference.score_samples(pca.transform(points)), rtol=1e-3)
  centered = points - pca.mean_
  outside = centered - pca.transform(points) @ pca.components_
  np.testing.assert_allclose(told['share_outside'], (outside**2).sum(1) / (centered**2).sum(1), atol=1e-4)


@pytest.mark.parametrize('changes, words', [
    ({'pca_dimension': 401}, 'pca_dimension is 401, above num_points, 400'),
    ({'num_components': 401}, 'num_components is 401, above num_points, 400'),
    ({'pca_dimension': 7}, 'the latents of an image are 6 values')])
def test_a_mixture_that_cannot_be_is_refused(changes, words):
  section = keys.default(mixture.Keys)
  section.update(num_points=400, pca_dimension=4, num_components=3)
  section.update(changes)
  with pytest.raises(UserError, match=words) as error:
    mixture.create(section, SHAPE)
  assert '\n' not in str(error.value)


# ------------------------------------------------------------------------------------------- the autoregressive prior


LENGTH, CODES = 5, 7


def transformer(**fields):
  """(network, its variables with every entry at random, codes [3, 5], labels [3])"""
  fields = dict(num_codes=CODES, num_positions=LENGTH, num_classes=4, width=8, num_layers=2, num_heads=2,
                dropout=0.5) | fields
  network, rng = CausalTransformer(**fields), np.random.default_rng(0)
  codes = jnp.asarray(rng.integers(0, fields['num_codes'], (3, fields['num_positions'])), jnp.int32)
  variables = jax.eval_shape(lambda: network.init(jax.random.key(0), codes, codes[:, 0], train=False))
  variables = jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.7, x.shape), jnp.float32), variables)
  return network, variables, codes, jnp.asarray([0, 3, 1])


def logits_of(network, variables):
  """The compiled function (codes, labels) -> logits."""
  return jax.jit(lambda codes, labels: network.apply(variables, codes, labels, train=False))


def test_no_logit_heeds_its_own_or_a_later_code_and_all_others_do():
  network, variables, codes, labels = transformer()
  logits = logits_of(network, variables)
  before = np.asarray(logits(codes, labels))
  for i in range(LENGTH):
    after = np.asarray(logits(codes.at[:, i].set((codes[:, i] + 1) % CODES), labels))
    np.testing.assert_array_equal(after[:, :i + 1], before[:, :i + 1])
    assert (np.abs(after[:, i + 1:] - before[:, i + 1:]).max(-1) > 1e-3).all()
  assert (np.abs(np.asarray(logits(codes, labels + 1 - 2 * (labels == 3))) - before).max(-1) > 1e-3).all()


def test_steps_with_a_cache_give_the_logits_of_the_whole_row():
  network, variables, codes, labels = transformer()
  step = jax.jit(lambda *arguments: network.apply(variables, *arguments, method='step'))
  caches, before, logits = network.empty_caches(3), jnp.full(3, 6), []
  for i in range(LENGTH):
    here, caches = step(before, jnp.int32(i), labels, caches)
    logits.append(here)
    before = codes[:, i]
  np.testing.assert_allclose(np.stack(logits, 1), logits_of(network, variables)(codes, labels), atol=1e-5)


def test_the_transformer_is_pytorchs():
  torch = pytest.importorskip('torch')
  network, variables, codes, labels = transformer()
  params, tensor = variables['params'], lambda x: torch.tensor(np.asarray(x))
  start = np.broadcast_to(params['start'], (3, 1, 8))
  x = np.concatenate([start, params['code_embedding'][codes[:, :-1]]], 1) + params['position_embedding']
  x = tensor(x + params['label_embedding'][labels][:, None])
  mask = torch.nn.Transformer.generate_square_subsequent_mask(LENGTH)
  for i in range(2):
    ours = params[f'blocks_{i}']
    linear = lambda name, source: {f'{name}weight': tensor(source['kernel']).T, f'{name}bias': tensor(source['bias'])}
    norm = lambda name, source: {f'{name}.weight': tensor(source['scale']), f'{name}.bias': tensor(source['bias'])}
    layer = torch.nn.TransformerEncoderLayer(
        8, 2, 32, 0., lambda x: torch.nn.functional.gelu(x, approximate='tanh'), 1e-6, batch_first=True,
        norm_first=True)
    layer.load_state_dict({
        **linear('self_attn.in_proj_', ours['attention']['queries_keys_values']),
        **linear('self_attn.out_proj.', ours['attention']['output']), **linear('linear1.', ours['layer_0']),
        **linear('linear2.', ours['layer_1']), **norm('norm1', ours['norm_0']), **norm('norm2', ours['norm_1'])})
    x = layer(x, src_mask=mask)
  x = torch.nn.functional.layer_norm(x, (8,), tensor(params['norm']['scale']), tensor(params['norm']['bias']), 1e-6)
  expected = x @ tensor(params['head']['kernel']) + tensor(params['head']['bias'])
  np.testing.assert_allclose(logits_of(network, variables)(codes, labels), expected.detach().numpy(), atol=1e-4)


def small_prior(**settings):
  section = keys.default(autoregressive.Keys)
  section.update(dict(width=8, num_layers=2, num_heads=2, conditional=True) | settings)
  return autoregressive.create(section, 3, 2, 4)


def test_codes_are_drawn_with_the_probabilities_that_the_logits_tell():
  network, variables, _, _ = transformer(num_codes=3, num_positions=2)
  family, count = small_prior(temperature=2.), 8_000
  state = jax.jit(family.init)(jax.random.key(0)).replace(params={'autoregressive': variables['params']})
  labels = jnp.arange(count) % 4
  drawn = on_one_device(family.sample, state, jax.random.key(5), labels)
  assert drawn.shape == (count, 2)
  pairs = np.stack(np.divmod(np.arange(9), 3), 1)
  logits_of_label = logits_of(network, variables)
  for label in (0, 2):
    logits = np.asarray(logits_of_label(pairs, np.full(9, label)), np.float64) / 2
    of_place = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = of_place[range(9), 0, pairs[:, 0]] * of_place[range(9), 1, pairs[:, 1]]
    of_label = drawn[labels == label]
    frequencies = np.bincount(of_label @ [3, 1], minlength=9) / len(of_label)
    assert np.abs(frequencies - expected).max() < 5 * np.sqrt(expected.max() / len(of_label))
    assert expected.std() > 0.03


def test_nats_and_bits_of_codes_are_their_negative_log_probability():
  family = small_prior()
  state, codes = jax.jit(family.init)(jax.random.key(0)), jnp.asarray([[0, 2], [1, 1]])
  kernel = jnp.zeros_like(state.params['autoregressive']['head']['kernel'])
  head = {'kernel': kernel, 'bias': jnp.log(jnp.asarray([0.5, 0.3, 0.2]))}   # whatever came before
  state = state.replace(params={'autoregressive': {**state.params['autoregressive'], 'head': head}})
  told = on_one_device(family.eval_step, state, {'codes': codes, 'label': jnp.zeros(2, jnp.int32)}, jax.random.key(0))
  np.testing.assert_allclose(told['nats'], -np.log([0.5 * 0.2, 0.3 * 0.3]), rtol=1e-5)
  np.testing.assert_allclose(told['bits_per_code'], -np.log2([0.5 * 0.2, 0.3 * 0.3]) / 2, rtol=1e-5)
  np.testing.assert_allclose(told['accuracy'], [0.5, 0.])


@pytest.mark.parametrize('changes, classes, words', [
    ({'conditional': True}, 0, 'the images have no labels'), ({'width': 9}, 4, 'must be a multiple of num_heads, 2')])
def test_an_autoregressive_prior_that_cannot_be_is_refused(changes, classes, words):
  section = keys.default(autoregressive.Keys)
  section.update(dict(width=8, num_heads=2) | changes)
  with pytest.raises(UserError, match=words):
    autoregressive.create(section, 3, 2, classes)


# ------------------------------------------------------------------------------------------- the VAE


@pytest.mark.parametrize('name', ['unbounded_gaussian', 'unbounded_learned_gaussian'])
def test_latents_outside_of_the_images_range_have_the_density_of_a_normal_distribution(name):
  rng = np.random.default_rng(0)
  output, latents = rng.normal(0, 4, (2, 3, 2, 2, 5)).astype(np.float32)
  expected = -scipy.stats.norm.logpdf(latents, output, np.sqrt(0.3)).sum((1, 2, 3))
  likelihood = LIKELIHOODS[name]
  np.testing.assert_allclose(likelihood.nats(output, latents, 0.3), expected, rtol=1e-4)
  of_objective = likelihood.reconstruction(output, latents, 0.3) - (
      0 if likelihood.learns_variance else -10 * np.log(2 * np.pi * 0.3))
  np.testing.assert_allclose(of_objective, expected, rtol=1e-4)
  np.testing.assert_array_equal(likelihood.mean(output), output)
  assert likelihood.bits_of_a_value == 0
