"""The 4x4, stride-2 convolution, its transpose and their derivatives against numpy and PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgen.errors import UserError
from jgen.networks.convolution import Downsample, Upsample, convolve, transpose_convolve

# (B, H, W, Ci, Co), one for each way the fast form goes: few, middling and many channels, and many
# where the sides do not divide by 4.
SHAPES = [(3, 8, 12, 3, 5), (2, 6, 8, 8, 5), (2, 8, 12, 64, 6), (2, 12, 6, 64, 3)]
CASES = [('fast', shape) for shape in SHAPES] + [('plain', shape) for shape in SHAPES[1:3]]


@pytest.fixture(params=['plain', 'fast'])
def form(request, monkeypatch):
  monkeypatch.setenv('JGEN_CONVOLUTION', request.param)
  return request.param


def arrays(shape):
  """Normal x [B, H, W, Ci], y [B, H/2, W/2, Co] and a kernel [4, 4, Ci, Co] that keeps their scale."""
  batch, height, width, inputs, outputs = shape
  rng = np.random.default_rng(sum(shape))
  shapes = (batch, height, width, inputs), (batch, height // 2, width // 2, outputs), (4, 4, inputs, outputs)
  x, y, kernel = (rng.standard_normal(s).astype(np.float32) for s in shapes)
  return x, y, kernel / np.float32(4 * np.sqrt(inputs))


def assert_close(got, expected, tolerance=1e-4):
  """Equal to within `tolerance` of the largest entry."""
  assert got.shape == expected.shape
  np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def numpy_convolve(x, kernel):
  x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  height, width = x.shape[1] - 2, x.shape[2] - 2
  return sum(x[:, i:i + height:2, j:j + width:2] @ kernel[i, j] for i in range(4) for j in range(4))


def derivatives(function, a, kernel, weights):
  """Value, both gradients, and both gradients of a gradient penalty, of a smooth objective."""
  def gradients(a, kernel):
    return jax.grad(lambda a, kernel: (weights * jnp.tanh(function(a, kernel))).sum(), (0, 1))(a, kernel)

  def penalty(a, kernel):
    return sum((g**2).sum() for g in gradients(a, kernel))

  return function(a, kernel), *gradients(a, kernel), *jax.grad(penalty, (0, 1))(a, kernel)


def torch_derivatives(name, a, kernel, weights):
  """`derivatives` in float64 by PyTorch's function `name`."""
  torch = pytest.importorskip('torch', reason='the reference is PyTorch')
  a, kernel, weights = (torch.tensor(v, dtype=torch.float64) for v in (a, kernel, weights))
  a.requires_grad_()
  kernel.requires_grad_()
  function = getattr(torch.nn.functional, name)
  out = function(a.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), stride=2, padding=1).permute(0, 2, 3, 1)
  gradients = torch.autograd.grad((weights * torch.tanh(out)).sum(), (a, kernel), create_graph=True)
  penalty = sum((g**2).sum() for g in gradients)
  return [v.detach().numpy() for v in (out, *gradients, *torch.autograd.grad(penalty, (a, kernel)))]


@pytest.mark.parametrize('name, shape', CASES)
def test_values_and_derivatives_to_second_order_are_those_of_pytorch(name, shape, monkeypatch):
  monkeypatch.setenv('JGEN_CONVOLUTION', name)
  x, y, kernel = arrays(shape)

  @jax.jit
  def both(x, y, kernel):
    return (*derivatives(convolve, x, kernel, y), *derivatives(transpose_convolve, y, kernel, x))

  expected = (*torch_derivatives('conv2d', x, kernel, y), *torch_derivatives('conv_transpose2d', y, kernel, x))
  for got, reference in zip(both(x, y, kernel), expected, strict=True):
    assert_close(got, reference)


@pytest.mark.parametrize('shape', SHAPES)
def test_both_maps_are_the_sum_over_the_kernel_and_its_transpose(form, shape):
  x, y, kernel = arrays(shape)
  assert_close(convolve(x, kernel), numpy_convolve(x, kernel))
  rows = np.eye(x[0].size, dtype=np.float32).reshape(-1, *x.shape[1:])
  matrix = numpy_convolve(rows, kernel).reshape(x[0].size, y[0].size)    # of the map of one image
  assert_close(transpose_convolve(y, kernel), (y.reshape(len(y), -1) @ matrix.T).reshape(x.shape))


