"""The 4x4, stride-2, padding-1 convolution as a 2x2, stride-1 one, and its transpose in 9 products for 16.

Space to depth: the image with its border of one zero pixel, cut into blocks of 2 x 2 pixels, is a grid of
(H/2 + 1) x (W/2 + 1) cells of 4C channels. On it the 4x4 kernel of stride 2 is a 2x2 kernel of stride 1.

Along one axis, the transposed 2-tap convolution of two neighbours y0, y1 is a product of polynomials,
(y0 + y1 t)(k0 + k1 t), which Karatsuba's rule takes from its values at t = 0, 1 and infinity: 3 products for
4, and 9 for 16 in the plane. Its own transpose is Winograd's F(2x2, 2x2) (Lavin and Gray, "Fast Algorithms
for Convolutional Neural Networks", 2016). All coefficients are 1 or -1, so that float32 keeps its digits.
"""

from jax import lax
import jax.numpy as jnp


def space_to_depth(x):
  """Images [B, H, W, C] -> cells [B, H/2 + 1, W/2 + 1, 4C]; a cell holds (row, column, channel)."""
  x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  batch, height, width, channels = x.shape
  cells = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
  return cells.reshape(batch, height // 2, width // 2, 4 * channels)


def depth_to_space(cells):
  """The transpose of `space_to_depth`: cells [B, H/2 + 1, W/2 + 1, 4C] -> images [B, H, W, C]."""
  batch, rows, columns, depth = cells.shape
  x = cells.reshape(batch, rows, columns, 2, 2, depth // 4).transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(batch, 2 * rows, 2 * columns, depth // 4)[:, 1:-1, 1:-1]


def fold_kernel(kernel):
  """The kernel [4, 4, Ci, Co] on images -> the same kernel on cells, [2, 2, 4 Ci, Co]."""
  _, _, inputs, outputs = kernel.shape
  folded = kernel.reshape(2, 2, 2, 2, inputs, outputs).transpose(0, 2, 1, 3, 4, 5)
  return folded.reshape(2, 2, 4 * inputs, outputs)


def transpose_convolve(y, kernel):
  """The transposed convolution by Karatsuba's rule: y [B, h, w, Co], h and w even -> x [B, 2h, 2w, Ci].

  kernel: [4, 4, Ci, Co].
  """
  kernels = [_evaluate(row, axis=1) for row in _evaluate(fold_kernel(kernel), axis=0)]
  values = [_evaluate(row, axis=2) for row in _evaluate(y, axis=1)]
  products = [[_multiply(value, k) for value, k in zip(*rows, strict=True)]
              for rows in zip(values, kernels, strict=True)]
  return depth_to_space(_interpolate([_interpolate(row, axis=2) for row in products], axis=1))


def _multiply(y, kernel):
  """y [B, h, w, Co], kernel [1, 1, Ci, Co] -> [B, h, w, Ci].

  Of matrices, because XLA makes a faster kernel gradient of their transpose than of a product of 4-D arrays.
  """
  product = y.reshape(-1, y.shape[-1]) @ lax.squeeze(kernel, (0, 1)).T
  return product.reshape(*y.shape[:-1], -1)


def _evaluate(a, axis):
  """Neighbours (a0, a1) along an axis of even length -> a0 + a1 t at t = 0, 1 and infinity, half as long."""
  a0, a1 = (lax.slice_in_dim(a, start, None, stride=2, axis=axis) for start in (0, 1))
  return a0, a0 + a1, a1


def _interpolate(values, axis):
  """Products of n pairs at t = 0, 1 and infinity -> the sum of their coefficients, 2n + 1 long.

  Pair i adds its coefficients of 1, t and t^2 at 2i, 2i + 1 and 2i + 2.
  """
  at_0, at_1, at_infinity = values
  even = _pad(at_0, axis, 0, 1) + _pad(at_infinity, axis, 1, 0)
  odd = _pad(at_1 - at_0 - at_infinity, axis, 0, 1)
  shape = list(even.shape)
  shape[axis] *= 2
  return lax.slice_in_dim(jnp.stack([even, odd], axis + 1).reshape(shape), 0, shape[axis] - 1, axis=axis)


def _pad(a, axis, before, after):
  return jnp.pad(a, [(before, after) if i == axis else (0, 0) for i in range(a.ndim)])
