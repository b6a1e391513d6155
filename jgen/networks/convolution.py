"""The 4x4, stride-2, padding-1 convolution of DCGAN-type networks and its transpose, fast where they run.

Three maps, each linear in each of its two arguments and each other's transposes, so that they are closed
under reverse-mode differentiation of any order (forward mode is not defined):

  convolve(x, kernel) -> y              x [B, H, W, Ci], H and W even
  transpose_convolve(y, kernel) -> x    y [B, H/2, W/2, Co]
  kernel_gradient(x, y) -> kernel       kernel [4, 4, Ci, Co]

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


class Form(NamedTuple):
  """One way to compute the three maps."""

  convolve: Callable              # (x, kernel) -> y
  transpose_convolve: Callable    # (y, kernel) -> x
  kernel_gradient: Callable       # (x, y) -> kernel


def convolve(x, kernel):
  """Halves images: x [B, H, W, Ci], kernel [4, 4, Ci, Co] -> [B, H/2, W/2, Co].

  PyTorch's conv2d(stride=2, padding=1), its weight being the kernel with axes [Co, Ci, 4, 4].

  Raises:
    UserError: for an odd height or width.
  """
  _, height, width, channels = x.shape
  if height % 2 or width % 2:
    raise UserError(f'a layer cannot halve images of {height} x {width} pixels: even sides are needed; '
                    'choose an image size that 2 divides once for each halving layer')
  return _convolve(_choose_form(height, width, channels), x, kernel)


def transpose_convolve(y, kernel):
  """Doubles images: y [B, h, w, Co], kernel [4, 4, Ci, Co] -> [B, 2h, 2w, Ci]; the transpose of `convolve`.

  PyTorch's conv_transpose2d(stride=2, padding=1), its weight being the kernel with axes [Co, Ci, 4, 4].
  """
  _, height, width, _ = y.shape
  return _transpose_convolve(_choose_form(2 * height, 2 * width, kernel.shape[2]), y, kernel)


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


def _form_of_convolve(convolve):
  """The form whose other two maps are transposes of its `convolve`."""
  def transpose_convolve(y, kernel):
    batch, height, width, _ = y.shape
    shape = batch, 2 * height, 2 * width, kernel.shape[2]
    return _transpose(lambda x: convolve(x, kernel), shape, y)

  def kernel_gradient(x, y):
    return _transpose(lambda kernel: convolve(x, kernel), (4, 4, x.shape[3], y.shape[3]), y)

  return Form(convolve, transpose_convolve, kernel_gradient)


def _form_of_transpose_convolve(transpose_convolve):
  """The form whose other two maps are transposes of its `transpose_convolve`."""
  def convolve(x, kernel):
    batch, height, width, _ = x.shape
    shape = batch, height // 2, width // 2, kernel.shape[3]
    return _transpose(lambda y: transpose_convolve(y, kernel), shape, x)

  def kernel_gradient(x, y):
    return _transpose(lambda kernel: transpose_convolve(y, kernel), (4, 4, x.shape[3], y.shape[3]), x)

  return Form(convolve, transpose_convolve, kernel_gradient)


def _lax_convolve(x, kernel):
  dimensions = 'NHWC', 'HWIO', 'NHWC'
  return lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=dimensions)


def _patches_convolve(x, kernel):
  """One product of the matrix of all 4x4 patches with the kernel."""
  cells = winograd.space_to_depth(x)
  batch, height, width = cells.shape[0], cells.shape[1] - 1, cells.shape[2] - 1
  corners = [cells[:, i:i + height, j:j + width] for i in (0, 1) for j in (0, 1)]
  patches = jnp.concatenate(corners, -1).reshape(batch * height * width, -1)
  matrix = winograd.fold_kernel(kernel).reshape(-1, kernel.shape[3])
  return (patches @ matrix).reshape(batch, height, width, -1)


_PLAIN = _form_of_convolve(_lax_convolve)
_PATCHES = _form_of_convolve(_patches_convolve)
_WINOGRAD = _form_of_transpose_convolve(winograd.transpose_convolve)


def _fast_form(height, width, channels):
  """The faster form on CPU for images [B, H, W, Ci].

  XLA's own convolution is in neither, though it wins here and there below 64 channels: in a loop (scan) on
  CPU its transposes to the image and to the kernel take 6 and 130 times as long as outside (jaxlib 0.10.2).
  """
  return _WINOGRAD if channels >= 16 and height % 4 == width % 4 == 0 else _PATCHES


_FORMS = {
    'plain': lambda height, width, channels: _PLAIN,
    'fast': _fast_form,
}


def _choose_form(height, width, channels):
  default = 'fast' if jax.default_backend() == 'cpu' else 'plain'
  name = os.environ.get('JGEN_CONVOLUTION', default)
  if name not in _FORMS:
    raise UserError(f"the environment variable JGEN_CONVOLUTION is '{name}': expected {' or '.join(_FORMS)}; "
                    'correct it, or unset it for what suits the backend')
  return _FORMS[name](height, width, channels)


class Downsample(nn.Module):
  """The learned `convolve`: [B, H, W, Ci] -> [B, H/2, W/2, features]; param `kernel` [4, 4, Ci, features]."""

  features: int
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  use_bias: bool = False

  @nn.compact
  def __call__(self, x):
    kernel = self.param('kernel', self.kernel_init, (4, 4, x.shape[-1], self.features))
    y = convolve(x, kernel)
    return y + self.param('bias', nn.initializers.zeros, (self.features,)) if self.use_bias else y


class Upsample(nn.Module):
  """The learned `transpose_convolve`: [B, h, w, Ci] -> [B, 2h, 2w, features].

  Its param `kernel` is [4, 4, features, Ci]: what it maps from stands last. An initializer that scales with
  the fan-in takes 16 features for it, as in PyTorch's ConvTranspose2d; an output pixel sums 4 Ci products.
  """

  features: int
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  use_bias: bool = False

  @nn.compact
  def __call__(self, y):
    kernel = self.param('kernel', self.kernel_init, (4, 4, self.features, y.shape[-1]))
    x = transpose_convolve(y, kernel)
    return x + self.param('bias', nn.initializers.zeros, (self.features,)) if self.use_bias else x
