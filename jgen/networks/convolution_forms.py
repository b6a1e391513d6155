"""Ways to compute a convolution x -> y, its transpose y -> x and the gradient to its kernel.

Shapes are those of `jgen.networks.convolution`: x [B, H, W, Ci], y [B, h, w, Co], kernel [k, k, Ci, Co].
"""

from collections.abc import Callable
import functools
import operator
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp


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
  """One way to compute the three maps of a geometry."""

  convolve: Callable              # (x, kernel) -> y
  transpose_convolve: Callable    # (y, kernel) -> x
  kernel_gradient: Callable       # (x, y) -> kernel


@functools.cache
def plain_form(geometry):
  """XLA's own convolution and its own transposes."""
  convolve = functools.partial(xla_convolve, geometry)
  size = geometry.kernel_size

  def transpose_convolve(y, kernel):
    shape = len(y), geometry.height, geometry.width, kernel.shape[2]
    return transpose(lambda x: convolve(x, kernel), shape, y)

  def kernel_gradient(x, y):
    return transpose(lambda kernel: convolve(x, kernel), (size, size, x.shape[3], y.shape[3]), y)

  return Form(convolve, transpose_convolve, kernel_gradient)


def transpose(linear, shape, cotangent):
  """The transpose, at `cotangent`, of a linear map whose argument has `shape`."""
  return jax.linear_transpose(linear, jax.ShapeDtypeStruct(shape, cotangent.dtype))(cotangent)[0]


@functools.cache
def taps_form(geometry):
  """For many channels: XLA's convolution forwards, products of matrices for its transposes."""
  return Form(*(functools.partial(f, geometry) for f in (xla_convolve, taps_transpose, taps_kernel_gradient)))


@functools.cache
def strided_planes_form(geometry):
  """For few channels of x and a stride."""
  return Form(*(functools.partial(f, geometry) for f in (xla_convolve, taps_transpose, planes_kernel_gradient)))


@functools.cache
def planes_form(geometry):
  """For few channels of x and stride 1."""
  return Form(*(functools.partial(f, geometry) for f in (planes_convolve, planes_transpose, planes_kernel_gradient)))


def xla_convolve(geometry, x, kernel):
  strides, padding = (geometry.stride,) * 2, ((geometry.padding,) * 2,) * 2
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


def taps_transpose(geometry, y, kernel):
  """All products of y with the kernel in one of matrices; then each phase of the image sums its own taps of them.

  With stride s, the pixels at (s m + a, s n + b) are the phase (a, b): each tap of the kernel serves one phase.
  """
  size, stride, padding = geometry[:3]
  batch, height, width, _ = y.shape
  inputs = kernel.shape[2]
  rows, columns = -(-geometry.height // stride), -(-geometry.width // stride)
  products = (flat(y) @ flat(kernel).T).reshape(batch, height, width, size, size, inputs)

  def phase(a, b):
    shifted = [
        fitted(products[:, :, :, i, j], ((i - padding - a) // stride, (j - padding - b) // stride), (rows, columns))
        for i in range((a + padding) % stride, size, stride)
        for j in range((b + padding) % stride, size, stride)]
    return functools.reduce(operator.add, shifted, jnp.zeros((batch, rows, columns, inputs), y.dtype))

  phases = [jnp.stack([phase(a, b) for b in range(stride)], 3) for a in range(stride)]
  x = jnp.stack(phases, 2).reshape(batch, rows * stride, columns * stride, inputs)
  return x[:, :geometry.height, :geometry.width]


def taps_kernel_gradient(geometry, x, y):
  """A product of matrices for each tap of the kernel."""
  size, stride = geometry.kernel_size, geometry.stride
  height, width = geometry.sides
  padded, y = fitted(x, (geometry.padding,) * 2, reach(geometry)), flat(y)
  taps = [flat(padded[:, i:i + stride * height:stride, j:j + stride * width:stride]).T @ y
          for i in range(size) for j in range(size)]
  return jnp.stack(taps).reshape(size, size, x.shape[3], -1)


def planes(geometry, x):
  """What each tap of the kernel sees: [k k Ci, B h w], rows of the image whole, as few channels are slow to move."""
  size, stride = geometry.kernel_size, geometry.stride
  height, width = geometry.sides
  padded = fitted(x, (geometry.padding,) * 2, reach(geometry)).transpose(3, 0, 1, 2)
  taps = [padded[:, :, i:i + stride * height:stride, j:j + stride * width:stride]
          for i in range(size) for j in range(size)]
  return jnp.stack(taps).reshape(size * size * x.shape[3], -1)


def planes_convolve(geometry, x, kernel):
  return (planes(geometry, x).T @ flat(kernel)).reshape(len(x), *geometry.sides, -1)


def planes_kernel_gradient(geometry, x, y):
  size = geometry.kernel_size
  return (planes(geometry, x) @ flat(y)).reshape(size, size, x.shape[3], -1)


def planes_transpose(geometry, y, kernel):
  """The transpose of `planes_convolve` at stride 1, summed over the columns of the kernel and then over its rows."""
  size, padding = geometry.kernel_size, geometry.padding
  products = (flat(kernel) @ flat(y).T).reshape(size, size, kernel.shape[2], *y.shape[:3])
  sum_of = lambda terms: functools.reduce(operator.add, terms)
  along_rows = lax.optimization_barrier(sum_of(
      fitted(products[:, j], (0, j - padding), (y.shape[1], geometry.width), axis=3) for j in range(size)))
  x = sum_of(fitted(along_rows[i], (i - padding, 0), (geometry.height, geometry.width), axis=2) for i in range(size))
  return x.transpose(1, 2, 3, 0)


def flat(a):
  """[..., C] -> [-1, C], a matrix."""
  return a.reshape(-1, a.shape[-1])


def reach(geometry):
  """(rows, columns) of the padded image that the convolution sees."""
  return tuple(geometry.stride * (side - 1) + geometry.kernel_size for side in geometry.sides)


def fitted(a, offsets, sides, axis=1):
  """Two axes from `axis` on moved by `offsets` and brought to the lengths `sides`: zeros come in, the rest is cut."""
  edges = [(0, 0, 0)] * a.ndim
  for i, (offset, side) in enumerate(zip(offsets, sides, strict=True), start=axis):
    edges[i] = offset, side - offset - a.shape[i], 0
  return lax.pad(a, jnp.zeros((), a.dtype), edges)
