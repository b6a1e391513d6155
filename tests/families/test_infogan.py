"""InfoGAN: its codes and bound against closed forms, losses against numpy, updates, and evaluators."""

import dataclasses
import importlib
import types

from helpers import tiny
import jax
from jax import numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm
from sklearn.datasets import load_digits

from jgen import families, networks
from jgen.data.spec import Dataset, Spec, Splits
from jgen.errors import UserError
from jgen.evaluation import EVALUATORS, create
from jgen.families.conditioning import Codes
from jgen.losses.information import MIN_LOG_VARIANCE, LatentCodes
from jgen.parallel import AXIS

SPEC = Spec('squares', (8, 8, 1), 10)
BATCH = 6
CODES = LatentCodes(categorical=2, values=3, continuous=2)


# Codes and the bound


def test_codes_follow_their_prior():
  codes = np.asarray(jax.vmap(CODES.draw)(jax.random.split(jax.random.key(0), 6_000)))
  assert codes.shape == (6_000, 4)
  for code in codes[:, :2].T:
    np.testing.assert_allclose(np.bincount(code.astype(int)) / 6_000, [1 / 3] * 3, atol=0.03)
  for code in codes[:, 2:].T:
    assert -1 <= code.min() < -0.99 and 0.99 < code.max() <= 1
    np.testing.assert_allclose(np.histogram(code, 4, (-1, 1))[0] / 6_000, [1 / 4] * 4, atol=0.03)
  assert np.abs(np.corrcoef(codes.T) - np.eye(4)).max() < 0.05


def test_codes_as_a_generators_input():
  inputs = CODES.as_input(jnp.asarray([[2., 0., -0.5, 0.25]]))
  np.testing.assert_array_equal(inputs, [[0, 0, 1, 1, 0, 0, -0.5, 0.25]])


def test_the_bound_is_the_entropy_where_codes_are_seen_and_0_where_nothing_is():
  codes = jnp.asarray([[2., 0., 0.3, -1.], [1., 1., 0., 1.]])
  assert CODES.entropy == pytest.approx(2 * np.log(3))
  seen = np.concatenate([50. * np.eye(3)[[2, 0]].reshape(1, -1), 50. * np.eye(3)[[1, 1]].reshape(1, -1)])
  rest = np.zeros((2, 4))
  bound = lambda logits: CODES.categorical_information(jnp.concatenate([logits, rest], axis=1), codes)
  np.testing.assert_allclose(bound(seen), CODES.entropy, rtol=1e-6)
  np.testing.assert_allclose(bound(np.zeros((2, 6))), 0, atol=1e-6)
  assert (np.asarray(bound(-seen)) < -10).all()
  accuracy = CODES.accuracy(jnp.concatenate([seen[[0, 0]], rest], axis=1), codes)
  np.testing.assert_array_equal(accuracy, [1., 0.])


def test_the_bound_of_a_noisy_channels_posterior_is_its_information():
  # An image shows one code's value with probability 1 - p, else another; Q is the posterior.
  codes, p = LatentCodes(1, 4, 0), 0.3
  channel = np.full((4, 4), p / 3) + np.eye(4) * (1 - p - p / 3)   # [code, shown]
  asked, shown = np.divmod(np.arange(16), 4)
  bound = codes.categorical_information(jnp.log(channel[:, shown].T), jnp.asarray(asked[:, None], jnp.float32))
  information = np.log(4) + (1 - p) * np.log(1 - p) + p * np.log(p / 3)
  np.testing.assert_allclose((np.asarray(bound) * channel[asked, shown] / 4).sum(), information, rtol=1e-5)


def test_the_continuous_bound_is_the_gaussians():
  rng = np.random.default_rng(0)
  codes, mean, log_variance = rng.uniform(-1, 1, (5, 4)), rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
  bound = lambda log_variance: CODES.continuous_information(
      jnp.concatenate([np.zeros((5, 6)), mean, log_variance], axis=1), jnp.asarray(codes))
  expected = lambda log_variance: (np.log(2) + norm.logpdf(codes[:, 2:], mean, np.exp(log_variance / 2))).sum(1)
  np.testing.assert_allclose(bound(log_variance), expected(log_variance), rtol=1e-4)
  floor = np.full((5, 2), MIN_LOG_VARIANCE)
  np.testing.assert_allclose(bound(floor - 9), expected(floor), rtol=1e-4)


# The networks


