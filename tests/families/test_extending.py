"""A family added by the recipe of docs/extending.md: a picture that is learned, plus normal noise."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jgen
from jgen import families, recipes
from jgen.commands import train
from jgen.families import Kind, optimizers, train_state
from jgen.families.base import Family
from jgen.families.optimizers import Optimizer
from jgen.keys import key, section
from jgen.parallel import per_image


class Picture(nn.Module):
  """One learned image [1, H, W, C] for all inputs."""

  shape: tuple[int, int, int]

  @nn.compact
  def __call__(self, train):
    del train
    return jnp.tanh(self.param('picture', nn.initializers.zeros, (1, *self.shape)))


@dataclasses.dataclass(frozen=True)
class Keys:
  """The keys of the mean image."""

  noise: float = key(0.1, 'standard deviation of the pixels of samples', at_least=0)
  optimizer: Optimizer = section(Optimizer, 'of the picture', learning_rate=0.1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeanImage(Family):
  """The image with the least squared error from all images, and noise around it."""

  network: Picture
  optimizer: optax.GradientTransformation
  noise: float

  def init(self, key):
    return train_state.create(key, {'mean': self.network}, {'mean': ()}, {'mean': self.optimizer})

  def train_step(self, state, batches, key):
    del key
    def loss(params):
      picture, _ = train_state.apply(self.network, params, state.model_state['mean'], train=True)
      return jnp.square(batches['image'][0] - picture).mean()
    value, gradients = jax.value_and_grad(loss)(state.params['mean'])
    state, _ = train_state.apply_gradients(state, 'mean', gradients, self.optimizer)
    return state, {'mean/loss': value}

  def sample(self, state, key, labels):
    picture, _ = train_state.apply(self.network, state.params['mean'], state.model_state['mean'], train=False)
    noise = per_image(key, len(labels), lambda k: jax.random.normal(k, self.network.shape))
    return jnp.clip(picture + self.noise * noise, -1., 1.)


def create(model, spec):
  return MeanImage(network=Picture(spec.image_shape), optimizer=optimizers.create(model.optimizer), noise=model.noise)


@pytest.fixture
def config(monkeypatch):
  monkeypatch.setitem(families.FAMILIES, 'mean_image', Kind(Keys, create))
  monkeypatch.setitem(families.KEYS, 'mean_image', Keys)
  config = recipes.run_of('mean_image')
  config.update(num_steps=60, batch_size=64, log_every_steps=20, sample_every_steps=60, checkpoint_every_steps=60,
                report=False, loggers=())
  config.data.name, config.data.image_size = 'digits', 8
  return config


def test_a_family_of_sixty_lines_trains_resumes_and_samples(config, tmp_path):
  train.run(config, tmp_path / 'run', 'python launch.py')
  rows = (tmp_path / 'run/metrics.csv').read_text().splitlines()
  assert 'mean/loss' in rows[0] and len(rows) == 4
  samples = jgen.load(tmp_path / 'run').sample(200, seed=0)
  from sklearn.datasets import load_digits
  mean = load_digits().images[..., np.newaxis].mean(0) * 255 / 16
  assert np.abs(samples.mean(0) - mean).mean() < 10 and samples.std(0).mean() == pytest.approx(12, abs=6)
  with config.unlocked():
    config.num_steps = 120
  train.run(config, tmp_path / 'run', 'python launch.py')
  assert len((tmp_path / 'run/metrics.csv').read_text().splitlines()) == 7
