"""The GANs' networks and the layers that they choose, against PyTorch twins written from the layers as published."""

import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgen import networks, recipes
from jgen.networks.convolution.resampling import DOWNSAMPLINGS, UPSAMPLINGS
from jgen.networks.dcgan import FIRST_LAYER
from jgen.networks.layers import Dropout
from jgen.networks.spectral import SpectralNorm

torch = pytest.importorskip('torch', reason='the twins are written in PyTorch: pip install torch')
twins = pytest.importorskip('benchmarks.twins')
nn = torch.nn


def count(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))


def dcgan_twins(latents, generator, critic, slope=0., channels=3):
  return twins.generator(latents, generator, 3, slope), twins.critic(channels, critic, True)


def turned_round():
  """Three layers each way with bias, without BatchNorm: an encoder with one output, a decoder."""
  layers = []
  for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
    layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
  critic = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 8 * 8, 1), nn.Flatten(0))
  return twins.vae_decoder(512, 8, (128, 64, 32), 3, bias=True, batch_norm=False, activate_first=True), critic


DEEP, SHALLOW = (512, 256, 128, 64), (64, 128, 256, 512)
TWINS = {   # config: the generator and the critic, layer by layer
    'dcgan_celeba': lambda: dcgan_twins(100, DEEP, SHALLOW, slope=0.1),
    'dcgan_celeba_small': turned_round,
    'dcgan_celeba_wide': lambda: dcgan_twins(100, (1024, 512, 256, 128), (128, 256, 512, 1024)),
    'dcgan_anime': lambda: dcgan_twins(100, DEEP, SHALLOW),
    'dcgan_bitmoji': lambda: dcgan_twins(100, DEEP, SHALLOW),
    'lsgan_anime': lambda: dcgan_twins(100, DEEP, SHALLOW),
    'cdcgan_svhn': lambda: dcgan_twins(110, DEEP, SHALLOW, channels=13),
    'wgan_svhn': lambda: (twins.generator(110, DEEP, 3), twins.critic(13, SHALLOW, False)),
}


def numbers(tensor):
  return tensor.detach().numpy()


def as_layer(layer, shape):
  """The parameters of a PyTorch layer, for a kernel of ours of `shape`."""
  weight, bias = numbers(layer.weight), layer.bias
  if isinstance(layer, nn.Linear):              # its side of the map is (channel, row, column)
    side = 8
    maps = (-1, side, side)
    if shape[1] == 1:
      weight = weight.reshape(maps).transpose(1, 2, 0)
    else:
      weight = weight.T.reshape(len(weight.T), *maps).transpose(0, 2, 3, 1)
      bias = bias.reshape(maps).permute(1, 2, 0).reshape(-1)
  elif isinstance(layer, nn.ConvTranspose2d) and len(shape) == 2:   # from one pixel
    weight = weight.transpose(0, 2, 3, 1)
  else:
    weight = weight.transpose(2, 3, 1, 0)
  return {'kernel': weight.reshape(shape)} | ({} if bias is None else {'bias': numbers(bias)})


def taught(module, twin, inputs):
  """Our module's variables with the twin's parameters."""
  init = functools.partial(module.init, jax.random.key(0), inputs, train=False)
  shapes = jax.eval_shape(init)['params']
  layers = [layer for layer in twin.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
  learned = {f'layer_{i}': as_layer(layer, shapes[f'layer_{i}']['kernel'].shape) for i, layer in enumerate(layers)}
  assert jax.tree.map(np.shape, learned) == {name: jax.tree.map(lambda x: x.shape, shapes[name]) for name in learned}
  assert count(shapes) == sum(p.numel() for p in twin.parameters())

  @jax.jit
  def others():                         # compiled, so that the layers' millions of random numbers are not drawn
    variables = init()
    return {**variables, 'params': {name: x for name, x in variables['params'].items() if name not in learned}}
  variables = others()
  return {**variables, 'params': {**variables['params'], **learned}}


@pytest.mark.parametrize('name', list(TWINS))
def test_networks_are_the_published_ones(name):
  model = importlib.import_module(f'configs.{name}').get_config().model
  generator, critic = (twin.train() for twin in TWINS[name]())
  rng = np.random.default_rng()

  module = networks.generator(model.generator, (64, 64, 3))
  classes = 10 if model.conditional else 0
  latents = rng.normal(size=(4, model.latent_size + classes)).astype(np.float32)
  images = run_trained(module, taught(module, generator, latents), latents)
  pixels = numbers(generator(torch.tensor(latents) if isinstance(generator[0], nn.Linear) else
                             torch.tensor(latents)[:, :, None, None]))
  assert images.shape == (4, 64, 64, 3)
  np.testing.assert_allclose(images, pixels.transpose(0, 2, 3, 1), atol=2e-5)

  module = networks.critic(model.critic, (64, 64, 3))
  images = rng.uniform(-1, 1, (4, 64, 64, 3 + classes)).astype(np.float32)
  logits, _ = run_trained(module, taught(module, critic, images), images)
  np.testing.assert_allclose(logits, numbers(critic(torch.tensor(images.transpose(0, 3, 1, 2)))), rtol=1e-3, atol=5e-5)


def run_trained(module, variables, inputs):
  """The output in training, where BatchNorm uses the batch's own statistics, on one device."""
  def forward(variables, x):
    return module.apply(variables, x, train=True, mutable=[key for key in variables if key != 'params'])[0]
  on_one = jax.pmap(forward, axis_name='devices', in_axes=(None, 0), devices=jax.devices()[:1])
  return jax.tree.map(lambda x: np.asarray(x[0]), on_one(variables, inputs[None]))


# Doubling and halving


class Halve(nn.Sequential):

  def __init__(self):
    super().__init__(nn.Conv2d(6, 5, 3, 1, 1), nn.AvgPool2d(2))


RESAMPLERS = {
    'transposed_convolution': lambda: nn.ConvTranspose2d(6, 5, 4, 2, 1),
    'pixel_shuffle': lambda: nn.Sequential(nn.Conv2d(6, 20, 3, 1, 1), nn.PixelShuffle(2)),
    'resize_convolution': lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode='nearest'), nn.Conv2d(6, 5, 3, 1, 1)),
    'strides': lambda: nn.Conv2d(6, 5, 4, 2, 1),
    'average_pooling': Halve,
}


