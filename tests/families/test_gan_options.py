"""Each option of a GAN changes what it documents and nothing else, on one step of a small GAN on one device."""

import dataclasses
import functools

from flax import jax_utils
from helpers import tiny
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jgen import families
from jgen.augmentation import critic_inputs
from jgen.data.spec import Spec
from jgen.errors import UserError
from jgen.families.gan import GAN
from jgen.families.model import Compiled, Model
from jgen.losses.penalties import PENALTIES
from jgen.losses.targets import Targets
from jgen.training.step import make_dispatch

SPEC = Spec('squares', (8, 8, 1), 10)
BATCH = 12
STILL = {'critic_optimizer.learning_rate': 0.}   # what the generator meets is then the same whatever the critic learns


def family_of(**settings):
  """A GAN without labels and normalisation, its `settings` below config.model."""
  keys = {'conditional': False, 'critic.normalization': 'none', 'critic.kernel_init': 'he', **settings}
  return families.create(tiny.dcgan(**{f'model.{key}': value for key, value in keys.items()}), SPEC)


def step_of(family):
  """({metric: number}, state before, state after) of one step on the same images from the same key."""
  rng, first = np.random.default_rng(0), jax.devices()[:1]
  shape = (1, 1, family.batches_per_step, BATCH)
  batches = {'image': rng.integers(0, 256, (*shape, 8, 8, 1), np.uint8), 'label': np.zeros(shape, np.int32)}
  start = jax.device_get(jax.jit(family.init)(jax.random.key(0)))
  end, metrics = make_dispatch(family, devices=first)(jax_utils.replicate(start, first), batches, jax.random.key(7))
  jax.effects_barrier()
  numbers = {name: float(value[0, 0]) for name, value in metrics.items()}
  return numbers, start, jax.tree.map(lambda x: np.asarray(x)[0], end)


@functools.cache
def step(settings=()):
  return step_of(family_of(**dict(settings)))


def still(**settings):
  """The metrics and the last state of a step with these settings and a critic that does not learn."""
  metrics, _, end = step(tuple((STILL | settings).items()))
  return metrics, end


def assert_same(trees, names, rtol=0.):
  ours, theirs = ({name: tree[name] for name in names} for tree in trees)
  for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=0, err_msg=jax.tree_util.keystr(path))


def of(network, metrics):
  return {name for name in metrics if name.startswith(network)}


@pytest.mark.parametrize('updates', [(1, 1), (2, 1), (1, 3)])
def test_networks_are_updated_as_often_as_asked(updates):
  critic_steps, generator_steps = updates
  _, start, end = step((('critic_steps', critic_steps), ('generator_steps', generator_steps)))
  counts = {name: optax.tree.get(end.opt_state[name], 'count') for name in end.opt_state}
  assert counts == {'critic': critic_steps, 'generator': generator_steps}
  for before, now, average in zip(*(jax.tree.leaves(tree['generator']) for tree in (
      start.params, end.params, end.ema_params)), strict=True):
    np.testing.assert_allclose(average, 0.5 * before + 0.5 * now, rtol=1e-5, atol=1e-7)   # once a step


def test_more_generator_updates_come_after_the_critics_and_have_latents_of_their_own():
  seen = []
  class Recording(GAN):
    def latents(self, key, condition):
      jax.debug.callback(lambda data: seen.append(tuple(data.tolist())), jax.random.key_data(key))
      return super().latents(key, condition)
  one, _, end_of_one = step((('critic_steps', 1), ('generator_steps', 1)))
  family = family_of(generator_steps=3)
  family = Recording(**{field.name: getattr(family, field.name) for field in dataclasses.fields(family)})
  three, _, end_of_three = step_of(family)
  assert len(seen) == len(set(seen)) == 3   # the first generator update uses the images of the critic's
  assert_same((one, three), of('critic', one))
  assert_same((end_of_one.params, end_of_three.params), ['critic'])
  assert one['generator/loss'] != three['generator/loss']


def test_generator_metrics_are_means_over_its_updates():
  frozen = {**STILL, 'generator_optimizer.learning_rate': 0.}
  family = family_of(generator_steps=3, **frozen)
  losses = []
  class Recording(GAN):
    def generator_terms(self, *arguments):
      terms, metrics = super().generator_terms(*arguments)
      jax.debug.callback(lambda loss: losses.append(float(loss)), terms['adversarial'].mean())
      return terms, metrics
  family = Recording(**{field.name: getattr(family, field.name) for field in dataclasses.fields(family)})
  metrics, _, _ = step_of(family)
  assert len(set(losses)) == 3
  np.testing.assert_allclose(metrics['generator/loss'], np.mean(list(set(losses))), rtol=1e-5)


