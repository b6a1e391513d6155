"""Whole trainings of a few steps in float64 follow PyTorch's: its modules, its optimizers, the same weights and noise.

The twins (`benchmarks/twins.py`, `two_headed_twins.py`) are plain PyTorch. They draw their noise by torch.randn and its
like, which here hand out what jgen draws for the same step.
"""

import collections
import math

from helpers import tiny
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgen import families
from jgen.data.spec import Spec
from jgen.parallel import AXIS, per_image

torch = pytest.importorskip('torch', reason='the twins are written in PyTorch: pip install torch')
from_torch = pytest.importorskip('helpers.from_torch')
twins = pytest.importorskip('benchmarks.twins')
two_headed_twins = pytest.importorskip('benchmarks.two_headed_twins')

STEPS, BATCH, SIDE = 3, 6, 8
SPEC = Spec('squares', (SIDE, SIDE, 3), 4)
EQUAL = 1e-9                            # of float64; float32 differs by 1e-6 after one step and more after three


@pytest.fixture(autouse=True)
def double_precision():
  torch.set_default_dtype(torch.float64)
  with jax.enable_x64(True):
    yield
  torch.set_default_dtype(torch.float32)


def on_one_device(function):
  return jax.jit(jax.vmap(function, (None, 0, None), axis_name=AXIS))


def batches(family):
  """{name: [STEPS, K, B, ...]}."""
  rng, shape = np.random.default_rng(0), (STEPS, family.batches_per_step, BATCH)
  return {'image': rng.uniform(-1, 1, (*shape, SIDE, SIDE, 3)), 'label': rng.integers(0, 4, shape, dtype=np.int32)}


def train(family, params, data):
  """(metrics of each step, the last TrainState) of a training from the parameters {network: tree}."""
  with jax.enable_x64(False):
    state = jax.device_get(jax.jit(family.init)(jax.random.key(0)))
  double = lambda x: jnp.asarray(x, jnp.float64 if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype)
  state = jax.tree.map(double, state)
  assert jax.tree.structure(jax.tree.map(jnp.shape, state.params)) == jax.tree.structure(
      jax.tree.map(jnp.shape, params))
  state = state.replace(params=jax.tree.map(jnp.asarray, params))
  step, metrics = on_one_device(family.train_step), []
  for i in range(STEPS):
    new, measured = step(state, {name: x[i][None] for name, x in data.items()}, key_of(i))
    state = jax.tree.map(lambda x: x[0], new).replace(step=state.step + 1)
    metrics.append({name: float(value[0]) for name, value in measured.items()})
  return metrics, state


def key_of(step):
  return jax.random.fold_in(jax.random.key(7), step)


def twin_losses(twin, data, monkeypatch, **noise):
  """What the twin's steps return, as floats, where torch's functions {name: arrays} hand out the noise in its order."""
  for name, arrays in noise.items():
    queue = collections.deque(torch.tensor(np.asarray(x)) for x in arrays)
    monkeypatch.setattr(torch, name, lambda *shape, queue=queue: queue.popleft())
  losses = []
  for images, labels in zip(data['image'], data['label'], strict=True):
    losses.append(twin.step(torch.tensor(images.transpose(0, 1, 4, 2, 3)), torch.tensor(labels).long()))
  return np.array([[float(x) for x in (loss if isinstance(loss, tuple) else (loss,))] for loss in losses])


def assert_equal(ours, theirs, nearly=()):
  """Compares two trees of arrays; those whose names end with one of `nearly` may differ by 1e-6."""
  assert jax.tree.structure(ours) == jax.tree.structure(theirs)
  for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
    name = jax.tree_util.keystr(path)
    equal = 1e-6 if name.endswith(tuple(nearly)) else EQUAL
    np.testing.assert_allclose(a, b, rtol=equal, atol=equal, err_msg=name)


