"""The contract of every family on four devices: many checks on one compiled run each."""

import contextlib
import dataclasses
import functools

from flax import jax_utils
from helpers import tiny
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgen import families
from jgen.data.spec import Dataset, Spec
from jgen.families.gan import GAN
from jgen.families.model import Compiled, Model
from jgen.families.vae import VAE
from jgen.families.vqvae import VQVAE
from jgen.run.checkpoints import Checkpoints
from jgen.training.step import make_dispatch

SPEC = Spec('squares', (8, 8, 1), 10, tuple('0123456789'))
BATCH = 16


def batches(steps, batches_per_step, devices):
  """{name: [D, S, K, B, ...]}: the same images for any number of devices."""
  rng = np.random.default_rng(0)
  shape = (steps, batches_per_step, BATCH)
  arrays = {'image': rng.integers(0, 256, (*shape, *SPEC.image_shape), dtype=np.uint8),
            'label': rng.integers(0, 10, shape, dtype=np.int32)}
  def split(x):
    return np.moveaxis(x.reshape(*x.shape[:2], devices, -1, *x.shape[3:]), 2, 0)
  return {name: split(x) for name, x in arrays.items()}


@functools.cache
def system(name):
  """(family, state at step 0 on the host, one compiled dispatch of a single step on 4 devices)."""
  family = families.create(tiny.CONFIGS[name](), SPEC)
  images = batches(1, 1, 1)['image'][0, 0, 0]
  dataset = Dataset(SPEC, images, np.zeros(len(images), np.int32), 'made in a test')
  state = family.init_from_data(jax.jit(family.init)(jax.random.key(0)), dataset)
  return family, jax.device_get(state), make_dispatch(family)


def steps(name, state, first, last):
  """The state after the steps first+1 .. last, and the last metrics, both as on the devices."""
  family, _, dispatch = system(name)
  data = batches(4, family.batches_per_step, 4)
  state, metrics = jax_utils.replicate(state), None
  for i in range(first, last):
    state, metrics = dispatch(state, {k: x[:, i:i + 1] for k, x in data.items()}, jax.random.key(7))
  return state, metrics


@functools.cache
def after_four(name):
  return steps(name, system(name)[1], 0, 4)


def leaves(state):
  return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


GAN_LOSSES = {'critic/loss', 'generator/loss', 'critic/first_layer_gradient_norm'}
LOSSES = {'acgan': {'critic/real_class_accuracy', 'critic/fake_class_accuracy', 'generator/weighted_class_loss'},
          'infogan': {'generator/information', 'generator/information_maximum', 'generator/continuous_information'},
          VAE: {'vae/loss', 'vae/elbo'}, VQVAE: {'vqvae/loss', 'vqvae/perplexity', 'vqvae/dead_share'}}
FIXED = {   # what no step moves; for the single output of the critic, the vector of the spectral norm is 1 or -1
    'vae': [".model_state['likelihood']['variance']"], 'learned_vae': [".model_state['likelihood']['variance']"],
    'toolbox_gan': [".model_state['critic']['spectral_norm']['layer_2']['SpectralNorm_0']['u']"],
    'averaged_vqvae': [f".opt_state['vqvae'][0].{moment}['quantizer']['codebook']" for moment in ('mu', 'nu')]}
each_family = pytest.mark.parametrize('name', list(tiny.CONFIGS))


@each_family
def test_metrics_are_finite_and_the_step_is_counted(name):
  state, metrics = after_four(name)
  assert all(np.isfinite(np.asarray(value)).all() for value in metrics.values())
  assert LOSSES.get(name, LOSSES.get(type(system(name)[0]), GAN_LOSSES)) <= set(metrics)
  np.testing.assert_array_equal(state.step, [4] * 4)


@each_family
def test_replicas_are_bit_identical(name):
  for key, leaf in leaves(after_four(name)[0]).items():
    for replica in np.asarray(leaf)[1:]:
      np.testing.assert_array_equal(replica, np.asarray(leaf)[0], err_msg=key)


@each_family
def test_every_parameter_and_statistic_moved(name):
  start, end = leaves(system(name)[1]), leaves(jax_utils.unreplicate(after_four(name)[0]))
  still = [key for key in start if np.array_equal(start[key], end[key])]
  assert still == FIXED.get(name, [])
  assert any('ema_params' in key for key in start) == bool(getattr(system(name)[0], 'ema_decay', 0))


@each_family
def test_two_steps_saved_restored_and_two_more_are_four(name, tmp_path):
  _, start, _ = system(name)
  config = tiny.CONFIGS[name]()
  two = jax.device_get(jax_utils.unreplicate(steps(name, start, 0, 2)[0]))
  with contextlib.closing(Checkpoints(tmp_path, config.checkpoints)) as checkpoints:
    checkpoints.save(2, two, {})
  with contextlib.closing(Checkpoints(tmp_path, config.checkpoints)) as checkpoints:
    restored, damaged = checkpoints.restore(start)
  assert not damaged
  for key, leaf in leaves(two).items():
    np.testing.assert_array_equal(leaves(restored)[key], leaf, err_msg=key)
  resumed, expected = steps(name, restored, 2, 4)[0], after_four(name)[0]
  for key, leaf in leaves(resumed).items():
    np.testing.assert_array_equal(leaf, leaves(expected)[key], err_msg=key)


