"""Winograd convolutions of stride s with kernels of width 2 s or 3 s, by products of polynomials.

Space to depth: the padded image cut into blocks of s x s pixels is a grid of cells of s s C channels. On it the
kernel is one of 2 x 2 or 3 x 3 taps and stride 1.

Along one axis, the transposed r-tap convolution of two neighbours y0, y1 is a product of polynomials,
(y0 + y1 t)(k0 + k1 t + ...), which Toom and Cook's rule takes from its values at t = 0, 1 and infinity for two taps
(Karatsuba), and at -1 too for three: 3 products for 4 and 4 for 6, which is 9 for 16 and 16 for 36 in the plane. Its
own transpose is Winograd's F(2x2, rxr) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). All
coefficients are 1, -1 or, on kernels alone, 1/2, so that float32 keeps its digits.
"""

import functools

from jax import lax
import jax.numpy as jnp

from jgen.networks.convolution.forms import Form, Geometry, fitted, flat, phases_form, transpose
from jgen.shapes import ConvInput, ConvOutput, Kernel


def serves(geometry: Geometry) -> bool:
  """Whether `winograd_form` can compute it."""
  return geometry.kernel_size in (2 * geometry.stride, 3 * geometry.stride)


@functools.cache
def winograd_form(geometry: Geometry) -> Form:
  """The form whose other two maps are derived as transposes of its `transpose_convolve`."""
  size = geometry.kernel_size

  def convolve(x, kernel):
    return transpose(lambda y: transpose_convolve(geometry, y, kernel),
                     (len(x), *geometry.sides, kernel.shape[3]), x)

  def kernel_gradient(x, y):
    return transpose(lambda kernel: transpose_convolve(geometry, y, kernel),
                     (size, size, x.shape[3], y.shape[3]), x)

  return Form(convolve, functools.partial(transpose_convolve, geometry), kernel_gradient)


@functools.cache
def mixed_form(geometry: Geometry) -> Form:
  """`phases_form` with another transpose, for layers with few channels."""
  return phases_form(geometry)._replace(transpose_convolve=functools.partial(transpose_convolve, geometry))


def transpose_convolve(geometry: Geometry, y: ConvOutput, kernel: Kernel) -> ConvInput:
  """y [B, h, w, Co], kernel [k, k, Ci, Co] -> x [B, H, W, Ci]."""
  stride = geometry.stride
  taps = geometry.kernel_size // stride
  evaluate, interpolate = _RULES[taps]
  kernel = _space_to_depth(kernel, stride)
  kernels = [evaluate(row, axis=1) for row in evaluate(kernel, axis=0)]
  values = [_evaluate_pairs(row, 2, taps) for row in _evaluate_pairs(y, 1, taps)]
  products = [[_multiply(value, k) for value, k in zip(*rows, strict=True)]
              for rows in zip(values, kernels, strict=True)]
  cells = interpolate([interpolate(row, axis=2) for row in products], axis=1)
  edge = (-geometry.padding,) * 2
  return fitted(_depth_to_space(cells, stride), edge, (geometry.height, geometry.width))


def _space_to_depth(kernel, stride):
  """The kernel [k, k, Ci, Co] on pixels -> the same kernel on cells, [k/s, k/s, s s Ci, Co]."""
  size, _, inputs, outputs = kernel.shape
  folded = kernel.reshape(size // stride, stride, size // stride, stride, inputs, outputs).transpose(0, 2, 1, 3, 4, 5)
  return folded.reshape(size // stride, size // stride, -1, outputs)


def _depth_to_space(cells, stride):
  """Cells [B, m, n, s s C], which hold (row, column, channel) -> [B, s m, s n, C]."""
  batch, rows, columns, depth = cells.shape
  x = cells.reshape(batch, rows, columns, stride, stride, depth // stride**2).transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(batch, stride * rows, stride * columns, -1)


def _multiply(y, kernel):
  """y [B, h, w, Co], kernel [1, 1, Ci, Co] -> [B, h, w, Ci].

  As a product of matrices, whose transpose gives a faster kernel gradient in XLA than that of 4-D arrays.
  """
  return (flat(y) @ lax.squeeze(kernel, (0, 1)).T).reshape(*y.shape[:-1], -1)


def _evaluate_pairs(y, axis, taps):
  """Neighbours (y0, y1) along an axis -> y0 + y1 t at the points of `taps`, half as long."""
  if y.shape[axis] % 2:
    y = _pad(y, axis, 0, 1)
  y0, y1 = (lax.slice_in_dim(y, start, None, stride=2, axis=axis) for start in (0, 1))
  return (y0, y0 + y1, y1) if taps == 2 else (y0, y0 + y1, y0 - y1, y1)


def _evaluate_2(kernel, axis):
  """k0 + k1 t at t = 0, 1 and infinity."""
  k0, k1 = (lax.slice_in_dim(kernel, i, i + 1, axis=axis) for i in range(2))
  return k0, k0 + k1, k1


def _evaluate_3(kernel, axis):
  """k0 + k1 t + k2 t^2 at t = 0 and infinity, and half of it at 1 and -1, which saves the interpolation a factor."""
  k0, k1, k2 = (lax.slice_in_dim(kernel, i, i + 1, axis=axis) for i in range(3))
  even, odd = (k0 + k2) / 2, k1 / 2
  return k0, even + odd, even - odd, k2


def _interpolate_2(values, axis):
  """Products of n pairs at t = 0, 1 and infinity -> the sum of their coefficients, 2n + 2 long, the last of them 0.

  Pair i adds its coefficients of 1, t and t^2 at 2i, 2i + 1 and 2i + 2.
  """
  at_0, at_1, at_infinity = values
  even = _pad(at_0, axis, 0, 1) + _pad(at_infinity, axis, 1, 0)
  return _interleave(even, _pad(at_1 - at_0 - at_infinity, axis, 0, 1), axis)


def _interpolate_3(values, axis):
  """Products of n pairs at t = 0, 1, -1 and infinity -> sums, 2n + 2 long; pair i adds four coefficients from 2i on."""
  at_0, at_1, at_minus_1, at_infinity = values
  even = _pad(at_0, axis, 0, 1) + _pad(at_1 + at_minus_1 - at_0, axis, 1, 0)
  odd = _pad(at_1 - at_minus_1 - at_infinity, axis, 0, 1) + _pad(at_infinity, axis, 1, 0)
  return _interleave(even, odd, axis)


# {number of taps: (how a kernel is evaluated, how the products are interpolated)}.
_RULES = {2: (_evaluate_2, _interpolate_2), 3: (_evaluate_3, _interpolate_3)}


def _interleave(even, odd, axis):
  shape = list(even.shape)
  shape[axis] *= 2
  return jnp.stack([even, odd], axis + 1).reshape(shape)


def _pad(a, axis, before, after):
  return jnp.pad(a, [(before, after) if i == axis else (0, 0) for i in range(a.ndim)])
