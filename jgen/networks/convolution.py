"""Convolution and transposed convolution of PyTorch's geometry, fast where they run.

Three maps, each linear in each of its two arguments and each other's transposes, so that they are closed
under reverse-mode differentiation of any order (forward mode is not defined):

  convolve(x, kernel) -> y              x [B, H, W, Ci]
  transpose_convolve(y, kernel) -> x    y [B, h, w, Co], h = (H + 2 padding - k) // stride + 1
  kernel_gradient(x, y) -> kernel       kernel [k, k, Ci, Co]

The environment variable JGEN_CONVOLUTION chooses their form when a function is traced: `plain` is XLA's own
convolution, right for accelerators and the quickest to compile; `fast` is made of products of matrices, which
XLA does much better on a CPU. Unset, the backend decides. Parameters are the same in both; results differ by
rounding.
"""

from collections.abc import Callable
import functools
import os
from typing import NamedTuple

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from jgen.errors import UserError
from jgen.networks import winograd


class Geometry(NamedTuple):
  """What a convolution does to the sides of an image."""

  kernel_size: int
  stride: int
  padding: int
  height: int                     # of x, the larger image
  width: int

  @property
  def sides(self):
    """(h, w) of y, the smaller image."""
    return tuple((side + 2 * self.padding - self.kernel_size) // self.stride + 1 for side in (self.height, self.width))


class Form(NamedTuple):
  """One way to compute the three maps."""

  convolve: Callable              # (x, kernel) -> y
  transpose_convolve: Callable    # (y, kernel) -> x
  kernel_gradient: Callable       # (x, y) -> kernel


def convolve(x, kernel, stride=2, padding=1):
  """x [B, H, W, Ci], kernel [k, k, Ci, Co] -> [B, h, w, Co], h = (H + 2 padding - k) // stride + 1.

  PyTorch's conv2d, its weight being the kernel with axes [Co, Ci, k, k].

  Raises:
    UserError: the kernel does not fit into the image.
  """
  _, height, width, channels = x.shape
  geometry = Geometry(kernel.shape[0], stride, padding, height, width)
  if min(geometry.sides) < 1:
    raise UserError(f'a layer cannot take its {geometry.kernel_size} x {geometry.kernel_size} kernel over an image of '
                    f'{height} x {width} pixels; choose larger images or fewer layers')
  return _convolve(_choose_form(geometry, channels), x, kernel)


def transpose_convolve(y, kernel, stride=2, padding=1, output_padding=0):
  """y [B, h, w, Co], kernel [k, k, Ci, Co] -> [B, H, W, Ci], H = stride (h - 1) + k - 2 padding + output_padding.

  PyTorch's conv_transpose2d, its weight being the kernel with axes [Co, Ci, k, k]; the transpose of `convolve`.

  Raises:
    UserError: output_padding is not below the stride.
  """
  if not 0 <= output_padding < stride:
    raise UserError(f'output_padding is {output_padding}; expected 0 to {stride - 1}, less than the stride')
  height, width = (stride * (side - 1) + kernel.shape[0] - 2 * padding + output_padding for side in y.shape[1:3])
  geometry = Geometry(kernel.shape[0], stride, padding, height, width)
  return _transpose_convolve(_choose_form(geometry, kernel.shape[2]), y, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(form, x, kernel):
  return form.convolve(x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _transpose_convolve(form, y, kernel):
  return form.transpose_convolve(y, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(form, x, y):
  return form.kernel_gradient(x, y)


_convolve.defvjp(
    lambda form, x, kernel: (form.convolve(x, kernel), (x, kernel)),
    lambda form, saved, y: (_transpose_convolve(form, y, saved[1]), _kernel_gradient(form, saved[0], y)))
_transpose_convolve.defvjp(
    lambda form, y, kernel: (form.transpose_convolve(y, kernel), (y, kernel)),
    lambda form, saved, x: (_convolve(form, x, saved[1]), _kernel_gradient(form, x, saved[0])))
_kernel_gradient.defvjp(
    lambda form, x, y: (form.kernel_gradient(x, y), (x, y)),
    lambda form, saved, k: (_transpose_convolve(form, saved[1], k), _convolve(form, saved[0], k)))


def _transpose(linear, shape, cotangent):
  """The transpose, at `cotangent`, of a linear map whose argument has `shape`."""
  return jax.linear_transpose(linear, jax.ShapeDtypeStruct(shape, cotangent.dtype))(cotangent)[0]


def _form_of_convolve(geometry, convolve):
  """The form whose other two maps are transposes of its `convolve`."""
  def transpose_convolve(y, kernel):
    shape = len(y), geometry.height, geometry.width, kernel.shape[2]
    return _transpose(lambda x: convolve(x, kernel), shape, y)

  def kernel_gradient(x, y):
    size = geometry.kernel_size
    return _transpose(lambda kernel: convolve(x, kernel), (size, size, x.shape[3], y.shape[3]), y)

  return Form(convolve, transpose_convolve, kernel_gradient)


def _form_of_transpose_convolve(geometry, transpose_convolve):
  """The form whose other two maps are transposes of its `transpose_convolve`."""
  def convolve(x, kernel):
    shape = len(x), *geometry.sides, kernel.shape[3]
    return _transpose(lambda y: transpose_convolve(y, kernel), shape, x)

  def kernel_gradient(x, y):
    size = geometry.kernel_size
    return _transpose(lambda kernel: transpose_convolve(y, kernel), (size, size, x.shape[3], y.shape[3]), x)

  return Form(convolve, transpose_convolve, kernel_gradient)


@functools.cache
def _plain_form(geometry):
  strides, padding = (geometry.stride,) * 2, ((geometry.padding,) * 2,) * 2
  dimensions = 'NHWC', 'HWIO', 'NHWC'
  return _form_of_convolve(geometry, lambda x, kernel: lax.conv_general_dilated(
      x, kernel, strides, padding, dimension_numbers=dimensions))


def _patches_convolve(x, kernel):
  """One product of the matrix of all 4x4 patches with the kernel."""
  cells = winograd.space_to_depth(x)
  batch, height, width = cells.shape[0], cells.shape[1] - 1, cells.shape[2] - 1
  corners = [cells[:, i:i + height, j:j + width] for i in (0, 1) for j in (0, 1)]
  patches = jnp.concatenate(corners, -1).reshape(batch * height * width, -1)
  matrix = winograd.fold_kernel(kernel).reshape(-1, kernel.shape[3])
  return (patches @ matrix).reshape(batch, height, width, -1)


@functools.cache
def _patches_form(geometry):
  return _form_of_convolve(geometry, _patches_convolve)


@functools.cache
def _winograd_form(geometry):
  return _form_of_transpose_convolve(geometry, winograd.transpose_convolve)


def _fast_form(geometry, channels):
  """The faster form on CPU for images of Ci channels.

  XLA's own convolution is in neither, though it wins here and there below 64 channels: in a loop (scan) on
  CPU its transposes to the image and to the kernel take 6 and 130 times as long as outside (jaxlib 0.10.2).
  """
  if geometry[:3] != (4, 2, 1) or geometry.height % 2 or geometry.width % 2:
    return _plain_form(geometry)
  return (_winograd_form if channels >= 16 and geometry.height % 4 == geometry.width % 4 == 0 else
          _patches_form)(geometry)


_FORMS = {
    'plain': lambda geometry, channels: _plain_form(geometry),
    'fast': _fast_form,
}


def _choose_form(geometry, channels):
  default = 'fast' if jax.default_backend() == 'cpu' else 'plain'
  name = os.environ.get('JGEN_CONVOLUTION', default)
  if name not in _FORMS:
    raise UserError(f"the environment variable JGEN_CONVOLUTION is '{name}': expected {' or '.join(_FORMS)}; "
                    'correct it, or unset it for what suits the backend')
  return _FORMS[name](geometry, channels)


class Conv(nn.Module):
  """The learned `convolve`, PyTorch's Conv2d: [B, H, W, Ci] -> [B, h, w, features].

  Its param `kernel` is [k, k, Ci, features].
  """

  features: int
  kernel_size: int = 4
  stride: int = 2
  padding: int = 1
  use_bias: bool = False
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, x):
    size = self.kernel_size
    kernel = self.param('kernel', self.kernel_init, (size, size, x.shape[-1], self.features))
    y = convolve(x, kernel, self.stride, self.padding)
    return y + self.param('bias', nn.initializers.zeros, (self.features,)) if self.use_bias else y


class ConvTranspose(nn.Module):
  """The learned `transpose_convolve`, PyTorch's ConvTranspose2d: [B, h, w, Ci] -> [B, H, W, features].

  Its param `kernel` is [k, k, features, Ci]: what it maps from stands last. An initializer that scales with
  the fan-in takes k k features for it, as in PyTorch's ConvTranspose2d.
  """

  features: int
  kernel_size: int = 4
  stride: int = 2
  padding: int = 1
  output_padding: int = 0
  use_bias: bool = False
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

  @nn.compact
  def __call__(self, y):
    size = self.kernel_size
    kernel = self.param('kernel', self.kernel_init, (size, size, self.features, y.shape[-1]))
    x = transpose_convolve(y, kernel, self.stride, self.padding, self.output_padding)
    return x + self.param('bias', nn.initializers.zeros, (self.features,)) if self.use_bias else x
