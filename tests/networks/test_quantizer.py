"""Nearest codes, groupings, the losses and the upkeep of a codebook against restatements in numpy."""

import subprocess
import sys

from helpers.launching import ROOT, environment
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jgen.losses.quantization import codebook_loss, commitment_loss, perplexity
from jgen.networks.codebook_upkeep import Upkeep, draw_vectors, reset_moments
from jgen.networks.quantizer import GROUPINGS, Quantizer, look_up, nearest, straight_through
from jgen.parallel import AXIS

SHAPE = (2, 3, 12)                      # (h, w, c) of a map


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def normal(rng, *shape):
  return rng.normal(size=shape).astype(np.float32)


def squared_distances(vectors, codebook):
  """[n, K] of vectors [n, D] in float64, by the definition."""
  return ((vectors[:, None].astype(np.float64) - codebook.astype(np.float64))**2).sum(2)


# The nearest code


def test_the_nearest_code_is_that_of_brute_force(rng):
  vectors, codebook = normal(rng, 5, 40, 7), normal(rng, 23, 7)
  codes = np.asarray(nearest(vectors, codebook))
  assert codes.shape == (5, 40) and codes.dtype == np.int32
  np.testing.assert_array_equal(codes.ravel(), squared_distances(vectors.reshape(-1, 7), codebook).argmin(1))
  assert len(np.unique(codes)) > 15


def test_of_equal_codes_the_first_is_taken(rng):
  codebook = np.repeat(normal(rng, 3, 4), 2, axis=0)
  np.testing.assert_array_equal(nearest(codebook, codebook), [0, 0, 2, 2, 4, 4])


def test_a_vector_that_is_not_a_number_has_a_code_of_the_codebook(rng):
  assert nearest(np.full((1, 4), np.nan, np.float32), normal(rng, 3, 4)).item() in range(3)


def test_the_search_builds_no_difference_of_every_vector_and_code():
  jaxpr = jax.make_jaxpr(nearest)(np.zeros((50, 16), np.float32), np.zeros((30, 16), np.float32))
  assert max(var.aval.size for equation in jaxpr.eqns for var in equation.outvars) == 50 * 30


EIGHT_DEVICES = """
import jax, numpy as np
from jgen.networks.quantizer import nearest
rng = np.random.default_rng(0)
vectors, codebook = (rng.standard_normal(shape).astype(np.float32) for shape in ((16, 64, 16), (256, 16)))
eight = jax.pmap(nearest, in_axes=(0, None))(vectors.reshape(8, 2, 64, 16), codebook)
np.testing.assert_array_equal(np.asarray(eight).reshape(16, 64), jax.jit(nearest)(vectors, codebook))
print(jax.device_count(), len(np.unique(eight)))
"""


def test_eight_devices_find_the_codes_of_one():
  done = subprocess.run([sys.executable, '-c', EIGHT_DEVICES], cwd=ROOT, env=environment(8), capture_output=True,
                        text=True)
  devices, codes = map(int, done.stdout.split() or [0, 0])
  assert done.returncode == 0 and devices == 8 and codes > 200, done.stderr


# Vectors


def in_nchw_memory(latents, size):
  """What `view(-1, size)` gives of the same map in PyTorch's order."""
  return np.ascontiguousarray(latents.transpose(0, 3, 1, 2)).ravel().reshape(len(latents), -1, size)


def by_position(latents, size):
  vectors = [one[row, column, start:start + size] for one in latents for row in range(one.shape[0])
             for column in range(one.shape[1]) for start in range(0, one.shape[2], size)]
  return np.stack(vectors).reshape(len(latents), -1, size)


@pytest.mark.parametrize('name, restated, size', [
    ('maps', in_nchw_memory, 6), ('maps', in_nchw_memory, 3), ('positions', by_position, 4),
    ('positions', by_position, 12)])
def test_a_quantised_map_is_that_of_numpy(rng, name, restated, size):
  latents, codebook = normal(rng, 5, *SHAPE), normal(rng, 11, size)
  vectors = restated(latents, size)
  np.testing.assert_array_equal(GROUPINGS[name].split(latents, size), vectors)
  quantizer = Quantizer(11, size, GROUPINGS[name])
  variables = {'params': {'codebook': codebook}}
  quantized, codes = quantizer.apply(variables, latents)
  expected = squared_distances(vectors.reshape(-1, size), codebook).argmin(1).reshape(5, -1)
  np.testing.assert_array_equal(codes, expected)
  assert quantized.shape == latents.shape
  np.testing.assert_array_equal(restated(np.asarray(quantized), size), codebook[expected])
  np.testing.assert_array_equal(quantizer.apply(variables, codes, SHAPE, method='vectors_of'), quantized)


