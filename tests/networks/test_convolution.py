"""Convolutions of every geometry, their transposes and their derivatives against numpy and PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgen.errors import UserError
from jgen.networks.convolution.layers import Conv, ConvTranspose, convolve, transpose_convolve

# (B, H, W, Ci, Co): few channels, many, and many where the sides do not divide by 4.
SHAPES = [(3, 8, 12, 3, 5), (2, 8, 12, 16, 6), (2, 12, 6, 16, 3)]
CASES = [('fast', shape) for shape in SHAPES] + [('plain', SHAPES[1])]


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
  """The sum over the 16 entries of the kernel, in float64."""
  x = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
  height, width = x.shape[1] - 2, x.shape[2] - 2
  return sum(x[:, i:i + height:2, j:j + width:2] @ kernel[i, j] for i in range(4) for j in range(4))


def numpy_transpose_convolve(y, kernel):
  """Every entry of y adds its multiple of the kernel to the image, in float64."""
  batch, height, width, _ = y.shape
  x = np.zeros((batch, 2 * height + 2, 2 * width + 2, kernel.shape[2]))
  for i, j in np.ndindex(4, 4):
    x[:, i:i + 2 * height:2, j:j + 2 * width:2] += y.astype(np.float64) @ kernel[i, j].T
  return x[:, 1:-1, 1:-1]


def derivatives(function, a, kernel, weights):
  """Value, both gradients, and both gradients of a gradient penalty, of a smooth objective."""
  def gradients(a, kernel):
    return jax.grad(lambda a, kernel: (weights * jnp.tanh(function(a, kernel))).sum(), (0, 1))(a, kernel)

  def penalty(a, kernel):
    return sum((g**2).sum() for g in gradients(a, kernel))

  return function(a, kernel), *gradients(a, kernel), *jax.grad(penalty, (0, 1))(a, kernel)


def torch_derivatives(name, a, kernel, weights, **geometry):
  """`derivatives` in float64 by PyTorch's function `name`."""
  torch = pytest.importorskip('torch', reason='the reference is PyTorch')
  a, kernel, weights = (torch.tensor(v, dtype=torch.float64) for v in (a, kernel, weights))
  a.requires_grad_()
  kernel.requires_grad_()
  function = getattr(torch.nn.functional, name)
  out = function(a.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), **geometry).permute(0, 2, 3, 1)
  gradients = torch.autograd.grad((weights * torch.tanh(out)).sum(), (a, kernel), create_graph=True)
  penalty = sum((g**2).sum() for g in gradients)
  return [v.detach().numpy() for v in (out, *gradients, *torch.autograd.grad(penalty, (a, kernel)))]


@pytest.mark.parametrize('form, shape', CASES)
def test_values_and_derivatives_to_second_order_are_those_of_pytorch(form, shape, monkeypatch):
  monkeypatch.setenv('JGEN_CONVOLUTION', form)
  x, y, kernel = arrays(shape)

  @jax.jit
  def both(x, y, kernel):
    return (*derivatives(convolve, x, kernel, y), *derivatives(transpose_convolve, y, kernel, x))

  expected = [*torch_derivatives('conv2d', x, kernel, y, stride=2, padding=1),
              *torch_derivatives('conv_transpose2d', y, kernel, x, stride=2, padding=1)]
  for got, reference in zip(both(x, y, kernel), expected, strict=True):
    assert_close(got, reference)


# Kernel, stride, padding, (H, W), Ci, Co: the layers of the VAEs, sides that leave rows over, one pixel, and a kernel
# narrower than the stride; with few channels and with many.
GEOMETRIES = [
    (3, 2, 1, (8, 6), 16, 4), (3, 2, 1, (7, 8), 3, 4), (6, 2, 0, (12, 10), 16, 4), (6, 2, 0, (11, 8), 17, 4),
    (6, 2, 0, (10, 8), 64, 4), (5, 1, 0, (7, 8), 3, 4), (5, 1, 0, (7, 8), 16, 16), (3, 1, 1, (6, 5), 3, 16),
    (6, 1, 0, (7, 12), 2, 16), (3, 1, 1, (6, 5), 16, 3), (4, 2, 1, (7, 6), 3, 4), (4, 2, 1, (9, 6), 16, 4),
    (4, 1, 0, (4, 4), 16, 2), (5, 2, 2, (9, 8), 16, 4), (2, 3, 1, (7, 9), 16, 4)]


