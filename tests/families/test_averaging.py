"""Averaged parameters are used with batch statistics of their own, on any number of devices."""

import functools

from flax import jax_utils
from helpers import tiny
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgen import families
from jgen.data.spec import Dataset, Spec
from jgen.errors import UserError
from jgen.families import averaging, train_state
from jgen.families.model import Compiled, Model
from jgen.parallel import AXIS, STATISTICS

SPEC = Spec('squares', (8, 8, 1), 10, tuple('0123456789'))


def dataset():
  images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), np.uint8)
  return Dataset(SPEC, images, np.zeros(300, np.int32), 'made in a test')


def moved(state):
  """A state whose averaged parameters are far from the others, as after a decay of 0.999 early in training."""
  differ = lambda x: x * 1.5 + 0.1
  return state.replace(ema_params=jax.tree.map(differ, state.ema_params))


@functools.cache
def system(name):
  """(family, state on the host) of a tiny system that averages."""
  family = families.create(tiny.CONFIGS[name](**{'model.ema_decay': 0.5}), SPEC)
  return family, moved(jax.device_get(jax.jit(family.init)(jax.random.key(0))))


def statistics(state, network):
  return jax.tree.map(lambda x: np.asarray(x)[0], state.model_state[network]['batch_stats'])


@functools.cache
def used(name, devices):
  """The replicated state that is used, on some of the devices."""
  family, state = system(name)
  compiled = Compiled(family, jax.devices()[:devices])
  replicated = jax_utils.replicate(state, jax.devices()[:devices])
  return compiled, replicated, compiled.used(replicated, dataset())


@pytest.mark.parametrize('name, network', [('dcgan', 'generator'), ('infogan', 'generator'), ('vae', 'vae')])
def test_statistics_are_those_of_the_averaged_parameters_on_one_device_and_four(name, network):
  family, state = system(name)
  one, four = (statistics(used(name, devices)[2], network) for devices in (1, 4))
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-5), one, four)
  # The reference: a plain forward pass in training of each batch, its statistics as flax leaves them in the state.
  batches, stale = averaging.batches_for(family, dataset()), state.replace(params={**state.params, **state.ema_params})
  def one_pass(batch, key):
    return family.training_pass(stale, batch, key)[network]['batch_stats']
  one_pass = jax.jit(jax.vmap(one_pass, (0, None), axis_name=AXIS))
  run_key = jax.random.fold_in(jax.random.key(0), STATISTICS)
  keys = [jax.random.fold_in(run_key, i) for i in range(len(batches['label']))]
  mean = None
  for i, key in enumerate(keys):
    batch = {'image': batches['image'][i][None] / np.float32(127.5) - 1, 'label': batches['label'][i][None]}
    after = jax.tree.map(lambda now, before: (np.asarray(now[0]) - 0.9 * before) / 0.1, one_pass(batch, key),
                         state.model_state[network]['batch_stats'])
    mean = after if mean is None else jax.tree.map(np.add, mean, after)
  jax.tree.map(lambda ours, sums: np.testing.assert_allclose(ours, sums / len(keys), rtol=2e-3, atol=1e-3), one, mean)
  assert any(np.abs(a - b).max() > 0.05 for a, b in zip(
      jax.tree.leaves(one), jax.tree.leaves(state.model_state[network]['batch_stats']), strict=True))


def test_samples_are_normalised_as_in_training():
  """With its own statistics, what the averaged generator's last normalised layer gives has mean 0 and variance 1."""
  compiled, replicated, state = used('dcgan', 4)
  family = compiled.family
  last = max(state.model_state['generator']['batch_stats'])
  def normalised(state, key, labels):
    _, captured = family.generator.apply(
        {'params': state.params['generator'], **state.model_state['generator']}, family.latents(key, labels),
        train=False, capture_intermediates=lambda module, _: module.name == last, mutable=['intermediates'])
    affine = state.params['generator'][last]
    return (captured['intermediates'][last]['__call__'][0] - affine['bias']) / affine['scale']
  labels = np.arange(1280, dtype=np.int32).reshape(4, -1) % 10
  measure = jax.pmap(normalised, axis_name=AXIS, in_axes=(0, None, 0))
  of = lambda state: np.asarray(measure(state, jax.random.key(3), labels)).reshape(-1, 8)
  fresh = of(state)
  stale = of(averaging.with_averages(replicated))
  assert np.abs(fresh.mean(0)).max() < 0.1 and np.abs(fresh.var(0) - 1).max() < 0.15
  assert np.abs(stale.mean(0)).max() > 0.3 or np.abs(stale.var(0) - 1).max() > 0.5


def test_they_are_computed_once_for_a_state_and_draw_the_samples():
  compiled, replicated, state = used('dcgan', 4)
  assert compiled.used(replicated, None) is state
  labels = np.arange(20) % 10
  ours = Model(compiled, replicated).sample(labels, 1)
  np.testing.assert_array_equal(ours, Model(compiled, state).sample(labels, 1))
  assert (ours != Model(compiled, averaging.with_averages(replicated)).sample(labels, 1)).mean() > 0.3
  again = replicated.replace(step=replicated.step + 1)
  assert compiled.used(again, None) is not state


def test_without_averages_or_batch_norm_nothing_is_computed():
  family = families.create(tiny.dcgan(**{'model.generator.normalization': 'none'}), SPEC)
  state = moved(jax.device_get(jax.jit(family.init)(jax.random.key(0))))
  compiled = Compiled(family)
  replicated = jax_utils.replicate(state)
  result = compiled.used(replicated, None)
  assert result.params['generator'] is replicated.ema_params['generator'] and not result.ema_params
  assert result.model_state is replicated.model_state
  plain = replicated.replace(ema_params={})
  assert compiled.used(plain, None).params['generator'] is plain.params['generator']


def test_an_averaged_autoencoder_without_its_images_says_what_it_needs():
  family, state = system('vae')
  with pytest.raises(UserError, match='averaged parameters of this model need training images'):
    Model(Compiled(family), jax_utils.replicate(state)).sample(np.zeros(2, int), 0)


def test_the_average_moves_once_a_step_for_any_network():
  state = train_state.TrainState(step=jnp.zeros(()), params={'a': jnp.ones(3), 'b': jnp.ones(2)}, opt_state={},
                                 model_state={}, ema_params={'a': jnp.zeros(3)})
  for expected in (0.25, 0.4375):
    state = train_state.average(state, 0.75)
    np.testing.assert_allclose(state.ema_params['a'], expected)
  assert set(state.ema_params) == {'a'}