def test_targets_change_the_critics_loss_alone():
  plain, end = still()
  flat = {'critic/loss', 'critic/adversarial', 'critic/real_loss', 'critic/fake_loss', 'critic/gradient_norm',
          'critic/first_layer_gradient_norm'}
  for settings, to_real, to_fake in (
      ({'critic_targets.real': 0.9}, 0.1, 0.), ({'critic_targets.generated': 0.2}, 0., 0.2),
      ({'critic_targets.flip_probability': 1.}, 1., 1.)):
    metrics, other = still(**settings)
    # -t log D - (1 - t) log(1 - D) is -log D + (1 - t) logit, and -log(1 - D) - t logit.
    expected = {'critic/real_loss': plain['critic/real_loss'] + to_real * plain['critic/real_logit'],
                'critic/fake_loss': plain['critic/fake_loss'] - to_fake * plain['critic/fake_logit']}
    for name, value in expected.items():
      np.testing.assert_allclose(metrics[name], value, rtol=1e-4, err_msg=f'{name} {settings}')
    np.testing.assert_allclose(metrics['critic/adversarial'], sum(expected.values()), rtol=1e-4)
    assert_same((plain, metrics), set(plain) - flat, rtol=2e-7)   # two compiled steps: a last digit of float32
    assert_same((end.params, other.params), ['generator'])
    assert metrics['critic/gradient_norm'] != plain['critic/gradient_norm']


def test_the_critic_sees_nothing_but_what_it_is_shown():
  keys = []
  def blank(key, step, images):
    jax.debug.callback(lambda data: keys.append(tuple(data.tolist())), jax.random.key_data(key))
    return images * 0. + step + 0.5
  metrics, start, end = step_of(dataclasses.replace(family_of(**STILL), augment_for_critic=blank))
  critic = family_of().critic
  logits, _ = critic.apply({'params': start.params['critic']}, jnp.full((1, 8, 8, 1), 0.5), train=False)
  logit = float(logits[0])
  for name in ('real_logit', 'fake_logit'):
    np.testing.assert_allclose(metrics[f'critic/{name}'], logit, rtol=1e-4)
  np.testing.assert_allclose(metrics['generator/loss'], np.log1p(np.exp(-logit)), rtol=1e-4)
  assert metrics['generator/gradient_norm'] == 0   # the generator learns through what is shown
  assert len(set(keys)) == 3                   # real images, generated ones, those of the generator's update


@pytest.mark.parametrize('settings', [{'instance_noise.stddev': 0.3}, {'diff_augment': ('color', 'cutout')}])
def test_noise_and_augmentation_reach_all_that_the_critic_judges(settings):
  plain, end = still()
  metrics, other = still(**settings)
  for name in ('critic/real_logit', 'critic/fake_logit', 'generator/loss'):
    assert metrics[name] != plain[name]
  assert_same((end.model_state, other.model_state), ['generator'])   # it generated the same


@pytest.mark.parametrize('penalty', [name for name in PENALTIES if name != 'none'])
def test_penalties_add_their_weight_to_the_critics_loss_alone(penalty):
  plain, end = still()
  metrics, other = still(penalty=penalty, penalty_weight=3.)
  np.testing.assert_allclose(metrics['critic/weighted_penalty'], 3 * metrics['critic/penalty'], rtol=1e-5)
  np.testing.assert_allclose(metrics['critic/loss'], plain['critic/loss'] + 3 * metrics['critic/penalty'], rtol=1e-4)
  slope = metrics['critic/slope_at_real' if penalty == 'r1' else 'critic/slope']
  # E s^2 >= (E s)^2
  assert metrics['critic/penalty'] >= (slope**2 / 2 if penalty == 'r1' else (slope - 1)**2) * 0.999
  np.testing.assert_allclose(metrics['generator/loss'], plain['generator/loss'], rtol=1e-5)


def test_dropout_at_sampling_changes_samples_alone():
  settings = {'generator.dropout': 0.5}
  (without, end), (at_sampling, other) = still(**settings), still(**settings, **{'generator.dropout_at_sampling': True})
  assert_same((without, at_sampling), list(without))
  assert_same((end.params, other.params), ['generator'])
  assert without['generator/loss'] != still()[0]['generator/loss']
  def samples(**settings):
    family = family_of(**settings, ema_decay=0.)   # the statistics of averages depend on the dropout of training
    model = Model(Compiled(family), jax_utils.replicate(end.replace(ema_params={})))
    return model.sample(np.zeros(12, int), 3)
  never, with_it = samples(), samples(**settings, **{'generator.dropout_at_sampling': True})
  np.testing.assert_array_equal(never, samples(**settings))
  assert (never != with_it).mean() > 0.5


def test_the_defaults_add_nothing():
  family = family_of()
  assert family.augment_for_critic is critic_inputs.unchanged and family.targets == Targets() and family.penalty is None


@pytest.mark.parametrize(('settings', 'message'), [
    ({'critic_steps': 0}, 'config.model.critic_steps is 0; expected a whole number, at least 1'),
    ({'critic_targets.noise': -0.1}, 'config.model.critic_targets.noise is -0.1; expected a number, from 0 to 1'),
    ({'generator.up': 'pixelshuffle'}, "config.model.generator.up: 'pixelshuffle' is not known; did you mean 'pixel_s"),
    ({'critic.down': 'stride'}, "config.model.critic.down: 'stride' is not known; did you mean 'strides'"),
    ({'loss': 'hing'}, "config.model.loss: 'hing' is not known; did you mean 'hinge'"),
    *(({'penalty': name, 'critic.normalization': 'batch'}, f"config.model.penalty '{name}' is a penalty per image")
      for name in PENALTIES if name != 'none')])
def test_what_cannot_work_is_refused(settings, message):
  with pytest.raises(UserError, match=message):
    family_of(**settings)
