"""The VQ-VAE of Tiny ImageNet against a PyTorch twin written from the layers as published."""

from flax import jax_utils
import jax
import numpy as np
import pytest

from configs import vqvae_tiny_imagenet
from jgen import families
from jgen.data.spec import Spec
from jgen.families.vqvae import codebook_of
from jgen.training import step

torch = pytest.importorskip('torch', reason='the twins are written in PyTorch: pip install torch')
twins = pytest.importorskip('benchmarks.twins')
from_torch = pytest.importorskip('helpers.from_torch')


def count(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_parameters_are_as_many_as_pytorch_counts():
  config = vqvae_tiny_imagenet.get_config()
  family = families.create(config, Spec('made', (64, 64, 3)))
  assert (family.latent_shape, family.codes_per_image) == ((4, 4, 128), 128)
  expected = sum(p.numel() for p in twins.VQVAETrainer(config.model, 0).network.parameters())
  assert count(family.networks()) == expected == 345_523


@pytest.mark.parametrize('grouping', ['positions', 'maps'])
def test_one_step_is_pytorchs(grouping):
  config = vqvae_tiny_imagenet.get_config()
  model = config.model
  model.encoder.features, model.decoder.features = (4, 6, 8, 32), (8, 6, 4, 4)
  model.quantizer.codebook_size, model.quantizer.grouping, model.quantizer.init_images = 20, grouping, 0
  images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
  torch.manual_seed(0)
  twin = twins.VQVAETrainer(model, 0)
  model.optimizer.name, model.optimizer.learning_rate = 'sgd', 1.
  family, first, key = families.create(config, Spec('made', (64, 64, 3))), jax.devices()[:1], jax.random.key(5)
  state = jax.jit(family.init)(key)
  start = jax.tree.map(np.array, from_torch.vqvae(twin))
  assert jax.tree.structure(start) == jax.tree.structure(dict(state.params['vqvae']))
  state = jax_utils.replicate(state.replace(params={'vqvae': start}), first)
  state, metrics = step.make_dispatch(family, devices=first)(
      state, {'image': images[None, None, None], 'label': np.zeros((1, 1, 1, 4), np.int32)}, key)

  loss = twin.loss(torch.tensor(images.transpose(0, 3, 1, 2) / np.float32(127.5) - 1))
  loss.backward()
  np.testing.assert_allclose(metrics['vqvae/loss'][0, 0], loss.item(), rtol=1e-4)
  expected = from_torch.vqvae(twin, lambda tensor: tensor.grad.numpy())
  assert (codebook_of({'vqvae': expected}) != 0).any(1).sum() > 5   # codes that are in use
  end = jax.tree.map(lambda x: np.asarray(x)[0], state.params['vqvae'])
  # A difference of parameters has their rounding; the gradient of a bias before BatchNorm is nothing else.
  floor = 1e-2 * max(np.abs(gradient).max() for gradient in jax.tree.leaves(expected))
  for (path, gradient), before, after in zip(jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(start),
                                             jax.tree.leaves(end), strict=True):
    scale = max(np.abs(gradient).max(), 1e-3 * np.abs(before).max(), floor)
    np.testing.assert_allclose(before - after, gradient, atol=2e-3 * scale, err_msg=jax.tree_util.keystr(path))