def test_the_whole_map_of_a_channel_is_one_vector():
  latents = np.zeros((1, 4, 4, 128), np.float32)
  latents[..., 5] = np.arange(16).reshape(4, 4)
  np.testing.assert_array_equal(GROUPINGS['maps'].split(latents, 16)[0, 5], np.arange(16))
  assert GROUPINGS['maps'].split(latents, 16).shape == GROUPINGS['positions'].split(latents, 16).shape == (1, 128, 16)


# Gradients


def test_the_gradient_of_a_code_is_the_sum_over_those_who_have_it(rng):
  codes, codebook, gradient = rng.integers(0, 5, (6, 9)), normal(rng, 7, 3), normal(rng, 6, 9, 3)
  _, pullback = jax.vjp(lambda codebook: look_up(codebook, codes), codebook)
  expected = np.zeros((7, 3))
  np.add.at(expected, codes.ravel(), gradient.reshape(-1, 3))
  np.testing.assert_allclose(pullback(gradient)[0], expected, rtol=1e-5, atol=1e-6)


def test_straight_through_is_the_quantised_map_with_the_gradient_of_the_latents(rng):
  latents, quantized, gradient = (normal(rng, 2, *SHAPE) for _ in range(3))
  value, pullback = jax.vjp(straight_through, 1e6 * latents, quantized)
  np.testing.assert_array_equal(value, quantized)   # exactly, whatever the latents are
  to_latents, to_quantized = pullback(gradient)
  np.testing.assert_array_equal(to_latents, gradient)
  assert not to_quantized.any()


def test_each_distance_moves_one_side_alone(rng):
  latents, quantized = normal(rng, 2, *SHAPE), normal(rng, 2, *SHAPE)
  expected = ((latents - quantized)**2).sum((1, 2, 3))
  for loss, moved in ((codebook_loss, 1), (commitment_loss, 0)):
    np.testing.assert_allclose(loss(latents, quantized), expected, rtol=1e-5)
    gradients = jax.grad(lambda *maps, loss=loss: loss(*maps).sum(), argnums=(0, 1))(latents, quantized)
    sign = 1 if moved == 0 else -1
    np.testing.assert_allclose(gradients[moved], sign * 2 * (latents - quantized), rtol=1e-5)
    assert not gradients[1 - moved].any()


def test_perplexity_counts_codes():
  assert float(perplexity(jnp.array([1., 0., 0.]))) == 1
  np.testing.assert_allclose(perplexity(jnp.full(8, 1 / 8)), 8, rtol=1e-6)
  np.testing.assert_allclose(perplexity(jnp.array([0.5, 0.25, 0.25, 0.])), 2**1.5, rtol=1e-6)


# Upkeep


def upkeep(**keys):
  return Upkeep(**{'by_average': True, 'decay': 0.9, 'dead_below': 0.1, 'revive_every_steps': 3, **keys})


def on_devices(count, function, *split):
  """`function` of arrays [n, ...] that are split over so many devices; its outputs of all of them, [count, ...]."""
  parts = [x.reshape(count, -1, *x.shape[1:]) for x in split]
  return jax.device_get(jax.pmap(function, AXIS, devices=jax.devices()[:count])(*parts))


def test_moving_averages_are_the_papers_on_any_number_of_devices(rng):
  codebook, steps = normal(rng, 6, 3), 4
  vectors = normal(rng, 8, steps, 5, 3)
  def run(vectors):
    book, averages = jnp.asarray(codebook), upkeep().begin(codebook)
    for step in range(steps):
      codes = nearest(vectors[:, step], book)
      book, averages, shares = upkeep().follow(book, averages, codes, vectors[:, step])
    return book, averages, shares
  four, one = (on_devices(count, run, vectors) for count in (4, 1))
  for replica in range(1, 4):
    jax.tree.map(lambda x, replica=replica: np.testing.assert_array_equal(x[replica], x[0]), four)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b[0], rtol=1e-5, atol=1e-7), four, one)

  book = codebook.astype(np.float64)    # eq. 6 to 8, with the numbers of an even use of 40 vectors a step to begin from
  counts = np.full(6, 40 / 6)
  sums = counts[:, None] * book
  for step in range(steps):
    flat = vectors[:, step].reshape(-1, 3)
    codes = squared_distances(flat, book).argmin(1)
    for code in range(6):
      counts[code] = 0.9 * counts[code] + 0.1 * (codes == code).sum()
      sums[code] = 0.9 * sums[code] + 0.1 * flat[codes == code].sum(0)
    book = sums / counts[:, None]
  np.testing.assert_allclose(four[0][0], book, rtol=1e-4)
  np.testing.assert_allclose(four[1]['shares'][0], counts / 40, rtol=1e-4)
  np.testing.assert_allclose(four[2][0], np.bincount(codes, minlength=6) / 40, rtol=1e-6)