@each_family
def test_four_devices_equal_the_whole_batch_on_one(name):
  family, start, dispatch = system(name)
  key = jax.random.key(7)
  four, metrics_of_four = dispatch(jax_utils.replicate(start), batches(1, family.batches_per_step, 4), key)
  first = jax.devices()[:1]
  one, metrics_of_one = make_dispatch(family, devices=first)(
      jax_utils.replicate(start, first), batches(1, family.batches_per_step, 1), key)
  for metric, value in metrics_of_one.items():
    np.testing.assert_allclose(value[0], metrics_of_four[metric][0], rtol=2e-4, atol=1e-5, err_msg=metric)
  # Adam divides by the gradient's size: where a gradient is rounding, so is the direction of its first steps.
  ours, theirs = leaves(jax_utils.unreplicate(four)), leaves(jax_utils.unreplicate(one))
  close = [np.isclose(ours[key], theirs[key], rtol=1e-3, atol=2e-5).mean() for key in ours if 'params' in key]
  assert np.mean(close) > 0.99


@each_family
def test_samples_are_pixels_and_follow_seed_and_label(name):
  family = system(name)[0]
  model = Model(Compiled(family), after_four(name)[0])
  labels = np.arange(150) % 10          # more than one chunk
  images = model.sample(labels, seed=1)
  assert images.shape == (150, *SPEC.image_shape) and images.dtype == np.uint8
  np.testing.assert_array_equal(images, model.sample(labels, seed=1))
  assert (images != model.sample(labels, seed=2)).mean() > 0.5
  differing = (images != model.sample((labels + 1) % 10, seed=1)).mean()
  assert differing > 0.1 if family.num_classes else differing == 0
  assert (images[0] != images[10]).any() and (images[0] != images[130]).any()   # other latents at every place


def test_the_averaged_generator_is_the_average_and_is_what_is_sampled():
  family = system('dcgan')[0]
  three, four = (jax_utils.unreplicate(steps('dcgan', system('dcgan')[1], 0, n)[0]) for n in (3, 4))
  for before, now, average in zip(*(jax.tree.leaves(tree) for tree in (
      three.ema_params, {'generator': four.params['generator']}, four.ema_params)), strict=True):
    np.testing.assert_allclose(average, 0.5 * before + 0.5 * now, rtol=1e-5, atol=1e-7)
  zeros = jax.tree.map(np.zeros_like, four.ema_params)
  compiled = Compiled(family)
  sample = lambda state: Model(compiled, jax_utils.replicate(state)).sample(np.arange(10), 1)
  assert len(np.unique(sample(four.replace(ema_params=zeros)))) == 1
  assert len(np.unique(sample(four.replace(params=jax.tree.map(np.zeros_like, four.params))))) > 20


def test_metrics_of_the_critic_are_means_over_its_updates():
  # A critic that does not learn judges all K batches alike, so its mean answer is that to all their images.
  family = families.create(tiny.wgan(**{'model.critic_optimizer.learning_rate': 0.}), SPEC)
  state, first = jax.device_get(jax.jit(family.init)(jax.random.key(0))), jax.devices()[:1]
  data = batches(1, family.batches_per_step, 1)
  _, metrics = make_dispatch(family, devices=first)(jax_utils.replicate(state, first), data, jax.random.key(7))
  images, labels = (data[name].reshape(-1, *data[name].shape[4:]) for name in ('image', 'label'))
  logits, _, _ = family.run_critic(
      state.params['critic'], {}, images.astype(np.float32) / 127.5 - 1, labels, jax.random.key(0))
  assert len(logits) == 3 * BATCH
  np.testing.assert_allclose(metrics['critic/real_logit'][0, 0], logits.mean(), rtol=1e-4, atol=1e-6)


def test_every_update_of_the_critic_has_latents_of_its_own():
  seen = set()
  class Recording(GAN):
    def latents(self, key, condition):
      jax.debug.callback(lambda data: seen.add(tuple(data.tolist())), jax.random.key_data(key))
      return super().latents(key, condition)
  family, state, _ = system('wgan')
  family = Recording(**{field.name: getattr(family, field.name) for field in dataclasses.fields(family)})
  first = jax.devices()[:1]
  dispatch = make_dispatch(family, devices=first)
  jax.block_until_ready(dispatch(jax_utils.replicate(state, first), batches(1, 3, 1), jax.random.key(7)))
  jax.effects_barrier()
  assert len(seen) == family.batches_per_step == 3


@pytest.mark.parametrize('name', ['wgan', 'vqvae'])   # second derivatives; codes
def test_in_bfloat16_a_step_is_near_that_in_float32(name):
  family, state, _ = system(name)
  first, data = jax.devices()[:1], batches(1, family.batches_per_step, 1)
  ends = [make_dispatch(family, precision=(precision,), devices=first)(
      jax_utils.replicate(state, first), data, jax.random.key(7)) for precision in ('float32', 'bfloat16')]
  (exact, metrics), (rounded, rounded_metrics) = ends
  assert all(np.isfinite(value).all() for value in rounded_metrics.values())
  for key, value in metrics.items():
    if key.endswith('loss'):
      np.testing.assert_allclose(rounded_metrics[key], value, rtol=0.05, atol=0.02)
  assert all(leaf.dtype in (jnp.float32, jnp.int32) for leaf in jax.tree.leaves(rounded))
  assert any(not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(exact.params), jax.tree.leaves(rounded.params),
                                                      strict=True))