@pytest.mark.parametrize('name', list(RESAMPLERS))
def test_resampling_is_pytorchs(name):
  layer = {**UPSAMPLINGS, **DOWNSAMPLINGS}[name](
      features=5, use_bias=True, kernel_init=jax.nn.initializers.normal(), kernel_norm=None)
  x, twin = np.random.default_rng().normal(size=(2, 4, 8, 6)).astype(np.float32), RESAMPLERS[name]()
  convolution = next(m for m in twin.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)))
  learned = {'kernel': numbers(convolution.weight).transpose(2, 3, 1, 0), 'bias': numbers(convolution.bias)}
  params = learned if name in ('strides', 'transposed_convolution') else {'convolution': learned}
  assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, layer.init(jax.random.key(0), x)['params'])
  expected = numbers(twin(torch.tensor(x.transpose(0, 3, 1, 2)))).transpose(0, 2, 3, 1)
  np.testing.assert_allclose(layer.apply({'params': params}, x), expected, atol=1e-5)


def test_every_resampling_has_a_twin():
  assert set(RESAMPLERS) == {*UPSAMPLINGS, *DOWNSAMPLINGS}


# Dropout


def mapped(function, *inputs):
  return np.asarray(jax.pmap(function, axis_name='devices', devices=jax.devices()[:1])(*(x[None] for x in inputs))[0])


def test_dropout_drops_at_its_rate_and_keeps_the_mean():
  x = np.full((50, 40, 5), 3., np.float32)
  dropped = mapped(lambda x: Dropout(0.2).apply({}, x, rngs={'dropout': jax.random.key(1)}), x)
  np.testing.assert_allclose(np.unique(dropped), [0., 3 / 0.8], rtol=1e-6)
  np.testing.assert_allclose((dropped == 0).mean(), 0.2, atol=0.02)
  kept = (dropped != 0).reshape(50, -1)
  assert np.abs(np.corrcoef(kept) - np.eye(50)).max() < 0.35   # another mask for each image


def test_the_first_layer_of_a_generator_begins_as_pytorchs_transposed_convolution():
  """PyTorch counts the outputs of a transposed convolution, and the kernel's pixels, as its fan-in."""
  torch = pytest.importorskip('torch', reason='the reference is PyTorch')
  section = recipes.model('gan').generator
  section.features, section.normalization, section.kernel_init = (32, 16, 8), 'none', 'pytorch'
  params = networks.generator(section, (32, 32, 3)).init(jax.random.key(0), np.zeros((1, 500)), train=True)['params']
  kernel = next(leaf for leaf in jax.tree.leaves(params) if leaf.shape[0] == 500)
  assert kernel.shape == (500, 32 * 16)
  theirs = torch.nn.ConvTranspose2d(500, 32, 4).weight.detach().abs().max()
  np.testing.assert_allclose(np.abs(kernel).max(), theirs, rtol=1e-3)


