"""The VQ-VAE: which term moves what, the codebook's beginning, revival, what its methods and its evaluator give."""

import functools
import json
import types

from flax import jax_utils
from helpers import tiny
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
import sklearn.cluster

from jgen import families, recipes
from jgen.data.spec import Dataset, Spec, Splits
from jgen.errors import UserError
from jgen.evaluation import create
from jgen.evaluation.codebook import use
from jgen.families import vqvae
from jgen.families.model import Compiled, Model
from jgen.families.vqvae import codebook_of
from jgen.losses.quantization import RECONSTRUCTIONS
from jgen.networks.quantizer import straight_through
from jgen.parallel import AXIS
from jgen.training.step import make_dispatch

SPEC = Spec('squares', (8, 8, 1), 10)
NUM_CODES = 9


def pictures(count, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), np.uint8)


def dataset_of(images):
  return Dataset(SPEC, images, np.zeros(len(images), np.int32), 'made in a test')


@functools.cache
def system(name):
  """(family, state at step 0, as `init_from_data` leaves it)."""
  family = families.create(tiny.CONFIGS[name](), SPEC)
  state = jax.jit(family.init)(jax.random.key(0))
  return family, jax.device_get(family.init_from_data(state, dataset_of(pictures(16))))


@functools.cache
def model_of(name):
  family, state = system(name)
  return Model(Compiled(family), jax_utils.replicate(state))


both = pytest.mark.parametrize('name', ['vqvae', 'averaged_vqvae'])


# Gradients


def in_parts(family, state, params, images):
  """The network's maps and output, and the gradient that its decoder gives to its input."""
  variables = {'params': params, **state.model_state['vqvae']}
  apply = functools.partial(family.network.apply, variables)
  latents = jax.jit(lambda: apply(images, train=False, method='encode'))()
  quantized, _ = apply(latents, method='quantize')
  return latents, quantized, lambda x: family.reconstruction(apply(x, train=False, method='decode'), images).sum()


@both
def test_the_encoder_gets_the_decoders_gradient(name):
  family, state = system(name)
  images = jnp.asarray(pictures(3) / 127.5 - 1, jnp.float32)
  latents, quantized, loss = in_parts(family, state, state.params['vqvae'], images)
  assert np.abs(latents - quantized).mean() > 0.01
  to_latents, to_quantized = jax.jit(lambda: (
      jax.grad(lambda z: loss(straight_through(z, quantized)))(latents), jax.grad(loss)(quantized)))()
  np.testing.assert_array_equal(to_latents, to_quantized)
  assert np.any(to_latents)


@both
def test_what_each_term_moves(name):
  family, state = system(name)
  images = jnp.asarray(pictures(3) / 127.5 - 1, jnp.float32)
  def terms(params):
    outputs, _ = family.run({'vqvae': params}, state.model_state, images, train=False)
    latents, quantized, _, output = outputs
    return {term: value.sum() for term, value in family.terms(latents, quantized, output, images).items()}
  gradients = jax.jit(jax.jacrev(terms))(state.params['vqvae'])
  moved = {term: {part for part, leaves in parts.items() if any(np.any(leaf) for leaf in jax.tree.leaves(leaves))}
           for term, parts in gradients.items()}
  expected = {'reconstruction': {'encoder', 'decoder'}, 'commitment': {'encoder'}, 'codebook': {'quantizer'}}
  assert moved == {term: parts for term, parts in expected.items() if name == 'vqvae' or term != 'codebook'}


def test_the_terms_are_those_of_numpy():
  family, state = system('vqvae')
  x = pictures(5) / 127.5 - 1
  run = jax.jit(lambda images: family.run(state.params, state.model_state, images, train=False)[0])
  latents, quantized, _, output = run(jnp.float32(x))
  terms = family.terms(latents, quantized, output, jnp.float32(x))
  probability, white = special.expit(np.float64(output)), (x + 1) / 2
  entropy = -(white * np.log(probability) + (1 - white) * np.log(1 - probability)).sum((1, 2, 3))
  distance = ((np.float64(latents) - np.float64(quantized))**2).sum((1, 2, 3))
  for term, expected in (('reconstruction', entropy), ('codebook', distance), ('commitment', 0.25 * distance)):
    np.testing.assert_allclose(terms[term], expected, rtol=1e-5)
  squares = ((x - (2 * probability - 1))**2).sum((1, 2, 3))
  np.testing.assert_allclose(RECONSTRUCTIONS['squared_error'](output, jnp.float32(x)), squares, rtol=1e-4)


# The beginning of the codebook and its upkeep


@both
def test_the_first_codes_are_vectors_of_training_images(name):
  family, state = system(name)
  codebook = codebook_of(state.params)
  images = jnp.asarray(pictures(16) / 127.5 - 1, jnp.float32)
  mapped = jax.pmap(lambda images: family.run(state.params, state.model_state, images, train=True)[0][0], AXIS,
                    devices=jax.devices()[:1])
  vectors = np.asarray(family.network.quantizer.split(mapped(images[None])[0])).reshape(-1, 4)
  distances = np.abs(codebook[:, None] - vectors).max(2).min(1)
  assert distances.max() < 1e-5 and len(np.unique(codebook.round(5), axis=0)) == NUM_CODES
  np.testing.assert_allclose(state.model_state['codebook']['shares'], 1 / NUM_CODES, rtol=1e-6)
  if name == 'averaged_vqvae':
    np.testing.assert_allclose(state.model_state['codebook']['sums'], codebook / NUM_CODES, rtol=1e-6)