@pytest.mark.parametrize('form, geometry', [
    *(('fast', geometry) for geometry in GEOMETRIES), *(('plain', geometry) for geometry in GEOMETRIES[1::5])])
def test_every_geometry_is_that_of_pytorch_to_second_order(form, geometry, monkeypatch):
  monkeypatch.setenv('JGEN_CONVOLUTION', form)
  kernel_size, stride, padding, sides, inputs, outputs = geometry
  rng = np.random.default_rng(kernel_size)
  small = [(side + 2 * padding - kernel_size) // stride + 1 for side in sides]
  x = rng.standard_normal((2, *sides, inputs)).astype(np.float32)
  y = rng.standard_normal((2, *small, outputs)).astype(np.float32)
  kernel = rng.standard_normal((kernel_size, kernel_size, inputs, outputs)).astype(np.float32)
  kernel /= 2 * kernel_size
  output_padding = max((side + 2 * padding - kernel_size) % stride for side in sides)
  image = rng.standard_normal((2, *(stride * (side - 1) + kernel_size - 2 * padding + output_padding for side in small),
                               inputs)).astype(np.float32)

  @jax.jit
  def both(x, y, kernel, image):
    down = functools.partial(convolve, stride=stride, padding=padding)
    up = functools.partial(transpose_convolve, stride=stride, padding=padding, output_padding=output_padding)
    return (*derivatives(down, x, kernel, y), *derivatives(up, y, kernel, image))

  options = dict(stride=stride, padding=padding)
  expected = [*torch_derivatives('conv2d', x, kernel, y, **options),
              *torch_derivatives('conv_transpose2d', y, kernel, image, output_padding=output_padding, **options)]
  for got, reference in zip(both(x, y, kernel, image), expected, strict=True):
    assert_close(got, reference)


@pytest.mark.parametrize('shape', [*SHAPES, (1, 16, 16, 256, 32)])
def test_both_forms_are_the_sum_over_the_kernel_and_its_transpose(shape, monkeypatch):
  x, y, kernel = arrays(shape)
  for form in ('plain', 'fast'):
    monkeypatch.setenv('JGEN_CONVOLUTION', form)
    halved, doubled = jax.jit(lambda x, y, k: (convolve(x, k), transpose_convolve(y, k)))(x, y, kernel)
    assert_close(halved, numpy_convolve(x, kernel), tolerance=3e-6)
    assert_close(doubled, numpy_transpose_convolve(y, kernel), tolerance=3e-6)


@pytest.mark.parametrize('backend, setting, form', [
    ('cpu', None, 'fast'), ('gpu', None, 'plain'), ('tpu', None, 'plain'), ('cpu', 'plain', 'plain'),
    ('gpu', 'fast', 'fast')])
def test_the_backend_chooses_the_form_unless_the_environment_does(backend, setting, form, monkeypatch):
  monkeypatch.delenv('JGEN_CONVOLUTION', raising=False)
  if setting:
    monkeypatch.setenv('JGEN_CONVOLUTION', setting)
  monkeypatch.setattr(jax, 'default_backend', lambda: backend)
  for shape in SHAPES:
    x, y, kernel = arrays(shape)
    jaxpr = str(jax.make_jaxpr(lambda y, kernel: transpose_convolve(y, kernel))(y, kernel))
    assert ('lhs_dilation=(2, 2)' in jaxpr) == (form == 'plain')


@pytest.mark.parametrize('kernel_size, stride, padding, sides, inputs, outputs', GEOMETRIES)
def test_the_fast_forms_give_xla_no_order_of_axes_but_its_usual(
    kernel_size, stride, padding, sides, inputs, outputs, monkeypatch):
  monkeypatch.setenv('JGEN_CONVOLUTION', 'fast')
  x = np.zeros((2, *sides, inputs), np.float32)
  kernel = np.zeros((kernel_size, kernel_size, inputs, outputs), np.float32)
  down = lambda x, kernel: convolve(x, kernel, stride, padding)
  shape = jax.eval_shape(down, x, kernel)
  _, gradients = jax.vjp(down, x, kernel)
  jaxpr = str(jax.make_jaxpr(gradients)(np.zeros(shape.shape, np.float32)))
  usual = 'lhs_spec=(0, 3, 1, 2), rhs_spec=(3, 2, 0, 1), out_spec=(0, 3, 1, 2)'
  count = jaxpr.count('conv_general_dilated')
  assert count == jaxpr.count(usual) == jaxpr.count('lhs_dilation=(1, 1)')
  assert bool(count) == (inputs < 64)   # deep layers are products of matrices alone


def test_a_wrong_form_and_sides_that_no_kernel_fits_are_the_users_mistakes(monkeypatch):
  x, _, kernel = arrays(SHAPES[0])
  with pytest.raises(UserError, match='1 x 12'):
    convolve(x[:, :1], kernel)
  with pytest.raises(UserError, match='output_padding is 2; expected 0 to 1'):
    transpose_convolve(x, np.swapaxes(kernel, 2, 3), output_padding=2)
  monkeypatch.setenv('JGEN_CONVOLUTION', 'plane')
  with pytest.raises(UserError, match="'plane': expected plain or fast"):
    convolve(x, kernel)


def test_it_works_inside_pmap_and_scan(monkeypatch):
  monkeypatch.setenv('JGEN_CONVOLUTION', 'fast')
  x, y, kernel = arrays(SHAPES[0])

  def kernel_gradients(kernel, images):
    def add(total, x):
      return total + jax.grad(lambda kernel: (y * convolve(x, kernel)).sum())(kernel), None
    return jax.lax.scan(add, jnp.zeros_like(kernel), images)[0]

  images = np.stack([x, 2 * x])
  got = jax.pmap(kernel_gradients, devices=jax.local_devices()[:1])(kernel[None], images[None])[0]
  padded = np.pad(3 * x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  expected = [np.tensordot(padded[:, i:i + x.shape[1]:2, j:j + x.shape[2]:2], y, ((0, 1, 2), (0, 1, 2)))
              for i, j in np.ndindex(4, 4)]
  assert_close(got, np.reshape(expected, kernel.shape))


@pytest.mark.parametrize('use_bias', [False, True])
def test_the_layers_apply_their_kernel_and_bias(use_bias, monkeypatch):
  monkeypatch.setenv('JGEN_CONVOLUTION', 'plain')
  x, y, kernel = arrays((2, 8, 4, 6, 7))
  for layer, a, function in ((Conv(7, use_bias=use_bias), x, numpy_convolve),
                             (ConvTranspose(6, use_bias=use_bias), y, numpy_transpose_convolve)):
    bias = np.arange(layer.features, dtype=np.float32)
    params = {'kernel': kernel, 'bias': bias} if use_bias else {'kernel': kernel}
    made = jax.eval_shape(layer.init, jax.random.key(0), a)['params']
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(jnp.shape, params)
    assert_close(layer.apply({'params': params}, a), function(a, kernel) + (bias if use_bias else 0))


def test_an_upsampling_kernel_has_the_fan_in_of_pytorch(monkeypatch):
  torch = pytest.importorskip('torch', reason='the reference is PyTorch')
  weight = torch.nn.ConvTranspose2d(96, 32, 4, stride=2, padding=1).weight
  fan_in, _ = torch.nn.init._calculate_fan_in_and_fan_out(weight)
  monkeypatch.setenv('JGEN_CONVOLUTION', 'plain')
  init = jax.jit(ConvTranspose(32, kernel_init=jax.nn.initializers.lecun_normal()).init)
  kernel = init(jax.random.key(0), np.zeros((1, 2, 2, 96), np.float32))['params']['kernel']
  np.testing.assert_allclose(kernel.std(), fan_in**-0.5, rtol=0.02)
