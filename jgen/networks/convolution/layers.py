"""Convolution and transposed convolution with PyTorch's geometry, in a form that is fast on the backend.

Three maps, each linear in each of its two arguments and each other's transposes, so that they are closed
under reverse-mode differentiation of any order (forward mode is not defined):

  convolve(x, kernel) -> y              x [B, H, W, Ci]
  transpose_convolve(y, kernel) -> x    y [B, h, w, Co], h = (H + 2 padding - k) // stride + 1
  kernel_gradient(x, y) -> kernel       kernel [k, k, Ci, Co]

The environment variable JGEN_CONVOLUTION chooses their form when a function is traced: `plain` is XLA's own
convolution with JAX's derivatives, suited to accelerators and the fastest to compile; `fast` is
composed of operations that XLA runs well on a CPU; `portable` can be exported to other programs. If unset, the backend
decides. Parameters are the same in all; results differ by rounding.
"""

from collections.abc import Callable, Iterator
import contextlib
import contextvars
import functools
import os

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from jgen.errors import UserError
from jgen.networks import products
from jgen.networks.convolution import winograd
from jgen.networks.convolution.forms import Form, Geometry, phases_form, plain_form, portable_form
from jgen.networks.convolution.winograd import mixed_form, winograd_form
from jgen.shapes import Array, ConvInput, ConvOutput, Kernel


def convolve(x: ConvInput, kernel: Kernel, stride: int = 2, padding: int = 1) -> ConvOutput:
  """x [B, H, W, Ci], kernel [k, k, Ci, Co] -> [B, h, w, Co], h = (H + 2 padding - k) // stride + 1.

  Equals PyTorch's conv2d, its weight being the kernel with axes [Co, Ci, k, k].

  Raises:
    UserError: the kernel does not fit into the image.
  """
  _, height, width, channels = x.shape
  geometry = Geometry(kernel.shape[0], stride, padding, height, width)
  if min(geometry.sides) < 1:
    raise UserError(f'a layer cannot apply its {geometry.kernel_size} x {geometry.kernel_size} kernel to an image of '
                    f'{height} x {width} pixels; choose larger images or fewer layers')
  return _convolve(_choose_form(geometry, channels), x, kernel)


def transpose_convolve(y: ConvOutput, kernel: Kernel, stride: int = 2, padding: int = 1,
                       output_padding: int = 0) -> ConvInput:
  """y [B, h, w, Co], kernel [k, k, Ci, Co] -> [B, H, W, Ci], H = stride (h - 1) + k - 2 padding + output_padding.

  Equals PyTorch's conv_transpose2d, its weight being the kernel with axes [Co, Ci, k, k]; the transpose of `convolve`.

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


# By these functions, not by the form, so that JAX does not derive second derivatives itself.
_convolve.defvjp(
    lambda form, x, kernel: (_convolve(form, x, kernel), (x, kernel)),
    lambda form, saved, y: (_transpose_convolve(form, y, saved[1]), _kernel_gradient(form, saved[0], y)))
_transpose_convolve.defvjp(
    lambda form, y, kernel: (_transpose_convolve(form, y, kernel), (y, kernel)),
    lambda form, saved, x: (_convolve(form, x, saved[1]), _kernel_gradient(form, x, saved[0])))
_kernel_gradient.defvjp(
    lambda form, x, y: (_kernel_gradient(form, x, y), (x, y)),
    lambda form, saved, k: (_transpose_convolve(form, saved[1], k), _convolve(form, saved[0], k)))


def _fast_form(geometry, channels):
  """The faster form on CPU for images of Ci channels, as measured on two cores (jaxlib 0.10.2)."""
  if geometry.stride == 1 or not winograd.serves(geometry):
    return phases_form(geometry)
  return (winograd_form if channels >= 64 else mixed_form)(geometry)


_FORMS = {
    'plain': lambda geometry, channels: plain_form(geometry),
    'fast': _fast_form,
    'portable': lambda geometry, channels: portable_form(geometry),
}
_PORTABLE = contextvars.ContextVar('portable', default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
  """A context in which functions are traced with the form `portable`, for any backend and environment."""
  token = _PORTABLE.set(True)
  try:
    yield
  finally:
    _PORTABLE.reset(token)


def _choose_form(geometry, channels):
  default = 'fast' if jax.default_backend() == 'cpu' else 'plain'
  name = 'portable' if _PORTABLE.get() else os.environ.get('JGEN_CONVOLUTION', default)
  if name not in _FORMS:
    raise UserError(f"the environment variable JGEN_CONVOLUTION is '{name}': expected {' or '.join(_FORMS)}; "
                    'correct it, or unset it for the default of the backend')
  form = products.in_precision(_FORMS[name](geometry, channels))
  return form if name == 'portable' else _kernel_by_kernel(form)


@functools.cache
def _kernel_by_kernel(form):
  """The form, except that when mapped over kernels, such as those of several seeds, it convolves one by one.

  XLA would use a single grouped convolution, which on a CPU is slower.
  """
  def one_by_one(product):
    mapped = jax.custom_batching.custom_vmap(product)
    @mapped.def_vmap
    def over_kernels(size, are_mapped, *factors):
      if not are_mapped[1]:
        return jax.vmap(product, (0, None))(*factors), True
      all_mapped = [factor if is_mapped else jnp.broadcast_to(factor, (size, *factor.shape))
                    for factor, is_mapped in zip(factors, are_mapped, strict=True)]
      return lax.map(lambda factors: product(*factors), all_mapped), True
    return mapped
  return Form(*map(one_by_one, form))


class _Learned(nn.Module):
  """A layer with a learned kernel and, if `use_bias`, a learned bias [features]."""

  features: int
  kernel_size: int = 4
  stride: int = 2
  padding: int = 1
  use_bias: bool = False
  kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
  kernel_norm: Callable | None = None   # axis of the outputs -> a layer that changes the kernel

  output_axis = 3                       # the kernel's axis of outputs; of 2 and 3, the other is that of inputs

  @nn.compact
  def __call__(self, x: ConvInput) -> ConvOutput:
    channels = [x.shape[-1], x.shape[-1]]
    channels[self.output_axis - 2] = self.features
    kernel = self.param('kernel', self.kernel_init, (self.kernel_size, self.kernel_size, *channels))
    kernel = self.kernel_norm(axis=self.output_axis)(kernel) if self.kernel_norm else kernel
    y = self.product(x, kernel)
    return y + self.param('bias', nn.initializers.zeros, (self.features,)) if self.use_bias else y

  def product(self, x: ConvInput, kernel: Kernel) -> ConvOutput:
    """The layer's linear map, without the bias."""
    raise NotImplementedError


class Conv(_Learned):
  """The learned `convolve`, PyTorch's Conv2d: [B, H, W, Ci] -> [B, h, w, features].

  Its param `kernel` is [k, k, Ci, features].
  """

  def product(self, x: ConvInput, kernel: Kernel) -> ConvOutput:
    return convolve(x, kernel, self.stride, self.padding)


class ConvTranspose(_Learned):
  """The learned `transpose_convolve`, PyTorch's ConvTranspose2d: [B, h, w, Ci] -> [B, H, W, features].

  Its param `kernel` is [k, k, features, Ci], the axis of the inputs last. Initializers that scale with the fan-in
  therefore take k k features as the fan-in, as PyTorch's ConvTranspose2d does.
  """

  output_padding: int = 0

  output_axis = 2

  def product(self, x: ConvInput, kernel: Float[Array, 'k k Co Ci']) -> ConvOutput:
    return transpose_convolve(x, kernel, self.stride, self.padding, self.output_padding)