def count(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_networks_are_the_published_ones():
  pytest.importorskip('torch', reason='the twins are written in PyTorch: pip install torch')
  twins, two_headed = (importlib.import_module(f'benchmarks.{name}') for name in ('twins', 'two_headed_twins'))
  config = importlib.import_module('configs.infogan_celeba').get_config()
  params = families.create(config, Spec('made', (64, 64, 3))).networks()
  layers = [(width, 4, 2, 1) for width in (64, 128, 256, 512)]
  critic = two_headed.TwoHeadedCritic(3, layers, 16, 100)
  generator = twins.generator(128 + 100, (448, 1024, 512, 256, 128), 3, side=2)
  ours = count(params['critic']), count(params['q_head']), count(params['generator'])
  theirs = [sum(p.numel() for p in modules.parameters()) for modules in (critic, critic.further, generator)]
  assert ours == (theirs[0] - theirs[1], theirs[1], theirs[2])
  module = networks.generator(config.model.generator, (64, 64, 3))
  shapes = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), jnp.zeros((1, 228)), train=False))
  assert shapes[0].shape == (1, 64, 64, 3) and shapes[1]['params']['layer_0']['kernel'].shape == (228, 448 * 2 * 2)


# The losses


WEIGHTS = 0.7, 0.2


def infogan(**settings):
  still = {'codes.categorical_weight': WEIGHTS[0], 'codes.continuous_weight': WEIGHTS[1], 'ema_decay': 0.,
           'q_optimizer.name': 'sgd', 'q_optimizer.learning_rate': 1.}
  return families.create(tiny.infogan(**{f'model.{key}': value for key, value in {**still, **settings}.items()}), SPEC)


@pytest.fixture(scope='module')
def update():
  """What both updates of an InfoGAN compute and leave, with the answers of the critic and its body they start from."""
  family = infogan()
  alone = dataclasses.replace(family, head=dataclasses.replace(family.head, body_learns=False))
  state = jax.jit(family.init)(jax.random.key(3))
  images = np.random.default_rng(0).uniform(-1, 1, (BATCH, 8, 8, 1)).astype(np.float32)
  def both(images):
    codes = family.condition.draw(jax.random.key(5), jnp.zeros(BATCH))
    generated, batch = family.generate(state, jax.random.key(1), codes), {'image': images, 'condition': codes}
    def answers(images):
      of_critic = state.params['critic'], state.model_state['critic']
      return family.run_critic(*of_critic, images, codes, jax.random.key(2))[:2]
    return dict(
        codes=codes, real=answers(images), fake=answers(generated.images),
        critic=family.critic_step(state, batch, generated.images, jax.random.key(2)),
        critic_alone=alone.critic_step(state, batch, generated.images, jax.random.key(2)),
        generator=family.generator_step(state, generated, batch, jax.random.key(2)))
  out = jax.pmap(both, axis_name=AXIS, devices=jax.devices()[:1])(images[None])
  return jax.tree.map(lambda x: np.asarray(x[0], np.float64), out), jax.device_get(state)


def restated(out, start):
  """(nats of the categorical codes, nats of the continuous ones, share told right, gradient of Q's outputs) in numpy.

  The gradient [B, outputs] is that of the loss, a mean over the images.
  """
  head, codes, body = start.params['q_head']['linear'], out['codes'], out['fake'][1]
  outputs = body @ head['kernel'] + head['bias']
  logits, mean, log_variance = outputs[:, :6].reshape(-1, 2, 3), outputs[:, 6:8], outputs[:, 8:]
  probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  one_hot = np.eye(3)[codes[:, :2].astype(int)]
  categorical = 2 * np.log(3) + np.log((probabilities * one_hot).sum(-1)).sum(1).mean()
  continuous = (np.log(2) + norm.logpdf(codes[:, 2:], mean, np.exp(log_variance / 2))).sum(1).mean()
  right = (logits.argmax(-1) == codes[:, :2]).mean()
  off = (codes[:, 2:] - mean) / np.exp(log_variance)
  gradient = np.concatenate([
      WEIGHTS[0] * (probabilities - one_hot).reshape(-1, 6), -WEIGHTS[1] * off,
      WEIGHTS[1] * (1 - off * (codes[:, 2:] - mean)) / 2], axis=1) / BATCH
  return categorical, continuous, right, gradient


def test_losses_are_those_of_the_paper(update):
  out, start = update
  categorical, continuous, right, _ = restated(out, start)
  softplus = lambda x: np.log1p(np.exp(x)).mean()
  information = -WEIGHTS[0] * categorical - WEIGHTS[1] * continuous
  judged = {'critic': softplus(-out['real'][0]) + softplus(out['fake'][0]), 'generator': softplus(-out['fake'][0])}
  for network, adversarial in judged.items():
    expected = {'adversarial': adversarial, 'weighted_information': information, 'loss': adversarial + information,
                'information': categorical, 'information_maximum': 2 * np.log(3), 'code_accuracy': right,
                'continuous_information': continuous}
    for name, value in expected.items():
      np.testing.assert_allclose(out[network][1][name], value, rtol=1e-4, atol=1e-6, err_msg=f'{network}/{name}')
  alone = out['critic_alone'][1]
  np.testing.assert_allclose(alone['loss'], judged['critic'], rtol=1e-4)
  assert not [name for name in alone if 'information' in name or 'code' in name]


