"""The six VAEs' networks, objectives and gradients against PyTorch twins written from the layers as published."""

import importlib

from flax import jax_utils
from helpers import tiny
import jax
import numpy as np
import pytest

from jgen import families
from jgen.data.spec import Dataset, Spec
from jgen.errors import UserError
from jgen.parallel import AXIS
from jgen.training import step

torch = pytest.importorskip('torch', reason='the twins are written in PyTorch: pip install torch')
twins = pytest.importorskip('benchmarks.twins')
from_torch = pytest.importorskip('helpers.from_torch')
nn = torch.nn

CHANNELS = {'vae_celeba': 3, 'vae_celeba_small': 3, 'vae_celeba_fullyconv': 3, 'vae_celeba_gaussian': 3, 'vae_anime': 3,
            'vae_dsprites': 1}
# What PyTorch counts for the layers that the reports print, or as counted by hand from them; the others are checked
# against the twins alone, which are made from the same sections.
PUBLISHED = {'vae_celeba': 8_538_339, 'vae_celeba_fullyconv': 13_965_251, 'vae_celeba_gaussian': 2_364_515,
             'vae_dsprites': 2_363_361}


def section_of(name):
  return importlib.import_module(f'configs.{name}').get_config().model


def count(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize('name', list(CHANNELS))
def test_parameters_are_as_many_as_pytorch_counts(name):
  section = section_of(name)
  config = importlib.import_module(f'configs.{name}').get_config()
  params = families.create(config, Spec('made', (64, 64, CHANNELS[name]))).networks()
  section.likelihood, section.optimizer.name = 'gaussian', 'adam'   # the twin's, which have no parameters
  expected = sum(p.numel() for p in twins.VAETrainer(section, 0, 64, CHANNELS[name]).network.parameters())
  assert count(params) == expected == PUBLISHED.get(name, expected)


def small(name):
  """A config of the same layers with few channels and latents, trained by plain descent at rate 1."""
  config = importlib.import_module(f'configs.{name}').get_config()
  model = config.model
  model.latent_size = 6
  for network in (model.encoder, model.decoder):
    network.features = tuple(width // 16 for width in network.features)
  model.optimizer.name = 'adam'          # for the twin
  return config


@pytest.mark.parametrize('name', ['vae_celeba', 'vae_celeba_small', 'vae_celeba_fullyconv', 'vae_dsprites'])
def test_one_step_is_pytorchs(name):
  torch.manual_seed(0)                  # where a ReLU is at its corner, the two round to different sides
  config, channels, rng = small(name), CHANNELS[name], np.random.default_rng(0)
  images = rng.integers(0, 256, (4, 64, 64, channels), np.uint8)
  dataset = Dataset(Spec('made', (64, 64, channels)), images, np.zeros(4, np.int32), 'made in a test')
  variance = float(np.var(images / 127.5 - 1))
  twin = twins.VAETrainer(config.model, 0, 64, channels, variance)
  config.model.optimizer.update(name='sgd', learning_rate=1., b1=0.5)   # b1, which it does not read, as by default
  family, first, key = families.create(config, dataset.spec), jax.devices()[:1], jax.random.key(5)
  state = family.init_from_data(jax.jit(family.init)(key), dataset)
  start = jax.tree.map(np.array, from_torch.vae(twin))
  assert jax.tree.structure(start) == jax.tree.structure(dict(state.params['vae']))
  state = jax_utils.replicate(state.replace(params={'vae': start}), first)
  state, metrics = step.make_dispatch(family, devices=first)(
      state, {'image': images[None, None, None], 'label': np.zeros((1, 1, 1, 4), np.int32)}, key)

  noise = jax.pmap(lambda _: family.noise(jax.random.fold_in(key, 0), 4), AXIS, devices=first)(np.zeros(1))[0]
  x = torch.tensor(images.transpose(0, 3, 1, 2) / np.float32(127.5) - 1)
  mean, log_variance = twin.encoder(x).chunk(2, 1)
  output = twin.decoder(mean + (log_variance / 2).exp() * torch.tensor(np.array(noise)))
  kl = twins.kl_divergence(mean, log_variance)
  loss = twins.VAE_LOSSES[config.model.likelihood](output, x, kl, config.model.regularizer.weight, variance)
  loss.backward()
  measured = {metric: float(value[0, 0]) for metric, value in metrics.items()}
  np.testing.assert_allclose(measured['vae/loss'], loss.item(), rtol=1e-4)
  np.testing.assert_allclose(measured['vae/kl'], kl.mean().item(), rtol=1e-4)
  np.testing.assert_allclose(measured['vae/mse'], ((output - x)**2).mean().item(), rtol=1e-4)
  expected = from_torch.vae(twin, lambda tensor: tensor.grad.numpy())
  end = jax.tree.map(lambda x: np.asarray(x)[0], state.params['vae'])
  # A difference of parameters has their rounding; the gradient of a bias before BatchNorm is nothing else.
  floor = 1e-2 * max(np.abs(gradient).max() for gradient in jax.tree.leaves(expected))
  for (path, gradient), before, after in zip(jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(start),
                                             jax.tree.leaves(end), strict=True):
    scale = max(np.abs(gradient).max(), 1e-3 * np.abs(before).max(), floor)
    np.testing.assert_allclose(before - after, gradient, atol=2e-3 * scale, err_msg=jax.tree_util.keystr(path))


def test_initial_values_have_the_bounds_of_pytorch():
  """Of the fully convolutional decoder's first layer too: to 256 channels of 4x4, for PyTorch a fan-in of 4,096."""
  config = importlib.import_module('configs.vae_celeba_fullyconv').get_config()
  family = families.create(config, Spec('made', (64, 64, 3)))
  params = jax.jit(family.init)(jax.random.key(0)).params['vae']
  kernel = np.abs(params['decoder']['layer_0']['kernel'])
  bound = float(nn.ConvTranspose2d(1024, 256, 4).weight.detach().abs().max())
  assert kernel.shape == (1024, 4096) and bound == pytest.approx(1 / 64, rel=1e-3)
  np.testing.assert_allclose(kernel.max(), bound, rtol=1e-3)


@pytest.mark.parametrize(('changes', 'words'), [
    ({'decoder.features': ()}, 'decoder.features is empty'), ({'decoder.last_stride': 0}, 'last_stride is 0; expected'),
    ({'encoder.kernel_size': 5}, 'encoder.kernel_size is 5; expected a whole number, from 3 to 4'),
    ({'encoder.features': (0, 8)}, r'\(0, 8\); expected a tuple')])
def test_layers_that_cannot_be_are_refused(changes, words):
  config = tiny.vae()
  config.model.update_from_flattened_dict(changes)
  with pytest.raises(UserError, match=words):
    families.create(config, Spec('made', (16, 16, 1))).networks()