def test_the_first_codes_are_of_all_groups_of_channels_where_there_are_many_vectors(monkeypatch):
  monkeypatch.setattr(vqvae, '_MAX_VECTORS', 60)   # of 192: 16 images of 4 places of 3 groups
  seen = []
  monkeypatch.setattr(sklearn.cluster, 'kmeans_plusplus', lambda vectors, count, random_state: seen.append(vectors) or (
      vectors[:count], None))
  family = families.create(tiny.vqvae(), SPEC)
  state = jax.jit(family.init)(jax.random.key(0))
  family.init_from_data(state, dataset_of(pictures(16)))
  mapped = family._vectors_in_training(state, jnp.asarray(pictures(16) / 127.5 - 1, jnp.float32))
  groups = np.asarray(mapped).reshape(-1, 3, 4)     # at each place group after group
  near = [np.abs(groups - vector).max(2).min(0) < 1e-5 for vector in seen[0]]
  assert len(seen[0]) == 60 and np.sum(near, axis=0).min() > 10


def test_a_codebook_may_begin_at_random_and_needs_vectors_otherwise():
  images = dataset_of(pictures(1))
  family = families.create(tiny.vqvae(**{'model.quantizer.init_images': 0}), SPEC)
  state = jax.jit(family.init)(jax.random.key(0))
  assert family.init_from_data(state, images) is state
  assert np.abs(codebook_of(state.params)).max() <= 1 / NUM_CODES
  family = families.create(tiny.vqvae(**{'model.quantizer.codebook_size': 13}), SPEC)
  with pytest.raises(UserError, match='codebook_size is 13, but 1 images have only 12 vectors'):
    family.init_from_data(jax.jit(family.init)(jax.random.key(0)), images)


def test_dead_codes_come_back_at_the_steps_that_are_asked_for():
  family, state = system('vqvae')
  far = np.full((3, 4), 1e3, np.float32)   # codes that nothing is near to
  params = jax.tree.map(jnp.asarray, state.params)
  params['vqvae']['quantizer']['codebook'] = params['vqvae']['quantizer']['codebook'].at[:3].set(far)
  dispatch, states = make_dispatch(family), [jax_utils.replicate(state.replace(params=params))]
  batch = {'image': pictures(16).reshape(4, 1, 1, 4, 8, 8, 1), 'label': np.zeros((4, 1, 1, 4), np.int32)}
  metrics = []
  for _ in range(2):
    after, row = dispatch(jax.tree.map(jnp.copy, states[-1]), batch, jax.random.key(1))
    states.append(after)
    metrics.append({name: float(value[0, 0]) for name, value in row.items()})
  first, second = (np.asarray(codebook_of(state.params)) for state in states[1:])
  assert (first[:, :3] > 900).all() and (np.abs(second) < 100).all()
  assert all(row['vqvae/dead_share'] >= 1 / 3 for row in metrics)
  shares = np.asarray(states[-1].model_state['codebook']['shares'])[0]
  np.testing.assert_allclose(shares[:3], 1 / NUM_CODES, rtol=1e-6)
  moments = states[-1].opt_state['vqvae'][0]
  assert not np.asarray(moments.nu['quantizer']['codebook'])[0, :3].any()
  assert np.asarray(moments.nu['quantizer']['codebook'])[0, 3:].any()


# What evaluators and priors call


@both
def test_codes_maps_and_images_agree(name):
  family, model, images = system(name)[0], model_of(name), pictures(150, seed=1)
  codes, latents = model.codes(images), model.latents(images)
  assert codes.shape == (150, family.codes_per_image) == (150, 12) and codes.dtype == np.int32
  assert latents.shape == (150, *family.latent_shape) == (150, 2, 2, 12)
  assert 2 < len(np.unique(codes)) <= codes.max() + 1 <= family.codebook_size
  reconstructions = model.reconstruct(images)
  np.testing.assert_array_equal(model.decode_codes(codes), reconstructions)
  np.testing.assert_array_equal(model.decode(latents), reconstructions)
  table = model.eval_step(images, np.zeros(150, np.int32), 0)
  np.testing.assert_allclose(table['mse'], ((images / 127.5 - reconstructions / 127.5)**2).mean((1, 2, 3)), rtol=0.05)
  terms = [table[term] for term in ('reconstruction', 'commitment', 'codebook') if term in table]
  np.testing.assert_allclose(table['loss'], sum(terms), rtol=1e-5)
  np.testing.assert_allclose(table['commitment'], 0.25 * 48 * table['quantization_error'], rtol=1e-5)