def test_q_descends_the_gradient_of_the_bound(update):
  out, start = update
  gradient = restated(out, start)[-1]
  before, after = (state.params['q_head']['linear'] for state in (start, out['generator'][0]))
  for name, expected in (('kernel', out['fake'][1].T @ gradient), ('bias', gradient.sum(0))):
    np.testing.assert_allclose(before[name] - after[name], expected, rtol=1e-3, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(('which', 'moved'), [
    ('critic', {'critic'}), ('critic_alone', {'critic'}), ('generator', {'generator', 'q_head'})])
def test_each_update_moves_its_own_networks_alone(update, which, moved):
  out, start = update
  state = out[which][0]
  of = lambda state, name: jax.tree.leaves((state.params[name], state.opt_state[name], state.model_state.get(name)))
  for name in start.params:
    same = [np.array_equal(now, np.asarray(before, np.float64))
            for now, before in zip(of(state, name), of(start, name), strict=True)]
    assert not any(same) if name in moved else all(same), name


def test_the_body_learns_from_the_bound_where_it_is_asked_to(update):
  with_codes, alone = (update[0][name][0].params['critic'] for name in ('critic', 'critic_alone'))
  np.testing.assert_array_equal(with_codes['layer_2']['kernel'], alone['layer_2']['kernel'])   # D's head
  assert (with_codes['layer_0']['kernel'] != alone['layer_0']['kernel']).any()


def test_every_update_of_the_critic_has_codes_of_its_own_and_samples_take_those_they_are_given():
  family = infogan()
  seen = []
  class Recording(type(family)):
    def generate(self, state, key, condition):
      seen.append(condition)
      return super().generate(state, key, condition)
  family = Recording(**{field.name: getattr(family, field.name) for field in dataclasses.fields(family)})
  state = jax.jit(family.init)(jax.random.key(0))
  batches = {'image': np.zeros((2, BATCH, 8, 8, 1), np.float32), 'label': np.zeros((2, BATCH), np.int32)}
  given = np.tile(np.float32([1, 2, 0.5, -0.5]), (BATCH, 1))
  def both(batches):
    jax.eval_shape(lambda: family.train_step(state, batches, jax.random.key(0)))
    codes = jax.vmap(lambda key: family.condition.draw(key, jnp.zeros(BATCH)))(jax.random.split(jax.random.key(0), 2))
    same, drawn = (family.sample_codes(state, jax.random.key(1), given) for _ in range(2))
    return codes, same, drawn, family.sample(state, jax.random.key(1), batches['label'][0])
  codes, same, again, random = jax.tree.map(lambda x: np.asarray(x[0]), jax.pmap(
      both, AXIS, devices=jax.devices()[:1])({name: x[None] for name, x in batches.items()}))
  assert {codes.shape for codes in seen} == {(BATCH, 4)}
  assert len(np.unique(codes[..., 2])) == 2 * BATCH
  np.testing.assert_array_equal(same, again)
  assert (same != random).any(axis=(1, 2, 3)).all() and (same[0] != same[1]).any()   # other noise at each place


@pytest.mark.parametrize(('codes', 'message'), [
    ({'categorical': 0, 'continuous': 0, 'categorical_weight': 1., 'num_values': 10}, 'an InfoGAN needs a code'),
    ({'num_values': 1}, 'config.model.codes.num_values is 1; expected a whole number, at least 2')])
def test_codes_that_cannot_be_are_refused(codes, message):
  with pytest.raises(UserError, match=message) as caught:
    infogan(**{f'codes.{key}': value for key, value in codes.items()})
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(('categorical', 'continuous'), [(0, 1), (1, 0)])
def test_codes_of_one_kind_are_enough(categorical, continuous):
  of_categorical = {} if categorical else {'codes.categorical_weight': 1., 'codes.num_values': 10}   # not read
  family = infogan(**{'codes.categorical': categorical, 'codes.continuous': continuous, **of_categorical})
  outputs, codes = jnp.ones((BATCH, family.latent_codes.num_outputs)), jnp.zeros((BATCH, family.latent_codes.size))
  assert family.networks()['q_head']['linear']['bias'].shape == (outputs.shape[1],)
  head = {'q_head': {'linear': {'kernel': jnp.eye(outputs.shape[1]), 'bias': jnp.zeros(outputs.shape[1])}}}
  _, watched = family.head.information(head, outputs, codes)
  assert ('information' in watched, 'continuous_information' in watched) == (bool(categorical), bool(continuous))


# Evaluators


class Drawer:
  """A model whose images are what `pixel` says of codes [n, M + N] and places [n]."""

  def __init__(self, codes, pixel):
    self.family, self.pixel = types.SimpleNamespace(latent_codes=codes, num_classes=0), pixel

  def sample_codes(self, codes, seed):
    values = self.pixel(codes, np.arange(len(codes)))
    return np.broadcast_to(values[:, None, None, None], (len(codes), 8, 8, 1)).astype(np.uint8)


def test_a_grid_varies_one_code_and_nothing_else():
  codes = LatentCodes(2, 3, 1)
  # Places 0 to 3 have noise of their own; the codes are told apart by their weight.
  model = Drawer(codes, lambda c, place: 4 * c[:, 0] + 12 * c[:, 1] + 50 * (c[:, 2] + 1) + 100 * (place % 2))
  measured = EVALUATORS['code_grid'](num_rows=2, num_values=5).measure(model, None, 3)
  assert list(measured.grids) == ['code_grid_0', 'code_grid_1', 'code_grid_2']
  for name, columns, step in (('code_grid_0', 3, 4), ('code_grid_1', 3, 12), ('code_grid_2', 5, 25)):
    grid = measured.grids[name]
    assert grid.columns == columns
    values = grid.images[:, 0, 0, 0].reshape(2, columns).astype(int)
    np.testing.assert_allclose(np.diff(values, axis=1), step, atol=1)
    assert values[0, 0] != values[1, 0]
  np.testing.assert_allclose(measured.numbers['change_by_code'],
                             [np.std([0, s, 2 * s]) / 127.5 for s in (4, 12)] + [np.std(25 * np.arange(5)) / 127.5],
                             atol=0.005)


@pytest.fixture(scope='module')
def digits():
  """(the data set that the classifier learns from, {label: other images of the same digit})."""
  published = load_digits()
  images = (published.images * 255 / 16).astype(np.uint8)[..., None]
  dataset = Dataset(Spec('made', (8, 8, 1), 10), images[:1_200], published.target[:1_200].astype(np.int32), 'in a test')
  return dataset, {label: images[1_200:][published.target[1_200:] == label] for label in range(10)}


def test_information_of_codes_and_classes(digits):
  dataset, unseen = digits
  codes = LatentCodes(2, 10, 0)
  evaluator = create({'code_classes': {'num_real': 1_200, 'num_generated': 600}}, dataset.spec,
                     types.SimpleNamespace(latent_codes=codes, num_classes=0, sample_codes=print))['code_classes']
  def measure(shown):
    class Digits(Drawer):
      def sample_codes(self, codes, seed):
        rng = np.random.default_rng(seed)
        return np.stack([rng.choice(unseen[int(shown(code))]) for code in codes])
    return evaluator.measure(Digits(codes, None), Splits(dataset), 7).numbers
  turned = measure(lambda code: (code[1] + 3) % 10)   # the second code, its values under other names
  assert turned['best_code'] == 1 and turned['nmi'] == turned['nmi_per_code'][1] > 0.9
  assert turned['nmi_per_code'][0] < 0.1
  # Pairs of values show one digit: I = H(digit) = log 5 beside H(code) = log 10.
  halved = measure(lambda code: code[1] // 2)
  assert halved['nmi'] == pytest.approx(2 * np.log(5) / (np.log(5) + np.log(10)), abs=0.04)
  assert sum(halved['class_shares'][:5]) > 0.93   # the classifier errs, too
  assert measure(lambda code: 4)['nmi'] < 0.1


@pytest.mark.parametrize(('spec', 'codes', 'name', 'message'), [
    (Spec('faces', (8, 8, 1)), CODES, 'code_classes', "data set 'faces' has no labels to compare codes with"),
    (SPEC, LatentCodes(0, 10, 2), 'code_classes', 'the model has no categorical code'),
    (SPEC, None, 'code_grid', 'needs a model that can sample_codes')])
def test_evaluators_say_what_they_lack(spec, codes, name, message):
  family = infogan() if codes else families.create(tiny.dcgan(), SPEC)
  family = dataclasses.replace(family, condition=Codes(codes)) if codes else family
  settings = {'code_classes': {'num_real': 100, 'num_generated': 10}, 'code_grid': {'num_rows': 1, 'num_values': 2}}
  with pytest.raises(UserError, match=message):
    create({name: settings[name]}, spec, family)
