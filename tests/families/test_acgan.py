"""The ACGAN: networks against PyTorch twins, losses against numpy, updates, and the label input of G."""

import importlib

from helpers import tiny
import jax
from jax import numpy as jnp
import numpy as np
import pytest

from jgen import families, networks
from jgen.data.spec import Dataset, Spec, Splits
from jgen.errors import UserError
from jgen.evaluation import EVALUATORS
from jgen.families.acgan import LABEL_INPUTS
from jgen.networks import dcgan
from jgen.parallel import AXIS

SPEC = Spec('squares', (8, 8, 1), 10)
BATCH = 6
WEIGHT = 0.7


# The networks, layer by layer as published


def count(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))


FORMS = {   # config: the critic's (features, kernel, stride, padding) and the pixels of its last map, the generator
    'acgan_celeba_smiling': (
        [(16, 3, 2, 1), (32, 3, 1, 1), (64, 3, 2, 1), (128, 3, 1, 0), (256, 3, 2, 0), (512, 3, 1, 0)], 16,
        (101, (384, 192, 96, 48))),
    'acgan_celeba_wide': (
        [(128, 4, 2, 1), (256, 4, 2, 1), (512, 4, 2, 1), (1024, 4, 2, 1), (64, 4, 1, 0)], 1,
        (101, (1024, 512, 256, 128)))}


@pytest.mark.parametrize('name', list(FORMS))
def test_networks_are_the_published_ones(name):
  torch = pytest.importorskip('torch', reason='the twins are written in PyTorch: pip install torch')
  from helpers import from_torch
  twins, two_headed = (importlib.import_module(f'benchmarks.{name}') for name in ('twins', 'two_headed_twins'))
  layers, map_size, (inputs, features) = FORMS[name]
  config = importlib.import_module(f'configs.{name}').get_config()
  params = families.create(config, Spec('made', (64, 64, 3), 2)).networks()
  twin = two_headed.TwoHeadedCritic(3, layers, map_size, 2).train()
  assert count(params['critic']) == sum(p.numel() for p in twin.parameters())
  assert count(params['generator']) == sum(p.numel() for p in twins.generator(inputs, features, 3).parameters())

  section = config.model.critic
  section.dropout = 0.                  # each side would drop others
  module = networks.critic(section, (64, 64, 3), dcgan.ClassifyingCritic, num_classes=2)
  images = np.random.default_rng().uniform(-1, 1, (4, 64, 64, 3)).astype(np.float32)
  variables = {'params': from_torch.two_headed_critic(twin)}
  def forward(x):
    return module.apply(variables, x, train=True, mutable=['batch_stats'])[0]
  outputs = jax.pmap(forward, AXIS, devices=jax.devices()[:1])(images[None])
  for ours, theirs in zip(outputs, twin(torch.tensor(images.transpose(0, 3, 1, 2))), strict=True):
    np.testing.assert_allclose(ours[0], theirs.detach().numpy(), rtol=1e-3, atol=2e-4)


def test_the_small_ones_have_the_layers_of_their_dcgan_and_a_second_head():
  sizes = {name: families.create(importlib.import_module(f'configs.{name}').get_config(), Spec('made', (64, 64, 3), 2))
           for name in ('acgan_celeba_male', 'dcgan_celeba_small')}
  acgan, plain = ({name: count(params) for name, params in family.networks().items()} for family in sizes.values())
  assert acgan['critic'] == plain['critic'] + 8192 * 2 + 2
  assert acgan['generator'] == plain['generator'] + 8192   # one label's weights


# The losses