def test_networks_drop_where_they_are_asked_to():
  latents = np.random.default_rng().normal(size=(4, 5)).astype(np.float32)
  def outputs(at_sampling, train):
    """What two keys and then the first again make of the same latents."""
    section = recipes.model('gan').generator
    section.features, section.normalization, section.kernel_init = (8, 6), 'none', 'he'
    section.dropout, section.dropout_at_sampling = 0.5, at_sampling
    module = networks.generator(section, (8, 8, 1))
    variables = module.init(jax.random.key(0), latents, train=True)
    return [mapped(lambda x, k=k: module.apply(variables, x, train=train, rngs={'dropout': jax.random.key(k)}), latents)
            for k in (0, 1, 0)]
  for at_sampling, train, drops in ((False, True, True), (False, False, False), (True, False, True)):
    first, second, again = outputs(at_sampling, train)
    np.testing.assert_array_equal(first, again)
    assert (first != second).any() == drops
  section = recipes.model('gan').critic
  section.features, section.normalization, section.dropout = (8, 6), 'none', 0.5
  module, images = networks.critic(section, (8, 8, 1)), np.ones((4, 8, 8, 1), np.float32)
  variables = module.init(jax.random.key(0), images, train=True)
  logits = mapped(lambda x: module.apply(variables, x, train=True, rngs={'dropout': jax.random.key(0)})[0], images)
  assert len(np.unique(logits)) == 4
  assert len(np.unique(mapped(lambda x: module.apply(variables, x, train=False)[0], images))) == 1


# Spectral normalisation


def spectral_layers():
  """(our network of one kind of layer, its PyTorch twin, how the twin's weight becomes our kernel)."""
  make = lambda table, name: lambda norm: table[name](
      features=5, use_bias=False, kernel_init=jax.nn.initializers.normal(), kernel_norm=norm)
  transpose = lambda w: w.transpose(2, 3, 1, 0)
  return {'strides': (make(DOWNSAMPLINGS, 'strides'), nn.Conv2d(6, 5, 4, 2, 1, bias=False), transpose),
          'transposed_convolution': (make(UPSAMPLINGS, 'transposed_convolution'),
                                     nn.ConvTranspose2d(6, 5, 4, 2, 1, bias=False), transpose)}


@pytest.mark.parametrize('name', ['strides', 'transposed_convolution'])
def test_spectral_norm_is_pytorchs_and_converges_to_the_largest_singular_value(name):
  make, twin, as_kernel = spectral_layers()[name]
  twin = nn.utils.parametrizations.spectral_norm(twin).train()
  power = twin.parametrizations.weight[0]
  original = numbers(twin.parametrizations.weight.original)
  params = {'kernel': as_kernel(original)}
  state = {'spectral_norm': {'SpectralNorm_0': {'u': numbers(power._u).copy()}}}
  x = np.random.default_rng().normal(size=(2, 4, 4, 6)).astype(np.float32)
  x_torch = torch.tensor(x.transpose(0, 3, 1, 2))
  trained = make(functools.partial(SpectralNorm, True))
  for _ in range(3):
    y, state = trained.apply({'params': params, **state}, x, mutable=['spectral_norm'])
    expected = numbers(twin(x_torch)).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(state['spectral_norm']['SpectralNorm_0']['u'], numbers(power._u), atol=1e-4)

  def loss(params):
    return (trained.apply({'params': params, **state}, x, mutable=['spectral_norm'])[0]**2).sum()
  (twin(x_torch)**2).sum().backward()
  gradient = as_kernel(numbers(twin.parametrizations.weight.original.grad))
  np.testing.assert_allclose(jax.grad(loss)(params)['kernel'], gradient, atol=1e-3 * np.abs(gradient).max())

  step = jax.jit(lambda state: trained.apply({'params': params, **state}, x, mutable=['spectral_norm'])[1])
  for _ in range(500):
    state = step(state)
  evaluated = make(functools.partial(SpectralNorm, False))
  y, after = evaluated.apply({'params': params, **state}, x, mutable=['spectral_norm'])
  np.testing.assert_array_equal(after['spectral_norm']['SpectralNorm_0']['u'],
                                state['spectral_norm']['SpectralNorm_0']['u'])
  rows = original.swapaxes(0, 1) if name == 'transposed_convolution' else original
  sigma = np.linalg.svd(rows.reshape(5, -1).astype(np.float64), compute_uv=False)[0]
  plain = make(None).apply({'params': params}, x)
  np.testing.assert_allclose(y, plain / sigma, rtol=1e-3, atol=1e-5)


def test_spectral_norm_is_of_every_kernel_of_a_network():
  section = recipes.model('gan').critic
  section.features, section.normalization, section.use_bias = (8, 6), 'none', True
  section.spectral_norm = True
  module, images = networks.critic(section, (8, 8, 1)), jnp.ones((4, 8, 8, 1))
  variables = module.init(jax.random.key(0), images, train=True)
  assert set(variables['spectral_norm']) == set(variables['params']) == {FIRST_LAYER, 'layer_1', 'layer_2'}
  # Divided by sigma, a kernel's own scale is of no account.
  larger = jax.tree.map(lambda x: 7 * x, variables['params'])
  run = lambda params: module.apply({**variables, 'params': params}, images, train=False)[0]
  np.testing.assert_allclose(run(variables['params']), run(larger), rtol=1e-4)
