"""A whole update of the conditional WGAN-GP, and the sharing of work in it, against PyTorch's autograd."""

from helpers import tiny
import jax
import numpy as np
import pytest

from jgen import families
from jgen.data.spec import Spec
from jgen.parallel import AXIS, per_image

torch = pytest.importorskip('torch', reason='the twin is written in PyTorch: pip install torch')
twins = pytest.importorskip('benchmarks.twins')
F = torch.nn.functional

SPEC = Spec('squares', (8, 8, 1), 10)
BATCH = 6


def torch_critic(params, images, labels):
  """Conv 4x4 s2 p1, LeakyReLU(0.2), twice; a linear layer: without normalisation, on NCHW, of jgen's parameters."""
  x = torch.cat([images, F.one_hot(labels, 10).float()[:, :, None, None].expand(-1, -1, 8, 8)], 1)
  for name in ('layer_0', 'layer_1'):
    x = F.leaky_relu(F.conv2d(x, params[name].permute(3, 2, 0, 1), stride=2, padding=1), 0.2)
  return (x.permute(0, 2, 3, 1).flatten(1) @ params['layer_2'])[:, 0]


@pytest.fixture(scope='module')
def update():
  """What one update of each network computes, on one device, with its inputs."""
  family = families.create(tiny.wgan(**{'model.critic.kernel_init': 'he'}), SPEC)
  state = jax.jit(family.init)(jax.random.key(3))
  rng = np.random.default_rng()
  batch = {'image': rng.uniform(-1, 1, (BATCH, 8, 8, 1)).astype(np.float32),
           'condition': rng.integers(0, 10, BATCH, dtype=np.int32)}
  def both(batch):
    generated = family.generate(state, jax.random.key(1), batch['condition'])
    def critic_loss(params):
      terms, _, _ = family.critic_terms({'critic': params}, state.model_state['critic'], batch, generated.images,
                                         jax.random.key(2))
      return sum(terms.values()).mean()
    def generator_loss(images):
      terms, _ = family.generator_terms(state.params, {}, batch, images, jax.random.key(4))
      return terms['adversarial'].mean()
    def generator_loss_of_params(params):
      latents = family.latents(jax.random.key(1), batch['condition'])
      images = family.generator.apply({'params': params, **state.model_state['generator']}, latents, train=True,
                                      mutable=['batch_stats'])[0]
      return generator_loss(images)
    return dict(
        fake=generated.images, mix=per_image(jax.random.key(2), BATCH, jax.random.uniform),
        critic=jax.value_and_grad(critic_loss)(state.params['critic']),
        generator_loss=generator_loss(generated.images),
        image_gradient=jax.grad(generator_loss)(generated.images),
        shared=generated.pullback(jax.grad(generator_loss)(generated.images)),
        own=jax.grad(generator_loss_of_params)(state.params['generator']))
  out = jax.pmap(both, axis_name=AXIS, devices=jax.devices()[:1])({k: v[None] for k, v in batch.items()})
  return jax.tree.map(lambda x: np.asarray(x[0]), out), jax.device_get(state.params['critic']), batch


def as_torch_images(images):
  return torch.tensor(images.transpose(0, 3, 1, 2))


def as_torch(critic):
  return {name: torch.tensor(layer['kernel'], requires_grad=True) for name, layer in critic.items()}


def test_critic_loss_and_its_gradient_through_the_penalty(update):
  out, critic, batch = update
  params = as_torch(critic)
  labels = torch.tensor(batch['condition']).long()
  loss = twins.wasserstein_critic_loss(lambda x: torch_critic(params, x, labels), as_torch_images(batch['image']),
                                       as_torch_images(out['fake']), torch.tensor(out['mix']))
  loss.backward()
  value, gradients = out['critic']
  np.testing.assert_allclose(value, loss.item(), rtol=1e-4)
  for name, tensor in params.items():
    ours, theirs = gradients[name]['kernel'], tensor.grad.numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max(), err_msg=name)


def test_generator_loss_and_its_gradient_at_the_images(update):
  out, critic, batch = update
  fake = as_torch_images(out['fake']).requires_grad_()
  loss = -torch_critic(as_torch(critic), fake, torch.tensor(batch['condition']).long()).mean()
  loss.backward()
  np.testing.assert_allclose(out['generator_loss'], loss.item(), rtol=1e-4, atol=1e-6)
  gradient = fake.grad.numpy().transpose(0, 2, 3, 1)
  np.testing.assert_allclose(out['image_gradient'], gradient, atol=1e-4 * np.abs(gradient).max())


def test_the_shared_forward_pass_gives_the_generator_its_own_gradient(update):
  out, _, _ = update
  for ours, own in zip(jax.tree.leaves(out['shared']), jax.tree.leaves(out['own']), strict=True):
    np.testing.assert_allclose(ours, own, atol=1e-4 * np.abs(own).max())


def test_mixing_weights_cover_the_unit_interval(update):
  mix = update[0]['mix']
  assert mix.shape == (BATCH,) and len(np.unique(mix)) == BATCH and (mix >= 0).all() and (mix < 1).all()