@pytest.fixture(scope='module')
def update():
  """What both updates of an ACGAN compute and leave, with the critic's answers that they start from."""
  family = families.create(tiny.acgan(**{'model.class_weight': WEIGHT, 'model.ema_decay': 0.}), SPEC)
  state = jax.jit(family.init)(jax.random.key(3))
  rng = np.random.default_rng(0)
  batch = {'image': rng.uniform(-1, 1, (BATCH, 8, 8, 1)).astype(np.float32),
           'condition': rng.integers(0, 10, BATCH, dtype=np.int32)}
  def both(batch):
    labels = batch['condition']
    generated = family.generate(state, jax.random.key(1), labels)
    def answers(images):
      of_critic = state.params['critic'], state.model_state['critic']
      return family.run_critic(*of_critic, images, labels, jax.random.key(2))[:2]
    return dict(
        real=answers(batch['image']), fake=answers(generated.images),
        critic=family.critic_step(state, batch, generated.images, jax.random.key(2)),
        generator=family.generator_step(state, generated, batch, jax.random.key(2)))
  out = jax.pmap(both, axis_name=AXIS, devices=jax.devices()[:1])({k: v[None] for k, v in batch.items()})
  return jax.tree.map(lambda x: np.asarray(x[0], np.float64), out), jax.device_get(state), batch['condition']


def cross_entropy(logits, labels):
  return (np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]).mean()


def test_losses_are_those_of_the_paper(update):
  out, _, labels = update
  (real_logits, of_real), (fake_logits, of_fake) = out['real'], out['fake']
  softplus = lambda x: np.log1p(np.exp(x)).mean()
  real_class, fake_class = cross_entropy(of_real, labels), cross_entropy(of_fake, labels)
  expected = {
      'critic': {'adversarial': softplus(-real_logits) + softplus(fake_logits),
                 'weighted_class_loss': WEIGHT * (real_class + fake_class),
                 'real_class_loss': real_class, 'fake_class_loss': fake_class,
                 'real_class_accuracy': (of_real.argmax(1) == labels).mean(),
                 'fake_class_accuracy': (of_fake.argmax(1) == labels).mean()},
      'generator': {'adversarial': softplus(-fake_logits), 'weighted_class_loss': WEIGHT * fake_class}}
  for network, terms in expected.items():
    metrics = out[network][1]
    for name, value in terms.items():
      np.testing.assert_allclose(metrics[name], value, rtol=1e-4, atol=1e-7, err_msg=f'{network}/{name}')
    total = metrics['adversarial'] + metrics['weighted_class_loss']
    np.testing.assert_allclose(metrics['loss'], total, rtol=1e-5)


@pytest.mark.parametrize(('network', 'other'), [('critic', 'generator'), ('generator', 'critic')])
def test_each_update_moves_its_own_network_alone(update, network, other):
  out, start, _ = update
  state = out[network][0]
  of = lambda state, name: jax.tree.leaves((state.params[name], state.opt_state[name], state.model_state[name]))
  for name, moves in ((network, True), (other, False)):
    for now, before in zip(of(state, name), of(start, name), strict=True):
      assert np.array_equal(now, np.asarray(before, np.float64)) != moves


# The label


def test_the_critic_is_not_told_the_label_and_the_generator_is():
  family = families.create(tiny.acgan(), SPEC)
  images, labels = jnp.ones((2, 8, 8, 1)), jnp.arange(2)
  assert family.condition.critic_input(images, labels) is images
  assert family.condition.generator_input(jnp.zeros((2, 5)), labels).shape == (2, 15)


@pytest.mark.parametrize(('name', 'num_classes', 'expected'), [
    ('value', 2, [[0.], [1.]]), ('value', 5, [[0.], [0.25], [0.5], [0.75], [1.]]), ('one_hot', 3, np.eye(3)),
    ('embedding', 3, np.eye(3))])
def test_labels_as_numbers(name, num_classes, expected):
  np.testing.assert_array_equal(LABEL_INPUTS[name].encode(jnp.arange(num_classes), num_classes), expected)


@pytest.mark.parametrize(('name', 'inputs'), [('one_hot', 5 + 10), ('value', 5 + 1), ('embedding', 5 + 3)])
def test_the_generator_has_as_many_inputs_as_the_label_takes(name, inputs):
  config = tiny.acgan(**{'model.label_input': name, 'model.embedding_size': 3 if name == 'embedding' else 10})
  params = families.create(config, SPEC).networks()['generator']
  assert params['layer_0']['kernel'].shape == (inputs, 2 * 2 * 12)
  assert ('label_embedding' in params) == (name == 'embedding')