def drawn(keys, draw):
  """What jgen draws for the images of a batch from each of the keys: [B, ...] each."""
  function = on_one_device(lambda key, unused, _: per_image(key, BATCH, draw))
  return [function(key, jnp.zeros((1, 1)), 0)[0] for key in keys]


def update_keys(family):
  """Of each of the critic's updates: (the key of the latents, that of all else)."""
  return [keys for i in range(STEPS) for keys in jax.random.split(key_of(i), (family.batches_per_step, 2))]


def normal(size):
  return lambda key: jax.random.normal(key, (size,))


@pytest.mark.parametrize('name', ['wgan', 'dcgan'])
def test_a_gan_follows_pytorch(name, monkeypatch):
  config = tiny.CONFIGS[name](**{'model.generator.features': (6,), 'model.critic.features': (5,),
                                 'model.generator_optimizer.learning_rate': 1e-2})
  family = families.create(config, SPEC)
  twin, data = twins.GANTrainer(config.model, 4, SIDE), batches(family)
  params = {'generator': from_torch.generator(twin.generator), 'critic': from_torch.critic(twin.critic)}
  metrics, state = train(family, params, data)
  keys = update_keys(family)
  losses = twin_losses(twin, data, monkeypatch, randn=drawn([k[0] for k in keys], normal(5)),
                       rand=drawn([k[1] for k in keys], jax.random.uniform))
  if family.batches_per_step == 1:      # of several updates, the metrics are means and the twin's the last one's
    np.testing.assert_allclose([m['critic/loss'] for m in metrics], losses[:, 0], rtol=EQUAL)
    ours = state.model_state['generator']['batch_stats']
    assert_equal(ours, from_torch.statistics(twin.generator))
  np.testing.assert_allclose([m['generator/loss'] for m in metrics], losses[:, 1], rtol=EQUAL, atol=EQUAL)
  assert_equal(state.params, {'generator': from_torch.generator(twin.generator),
                              'critic': from_torch.critic(twin.critic)})


def test_an_acgan_follows_pytorch(monkeypatch):
  config = tiny.acgan(**{'model.label_input': 'value', 'model.embedding_size': 10, 'model.generator.features': (6,),
                         'model.class_weight': 0.7, 'model.critic.features': (5, 4),
                         'model.generator_optimizer.learning_rate': 1e-2})
  family = families.create(config, SPEC)
  twin, data = two_headed_twins.ACGANTrainer(config.model, 4, SIDE), batches(family)
  read = lambda: {'generator': from_torch.generator(twin.generator),
                  'critic': from_torch.two_headed_critic(twin.critic)}
  metrics, state = train(family, read(), data)
  losses = twin_losses(twin, data, monkeypatch, randn=drawn([k[0] for k in update_keys(family)], normal(5)))
  np.testing.assert_allclose([m['critic/adversarial'] for m in metrics], losses[:, 0], rtol=EQUAL)
  np.testing.assert_allclose([m['generator/loss'] for m in metrics], losses[:, 1], rtol=EQUAL)
  assert_equal(state.params, read())


def test_an_infogan_follows_pytorch(monkeypatch):
  config = tiny.infogan(**{'model.codes.continuous': 0, 'model.critic_steps': 1, 'model.generator.features': (6,),
                           'model.critic.features': (5, 4), 'model.generator_optimizer.learning_rate': 1e-2,
                           'model.q_optimizer.learning_rate': 1e-2, 'model.codes.categorical_weight': 0.7})
  family = families.create(config, SPEC)
  twin, data = two_headed_twins.InfoGANTrainer(config.model, 4, SIDE), batches(family)
  def read():
    critic = from_torch.two_headed_critic(twin.critic, 'linear')
    return {'generator': from_torch.generator(twin.generator), 'q_head': {'linear': critic.pop('linear')},
            'critic': critic}
  metrics, state = train(family, read(), data)
  codes = [jax.jit(jax.vmap(lambda key, _: family.condition.draw(key, jnp.zeros(BATCH)), (None, 0), axis_name=AXIS))(
      jax.random.split(key_of(i), 1)[0], jnp.zeros(1))[0].astype(jnp.int32) for i in range(STEPS)]
  losses = twin_losses(twin, data, monkeypatch, randn=drawn([k[0] for k in update_keys(family)], normal(5)),
                       randint=[np.asarray(x, np.int64) for x in codes])
  np.testing.assert_allclose([m['critic/adversarial'] for m in metrics], losses[:, 0], rtol=EQUAL)
  entropy = 0.7 * 2 * math.log(3)       # the bound is short of it by the twin's cross-entropy
  np.testing.assert_allclose([m['generator/loss'] + entropy for m in metrics], losses[:, 1], rtol=EQUAL)
  assert_equal(state.params, read())


