"""The DCGAN's networks against PyTorch twins written from the layers as they are published."""

import jax
import numpy as np
import pytest

from configs import common
from jgen import networks

torch = pytest.importorskip('torch', reason='the twins are written in PyTorch: pip install torch')
twins = pytest.importorskip('benchmarks.twins')
nn = torch.nn


def kernels(twin):
  return [layer.weight.detach().numpy() for layer in twin if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]


def count(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_generator_is_the_published_one():
  module = networks.generator(common.gan().generator, (64, 64, 3))
  latents = np.random.default_rng().normal(size=(4, 110)).astype(np.float32)
  variables = module.init(jax.random.key(0), latents, train=False)
  twin = twins.generator(110, (512, 256, 128, 64), 3).train()
  assert count(variables['params']) == sum(p.numel() for p in twin.parameters())

  params = dict(variables['params'])
  first, *rest = kernels(twin)
  params['layer_0'] = {'kernel': first.transpose(0, 2, 3, 1).reshape(110, -1)}
  for i, kernel in enumerate(rest, start=1):   # PyTorch [in, out, 4, 4]
    params[f'layer_{i}'] = {'kernel': kernel.transpose(2, 3, 1, 0)}
  images = run_trained(module, {**variables, 'params': params}, latents)
  expected = twin(torch.tensor(latents)[:, :, None, None]).detach().numpy().transpose(0, 2, 3, 1)
  assert images.shape == (4, 64, 64, 3)
  np.testing.assert_allclose(images, expected, atol=2e-5)


@pytest.mark.parametrize('normalization', ['batch', 'none'])
def test_critic_is_the_published_one(normalization):
  section = common.gan().critic
  section.normalization = normalization
  module = networks.critic(section, (64, 64, 3))
  images = np.random.default_rng().uniform(-1, 1, (4, 64, 64, 13)).astype(np.float32)   # 3 colours, 10 classes
  variables = module.init(jax.random.key(0), images, train=False)
  twin = twins.critic(13, (64, 128, 256, 512), normalization == 'batch').train()
  assert count(variables['params']) == sum(p.numel() for p in twin.parameters())

  params = dict(variables['params'])
  *hidden, last = kernels(twin)
  for i, kernel in enumerate(hidden):           # PyTorch [out, in, 4, 4]
    params[f'layer_{i}'] = {'kernel': kernel.transpose(2, 3, 1, 0)}
  params['layer_4'] = {'kernel': last.transpose(2, 3, 1, 0).reshape(-1, 1)}
  logits = run_trained(module, {**variables, 'params': params}, images)
  expected = twin(torch.tensor(images.transpose(0, 3, 1, 2))).detach().numpy()
  np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=2e-5)


def run_trained(module, variables, inputs):
  """The output in training, where BatchNorm uses the batch's own statistics, on one device."""
  def forward(x):
    return module.apply(variables, x, train=True, mutable=[key for key in variables if key != 'params'])[0]
  return np.asarray(jax.pmap(forward, axis_name='devices', devices=jax.devices()[:1])(inputs[None])[0])