def test_an_embedding_is_a_vector_for_each_label_beside_the_noise():
  config = tiny.acgan(**{'model.generator.normalization': 'none'})
  embedding = families.create(config, SPEC)
  noise, labels = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32), np.array([0, 3, 3, 9])
  latents = embedding.condition.generator_input(noise, labels)
  params = embedding.generator.init(jax.random.key(0), latents, train=False)['params']
  table = np.asarray(params['label_embedding'])
  images = embedding.generator.apply({'params': params}, latents, train=False)
  plain = networks.generator(config.model.generator, (8, 8, 1))
  rest = {name: layer for name, layer in params.items() if name != 'label_embedding'}
  expected = plain.apply({'params': rest}, np.concatenate([noise, table[labels]], axis=1), train=False)
  np.testing.assert_allclose(images, expected, atol=1e-5)


@pytest.mark.parametrize(('settings', 'num_classes', 'message'), [
    ({}, 0, 'the data set squares has none; choose an annotation'),
    ({}, 1, 'the data set squares has 1; choose an annotation'),
    ({'label_input': 'values'}, 2, "config.model.label_input: 'values' is not known; did you mean 'value'"),
    ({'embedding_size': 0}, 2, 'config.model.embedding_size is 0; expected a whole number, at least 1'),
    ({'critic.strides': (2, 2, 2)}, 2, '2 features, 3 strides and 0 paddings; give the same number'),
    ({'critic.strides': (2, 2), 'critic.paddings': (0, 0)}, 2, 'cannot apply its 4 x 4 kernel to an image of 3 x 3')])
def test_what_cannot_work_is_refused(settings, num_classes, message):
  config = tiny.acgan(**{f'model.{key}': value for key, value in settings.items()})
  with pytest.raises(UserError, match=message) as caught:
    families.create(config, Spec('squares', (8, 8, 1), num_classes)).networks()
  assert '\n' not in str(caught.value)


# Pairs


class Drawer:
  """A model whose images are a number of their place in the call, the seed and the label."""

  def __init__(self, by_place, by_label):
    self.by_place, self.by_label = by_place, by_label

  def sample(self, labels, seed):
    values = seed + self.by_place * np.arange(len(labels)) + self.by_label * np.asarray(labels)
    return np.broadcast_to(values[:, None, None, None], (len(labels), 8, 8, 1)).astype(np.uint8)


def test_pairs_have_the_latents_of_a_column_and_the_label_of_a_row():
  spec = Spec('faces', (8, 8, 1), 2, ('no', 'yes'))
  splits = Splits(Dataset(spec, np.zeros((2, 8, 8, 1), np.uint8), np.zeros(2, np.int32), 'made in a test'))
  measured = EVALUATORS['attribute_pairs'](num_pairs=3).measure(Drawer(10, 100), splits, 7)
  grid = measured.grids['attribute_pairs']
  assert grid.images[:, 0, 0, 0].tolist() == [7, 17, 27, 107, 117, 127] and grid.columns == 3
  assert grid.row_names == ('no', 'yes')
  assert measured.numbers['change_by_label'] == pytest.approx(50 / 127.5)
  assert measured.numbers['change_by_latents'] == pytest.approx(np.std([0, 10, 20]) / 127.5)


def test_a_model_draws_the_same_latents_for_every_label():
  family = families.create(tiny.acgan(), SPEC)
  drawn = jax.pmap(lambda labels: family.latents(jax.random.key(0), labels), AXIS, devices=jax.devices()[:1])
  off, on = (np.asarray(drawn(np.full((1, 4), label)))[0] for label in (0, 1))
  np.testing.assert_array_equal(off[:, :5], on[:, :5])
  assert (off[:, 5:] != on[:, 5:]).any() and len(np.unique(off[:, 0])) == 4


def test_pairs_need_a_model_that_is_told_the_class():
  family = families.create(tiny.dcgan(**{'model.conditional': False}), SPEC)
  with pytest.raises(UserError, match='config.evaluators.attribute_pairs: the model is not conditioned'):
    EVALUATORS['attribute_pairs'](num_pairs=3).check(SPEC, family)