def test_a_long_sum_keeps_its_digits_in_the_fast_form(monkeypatch):
  monkeypatch.setenv('JGEN_CONVOLUTION', 'fast')
  x, _, kernel = arrays((1, 16, 16, 256, 32))
  assert_close(convolve(x, kernel), numpy_convolve(x.astype(np.float64), kernel), tolerance=3e-6)


@pytest.mark.parametrize('backend, setting, uses_lax', [
    ('cpu', None, False), ('gpu', None, True), ('tpu', None, True), ('cpu', 'plain', True), ('gpu', 'fast', False)])
def test_the_backend_chooses_the_form_unless_the_environment_does(backend, setting, uses_lax, monkeypatch):
  monkeypatch.delenv('JGEN_CONVOLUTION', raising=False)
  if setting:
    monkeypatch.setenv('JGEN_CONVOLUTION', setting)
  monkeypatch.setattr(jax, 'default_backend', lambda: backend)
  for shape in (SHAPES[0], SHAPES[2]):
    x, y, kernel = arrays(shape)
    for function, a in ((convolve, x), (transpose_convolve, y)):
      assert ('conv_general_dilated' in str(jax.make_jaxpr(function)(a, kernel))) == uses_lax


def test_a_wrong_form_and_an_odd_side_are_the_users_mistakes(monkeypatch):
  x, _, kernel = arrays(SHAPES[0])
  with pytest.raises(UserError, match='7 x 12'):
    convolve(x[:, :7], kernel)
  monkeypatch.setenv('JGEN_CONVOLUTION', 'plane')
  with pytest.raises(UserError, match="'plane'.*did you mean 'plain'"):
    convolve(x, kernel)


def test_it_works_inside_pmap_and_scan(form):
  x, _, kernel = arrays(SHAPES[0])

  def objective(kernel, x):
    return (convolve(x, kernel)**2).sum()

  def accumulate(kernel, images):
    return jax.lax.scan(lambda total, x: (total + jax.grad(objective)(kernel, x), None), 0 * kernel, images)[0]

  got = jax.pmap(accumulate, devices=jax.local_devices()[:1])(kernel[None], np.stack([x, 2 * x])[None])[0]
  step = 1e-2 * np.random.default_rng(0).standard_normal(kernel.shape)
  energy = [(numpy_convolve(x, kernel + sign * step)**2).sum() for sign in (1, -1)]   # exact for a square
  np.testing.assert_allclose((got * step).sum(), (1 + 4) * (energy[0] - energy[1]) / 2, rtol=1e-4)


@pytest.mark.parametrize('use_bias', [False, True])
def test_the_layers_hold_a_kernel_and_apply_it(use_bias, monkeypatch):
  monkeypatch.setenv('JGEN_CONVOLUTION', 'plain')
  x, y, _ = arrays((2, 8, 4, 6, 7))
  for layer, a, shape, function in ((Downsample(7, use_bias=use_bias), x, (4, 4, 6, 7), convolve),
                                    (Upsample(6, use_bias=use_bias), y, (4, 4, 6, 7), transpose_convolve)):
    params = layer.init(jax.random.key(0), a)['params']
    expected = {'kernel': shape, 'bias': (layer.features,)} if use_bias else {'kernel': shape}
    assert jax.tree.map(jnp.shape, params) == expected
    bias = np.arange(layer.features, dtype=np.float32) if use_bias else np.zeros(layer.features, np.float32)
    params = {**params, 'bias': bias} if use_bias else params
    assert_close(layer.apply({'params': params}, a), function(a, params['kernel']) + bias, tolerance=1e-6)


def test_an_upsampling_kernel_has_the_fan_in_of_pytorch(monkeypatch):
  torch = pytest.importorskip('torch', reason='the reference is PyTorch')
  weight = torch.nn.ConvTranspose2d(96, 32, 4, stride=2, padding=1).weight
  fan_in, _ = torch.nn.init._calculate_fan_in_and_fan_out(weight)
  monkeypatch.setenv('JGEN_CONVOLUTION', 'plain')
  kernel = Upsample(32).init(jax.random.key(0), np.zeros((1, 2, 2, 96), np.float32))['params']['kernel']
  np.testing.assert_allclose(kernel.std(), fan_in**-0.5, rtol=0.02)
