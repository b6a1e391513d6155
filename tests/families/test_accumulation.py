"""A batch in microbatches gives what the whole batch gives, with the memory of a microbatch."""

from flax import jax_utils
from helpers import tiny
from helpers.published import refusal
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgen import families
from jgen.data.spec import Spec
from jgen.families import accumulation
from jgen.training import setup
from jgen.training.step import make_dispatch

SPEC = Spec('squares', (8, 8, 1), 10, tuple('0123456789'))
BATCH, STEPS = 16, 2
SMALL = {'model.generator.features': (6,), 'model.critic.features': (5,)}
PLAIN = {'model.generator.normalization': 'none', 'model.critic.normalization': 'none', 'model.critic_steps': 1}
SGD = {f'model.{network}_optimizer.{key}': value for network in ('generator', 'critic')
       for key, value in {'name': 'sgd', 'learning_rate': 0.01}.items()}
CONFIGS = {   # without BatchNorm; the first has penalties, dropout, spectral norms, noise and two generator updates
    'toolbox_gan': tiny.toolbox_gan(**SMALL, **SGD),
    'infogan': tiny.infogan(**SMALL, **PLAIN, **SGD, **{'model.q_optimizer.name': 'sgd'}),
    'vae': tiny.learned_vae(**{'model.regularizer.name': 'kl', 'model.regularizer.capacity_steps': 100_000,
                               'model.optimizer.name': 'sgd', 'model.optimizer.learning_rate': 1e-4}),
    'averaged_vqvae': tiny.averaged_vqvae(**{'model.optimizer.name': 'sgd', 'model.optimizer.learning_rate': 1e-3})}


def end(family, microbatch, devices):
  """(state after STEPS on the host, metrics {name: [STEPS]}) of training on the first few devices."""
  shape, rng = (STEPS, family.batches_per_step, BATCH), np.random.default_rng(0)
  batches = {'image': rng.integers(0, 256, (*shape, *SPEC.image_shape), dtype=np.uint8),
             'label': rng.integers(0, 10, shape, dtype=np.int32)}
  split = lambda x: np.moveaxis(x.reshape(*x.shape[:2], devices, -1, *x.shape[3:]), 2, 0)
  chosen = jax.devices()[:devices]
  state = jax_utils.replicate(jax.jit(family.init)(jax.random.key(0)), chosen)
  state, metrics = make_dispatch(family, microbatch=microbatch, devices=chosen)(
      state, {name: split(x) for name, x in batches.items()}, jax.random.key(7))
  return jax.tree.map(lambda x: x[0], jax.device_get((state, metrics)))


@pytest.mark.parametrize('name', list(CONFIGS))
def test_microbatches_on_two_devices_give_what_the_whole_batch_gives_on_one(name):
  family = families.create(CONFIGS[name], SPEC)
  whole, parts = end(family, 0, 1), end(family, 2, 2)
  assert jax.tree.structure(whole) == jax.tree.structure(parts)
  for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(whole), jax.tree.leaves(parts), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=jax.tree_util.keystr(path))


def test_what_is_the_same_for_all_microbatches_stays_the_same_to_the_last_bit():
  constant = jnp.float32(0.1)
  with accumulation.microbatches_of(1):
    means, outputs = jax.jit(lambda x: accumulation.over_microbatches(
        lambda x: ((constant, x.mean()), x**2), x))(jnp.arange(7.))
  assert means[0] == constant and means[1] == 3
  np.testing.assert_array_equal(outputs, np.arange(7.)**2)


@pytest.mark.parametrize('config, expected', [
    (tiny.wgan(microbatch_size=12), 'a divisor of config.batch_size, 16'),
    (tiny.wgan(microbatch_size=2), 'a multiple of the number of devices'),
    (tiny.wgan(microbatch_size=8, **{'model.loss': 'relativistic_average'}), 'mean logit of a batch'),
    (tiny.vae(microbatch_size=8), 'not a sum over the mean divergences')])
def test_microbatches_that_would_change_the_result_are_refused(config, expected):
  assert expected in refusal(setup.check_microbatch, config, families.create(config, SPEC))


def test_a_step_in_microbatches_needs_less_memory():
  config = tiny.dcgan(**{'model.generator.features': (64,), 'model.critic.features': (64,)})
  family, first = families.create(config, SPEC), jax.devices()[:1]
  def temporary(microbatch):
    state = jax_utils.replicate(jax.jit(family.init)(jax.random.key(0)), first)
    batches = {'image': np.zeros((1, 1, 1, 256, 8, 8, 1), np.uint8), 'label': np.zeros((1, 1, 1, 256), np.int32)}
    dispatch = make_dispatch(family, microbatch=microbatch, devices=first)
    return dispatch.lower(state, batches, jax.random.key(0)).compile().memory_analysis().temp_size_in_bytes
  assert temporary(32) < temporary(0) / 3