def test_a_code_that_never_comes_stays_where_it_is(rng):
  codebook = normal(rng, 2, 3)
  averages = {'shares': jnp.array([1., 0.]), 'sums': jnp.array([codebook[0], np.zeros(3)])}
  book, *_ = on_devices(1, lambda vectors: upkeep().follow(
      codebook, averages, jnp.zeros(vectors.shape[:2], jnp.int32), vectors), normal(rng, 4, 1, 3))
  np.testing.assert_array_equal(book[0, 1], codebook[1])
  assert np.isfinite(book).all()


def test_dead_is_below_the_share_of_the_even_use():
  shares = jnp.array([0.024, 0.026, 0.45, 0.5])
  np.testing.assert_array_equal(upkeep(dead_below=0.1).dead({'shares': shares}), [True, False, False, False])


@pytest.mark.parametrize('by_average', [True, False])
def test_revived_codes_are_vectors_of_the_batch_and_begin_anew(rng, by_average):
  codebook, vectors = normal(rng, 5, 3), normal(rng, 8, 6, 3)
  revived, keeper = np.array([True, False, True, False, True]), upkeep(by_average=by_average)
  before = {'shares': normal(rng, 5)**2} | ({'sums': normal(rng, 5, 3)} if by_average else {})
  run = lambda vectors: keeper.revive(codebook, before, revived, vectors, jax.random.key(3))
  four, one = (on_devices(count, run, vectors) for count in (4, 1))
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, np.broadcast_to(b, a.shape)), four, one)
  book, averages = jax.tree.map(lambda x: x[0], one)
  drawn = [np.flatnonzero((vectors.reshape(-1, 3) == row).all(1)).item() for row in book[revived]]
  assert len(set(drawn)) == 3
  np.testing.assert_array_equal(book[~revived], codebook[~revived])
  np.testing.assert_allclose(averages['shares'][revived], 1 / 5, rtol=1e-6)
  jax.tree.map(lambda new, old: np.testing.assert_array_equal(new[~revived], old[~revived]), averages, before)
  if by_average:
    np.testing.assert_allclose(averages['sums'][revived] * 5, book[revived], rtol=1e-6)


def test_drawn_vectors_are_one_of_each_part_of_the_batch(rng):
  vectors = np.arange(48, dtype=np.float32).reshape(8, 6, 1)
  draw = lambda key: np.asarray(on_devices(4, lambda part: draw_vectors(key, part, 6), vectors))[0, :, 0]
  for seed in (1, 2):
    np.testing.assert_array_equal(draw(jax.random.key(seed)) // 8, np.arange(6))
  assert (draw(jax.random.key(1)) != draw(jax.random.key(2))).any()
  # More codes than vectors: some twice, none from nowhere.
  many = on_devices(1, lambda part: draw_vectors(jax.random.key(0), part, 100), vectors[:1])[0, :, 0]
  assert set(many) == set(range(6))


def test_the_optimizer_forgets_revived_codes_and_nothing_else(rng):
  params = {'encoder': normal(rng, 4, 2), 'quantizer': {'codebook': normal(rng, 4, 3)}}
  optimizer = optax.adam(0.1)
  _, state = optimizer.update(params, optimizer.init(params))
  after = reset_moments({'vqvae': state}, np.array([False, True, False, True]))['vqvae'][0]
  for new, old in ((after.mu, state[0].mu), (after.nu, state[0].nu)):
    np.testing.assert_array_equal(new['encoder'], old['encoder'])
    np.testing.assert_array_equal(new['quantizer']['codebook'][::2], old['quantizer']['codebook'][::2])
    assert not new['quantizer']['codebook'][1::2].any() and old['quantizer']['codebook'].all()
  assert after.count == 1