VAES = {   # what the small ones have of vae_celeba and of vae_celeba_gaussian
    'squared_error': {'regularizer.weight': 1e-3, 'decoder.kernel_size': 6, 'decoder.padding': 0,
                      'decoder.features': (6, 5), 'decoder.last_kernel_size': 3, 'decoder.last_stride': 1,
                      'decoder.last_padding': 1, 'decoder.negative_slope': 0.01, 'encoder.features': (5, 6)},
    'gaussian': {'encoder.kernel_size': 3, 'encoder.features': (5, 6), 'decoder.features': (6, 5), 'variance': 0.25}}


@pytest.mark.parametrize('likelihood', list(VAES))
def test_a_vae_follows_pytorch(likelihood, monkeypatch):
  settings = {f'model.{key}': value for key, value in VAES[likelihood].items()}
  config = tiny.vae(**{'model.likelihood': likelihood, 'model.regularizer.name': 'kl',
                       'model.regularizer.free_nats': 0., **settings})
  family = families.create(config, SPEC)
  twin = twins.VAETrainer(config.model, 0, SIDE, variance=0.25)
  family, data = with_variance(family, 0.25), batches(family)
  metrics, state = train(family, {'vae': from_torch.vae(twin)}, data)
  losses = twin_losses(twin, data, monkeypatch, randn_like=drawn([key_of(i) for i in range(STEPS)], normal(5)))
  np.testing.assert_allclose([m['vae/loss'] for m in metrics], losses[:, 0], rtol=EQUAL)
  assert_equal(state.params, {'vae': from_torch.vae(twin)})
  statistics = {'encoder': from_torch.statistics(twin.encoder), 'decoder': from_torch.statistics(twin.decoder)}
  assert_equal(state.model_state['vae']['batch_stats'], statistics)


def with_variance(family, variance):
  """The family with the variance that `init_from_data` would store."""
  class Adapted(type(family)):
    def init(self, key):
      state = super().init(key)
      return state.replace(model_state={**state.model_state, 'likelihood': {'variance': jnp.asarray(variance)}})
  return Adapted(**family.__dict__)


def test_a_vqvae_follows_pytorch(monkeypatch):
  config = tiny.vqvae(**{'model.encoder.features': (5, 6), 'model.decoder.features': (5, 4),
                         'model.encoder.use_bias': True, 'model.decoder.use_bias': True,
                         'model.quantizer.code_size': 3, 'model.quantizer.revive_every_steps': 0})
  family = families.create(config, SPEC)
  twin, data = twins.VQVAETrainer(config.model, 0), batches(family)
  metrics, state = train(family, {'vqvae': from_torch.vqvae(twin)}, data)
  losses = twin_losses(twin, data, monkeypatch)
  np.testing.assert_allclose([m['vqvae/loss'] for m in metrics], losses[:, 0], rtol=EQUAL)
  # The gradient of a bias before BatchNorm is rounding, by whose size Adam divides; the means follow the bias.
  assert_equal(state.params, {'vqvae': from_torch.vqvae(twin)}, nearly=("['bias']",))
  statistics = {'encoder': from_torch.statistics(twin.encoder), 'decoder': from_torch.statistics(twin.decoder)}
  assert_equal(state.model_state['vqvae']['batch_stats'], statistics, nearly=("['mean']",))