def test_samples_are_images_of_codes_drawn_evenly():
  family, state = system('vqvae')
  seen = []
  recording = types.SimpleNamespace(
      decode_codes=lambda state, codes: seen.append(codes) or codes, codes_per_image=12, codebook_size=NUM_CODES)
  sample = lambda labels: type(family).sample(recording, state, jax.random.key(0), labels)
  codes = np.asarray(jax.pmap(sample, AXIS)(np.zeros((4, 500), np.int32))).ravel()
  counts = np.bincount(codes, minlength=NUM_CODES)
  assert seen and len(counts) == NUM_CODES
  assert ((counts - counts.mean())**2 / counts.mean()).sum() < 30   # chi-squared of 8 degrees: above 30 in 1 of 5,000


# The evaluator


class Parity:
  """Two codes an image: its first pixel modulo 4, and always 3; images come back darker by 10."""

  family = types.SimpleNamespace(codebook_size=8, codes_per_image=2)

  def codes(self, images):
    first = images[:, 0, 0, 0] % 4
    return np.stack([first, np.full_like(first, 3)], axis=1).astype(np.int32)

  def reconstruct(self, images):
    return images - 10

  def eval_step(self, images, labels, seed):
    return {'mse': np.arange(len(images), dtype=np.float32)}


def evaluated(**keys):
  section = recipes.evaluator('codebook')
  section.update(keys)
  can = types.SimpleNamespace(codes=print, reconstruct=print, eval_step=print)
  evaluator = create({'codebook': section}, SPEC, can, has_test=True)['codebook']
  train, test = (np.full((count, 16, 16, 1), 100, np.uint8) for count in (8, 4))
  train[:, 0, 0, 0], test[:, 0, 0, 0] = 100 + np.arange(8), [100, 100, 101, 101]
  numbers = evaluator.measure(Parity(), Splits(dataset_of(train), dataset_of(test)), 0).numbers
  assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
  return numbers


def test_the_codebooks_numbers_by_hand():
  numbers = evaluated()
  assert numbers['usage'] == [2, 2, 0, 4, 0, 0, 0, 0] and numbers['train_usage'] == [2, 2, 2, 10, 0, 0, 0, 0]
  shares, of_train = np.array([2, 2, 4]) / 8, np.array([2, 2, 2, 10]) / 16
  np.testing.assert_allclose(numbers['perplexity'], np.exp(-(shares * np.log(shares)).sum()))
  np.testing.assert_allclose(numbers['train_perplexity'], np.exp(-(of_train * np.log(of_train)).sum()))
  np.testing.assert_allclose(numbers['entropy_bits_per_image'], 2 * 1.5)
  assert numbers['dead_share'] == 5 / 8 and numbers['train_dead_share'] == 4 / 8
  assert numbers['bits_per_image'] == 6 and numbers['codes_per_image'] == 2 and numbers['codebook_size'] == 8
  assert numbers['mse'] == 1.5 and numbers['num_images'] == 4 and numbers['train_num_images'] == 8
  np.testing.assert_allclose(numbers['psnr'], 20 * np.log10(255 / 10))
  assert 0.9 < numbers['ssim'] < 1


def test_fewer_images_are_the_first_of_test_and_a_spread_of_training():
  numbers = evaluated(num_images=2, num_train_images=4)
  assert numbers['usage'] == [2, 0, 0, 2, 0, 0, 0, 0] and numbers['num_images'] == 2
  assert numbers['train_usage'] == [2, 0, 2, 4, 0, 0, 0, 0]   # of the images 0, 2, 4, 6


def test_perplexity_is_of_all_images_not_of_batches():
  # Each image has one code, so the perplexity of each alone is 1.
  assert use(np.repeat(np.arange(8), 5)[:, None], 8)['perplexity'] == pytest.approx(8)


# Refusals


@pytest.mark.parametrize('overrides, words', [
    ({'model.quantizer.code_size': 5}, ['code_size is 5', "'positions'", 'divide 12', '2 x 2 x 12']),
    ({'model.quantizer.code_size': 12, 'model.quantizer.grouping': 'maps'}, ['code_size is 12', "'maps'", 'divide 4']),
    ({'model.quantizer.codebook_size': 1}, ['codebook_size is 1', 'at least 2']),
    ({'model.quantizer.grouping': 'position'}, ["'position'", "'positions'"]),
    ({'model.quantizer.learned_by': 'gradients'}, ["'gradients'", "'gradient'"]),
    ({'model.quantizer.decay': 1.}, ['decay is 1.0', 'below 1']),
    ({'model.reconstruction': 'crossentropy'}, ["'crossentropy'", "'cross_entropy'"]),
    ({'model.encoder.kernel_size': 5}, ['encoder.kernel_size is 5', 'from 3 to 4']),
    ({'model.encoder.features': (8, 0)}, ['(8, 0)', 'at least 1']),
    ({'model.decoder.features': (8,)}, ['config.model.decoder', '4 x 4', '2 x 2', 'features']),
    ({'model.decoder.features': (12, 8, 8, 8)}, ['config.model.decoder', '8 x 8'])])
def test_what_cannot_work_is_refused(overrides, words):
  with pytest.raises(UserError) as error:
    families.create(tiny.vqvae(**overrides), SPEC)
  assert all(word in str(error.value) for word in words) and '\n' not in str(error.value)
