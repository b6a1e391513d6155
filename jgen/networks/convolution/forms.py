"""Ways to compute a convolution x -> y, its transpose y -> x and the gradient with respect to its kernel.

Shapes are those of `jgen.networks.convolution.layers`: x [B, H, W, Ci], y [B, h, w, Co], kernel [k, k, Ci, Co].
"""

from collections.abc import Callable, Sequence
import functools
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from jgen.shapes import Array, ConvInput, ConvOutput, Kernel

Edges = tuple[tuple[int, int], tuple[int, int]]   # ((top, bottom), (left, right))

NARROW = 16                       # smallest number of channels for which XLA's convolutions are fast on a CPU
_FEW, _SEGMENT = 8, 4             # channels below which gathering them is slow; pixels processed together then
_AXES = 'NHWC', 'HWIO', 'NHWC'    # of image, kernel and result in XLA's usual order, see `xla_kernel_gradient`


class Geometry(NamedTuple):
  """How a convolution changes the sides of an image."""

  kernel_size: int
  stride: int
  padding: int
  height: int                     # of x, the larger image
  width: int

  @property
  def sides(self) -> tuple[int, ...]:
    """(h, w) of y, the smaller image."""
    return tuple((side + 2 * self.padding - self.kernel_size) // self.stride + 1 for side in (self.height, self.width))


class Form(NamedTuple):
  """One way to compute the three maps of a geometry."""

  convolve: Callable              # (x, kernel) -> y
  transpose_convolve: Callable    # (y, kernel) -> x
  kernel_gradient: Callable       # (x, y) -> kernel


@functools.cache
def plain_form(geometry: Geometry) -> Form:
  """XLA's convolution and its derivatives."""
  convolve = functools.partial(xla_convolve, geometry)
  size = geometry.kernel_size

  def transpose_convolve(y, kernel):
    shape = y.shape[0], geometry.height, geometry.width, kernel.shape[2]
    return transpose(lambda x: convolve(x, kernel), shape, y)

  def kernel_gradient(x, y):
    return transpose(lambda kernel: convolve(x, kernel), (size, size, x.shape[3], y.shape[3]), y)

  return Form(convolve, transpose_convolve, kernel_gradient)


@functools.cache
def portable_form(geometry: Geometry) -> Form:
  """Like `plain_form`, with the transpose as a convolution of dilated images, for export to other programs."""
  return plain_form(geometry)._replace(transpose_convolve=functools.partial(dilated_convolve, geometry))


def dilated_convolve(geometry: Geometry, y: ConvOutput, kernel: Kernel) -> ConvInput:
  """The transposed convolution as a convolution of y, dilated by stride - 1 zeros, with the flipped kernel."""
  size, stride, padding = geometry[:3]
  before = size - 1 - padding
  after = [side - 1 - stride * (small - 1) + padding
           for side, small in zip((geometry.height, geometry.width), y.shape[1:3], strict=True)]
  return lax.conv_general_dilated(
      y, lax.rev(kernel, (0, 1)).swapaxes(2, 3), (1, 1), [(before, edge) for edge in after],
      lhs_dilation=(stride, stride), dimension_numbers=_AXES)


def transpose(linear: Callable[[Array], Array], shape: tuple[int, ...], cotangent: Array) -> Array:
  """The transpose of a linear map with an argument of `shape`, applied to `cotangent`."""
  return jax.linear_transpose(linear, jax.ShapeDtypeStruct(shape, cotangent.dtype))(cotangent)[0]


@functools.cache
def phases_form(geometry: Geometry) -> Form:
  """All three maps as convolutions, each with an order of axes that is fast on a CPU."""
  return Form(*(functools.partial(f, geometry) for f in (phases_convolve, phases_transpose, phases_kernel_gradient)))


def xla_convolve(geometry: Geometry, x: ConvInput, kernel: Kernel) -> ConvOutput:
  strides, padding = (geometry.stride,) * 2, ((geometry.padding,) * 2,) * 2
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_AXES)


def phases_convolve(geometry: Geometry, x: ConvInput, kernel: Kernel) -> ConvOutput:
  """XLA's convolution, except for few output channels at stride 1, which are computed differently."""
  if geometry.stride > 1:
    return xla_convolve(geometry, x, kernel)
  return unit_convolve(x, kernel, ((geometry.padding,) * 2,) * 2)


def unit_convolve(x: ConvInput, kernel: Float[Array, 'rows columns Ci Co'], edges: Edges) -> ConvOutput:
  """The convolution of stride 1 of x with ((top, bottom), (left, right)) rows and columns of zeros around it.

  XLA is slow on a CPU for few output channels. Then the columns of the kernel become channels of a convolution along
  the other axis and are summed after it: two to three times as fast for colour images.
  """
  rows, columns, inputs, outputs = kernel.shape
  if inputs < _FEW and NARROW <= outputs <= 2 * NARROW:
    return segment_convolve(x, kernel, edges)
  convolve = functools.partial(
      lax.conv_general_dilated, x, window_strides=(1, 1), padding=edges, dimension_numbers=_AXES)
  if outputs >= NARROW:
    return convolve(kernel)
  parts = convolve(kernel.transpose(0, 2, 1, 3).reshape(rows, 1, inputs, -1))
  parts = parts.reshape(*parts.shape[:3], columns, outputs)
  width = parts.shape[2] - columns + 1
  return jnp.asarray(sum(parts[:, :, i:i + width, i] for i in range(columns)))


def segment_convolve(x: ConvInput, kernel: Float[Array, 'rows columns Ci Co'], edges: Edges) -> ConvOutput:
  """`unit_convolve` for few input channels, such as colours: the pixels of a segment of a row become channels.

  Half of the products are with zeros; still it is twice as fast for 3 input and 16 output channels.
  """
  rows, columns, inputs, outputs = kernel.shape
  (top, bottom), (left, right) = edges
  width = x.shape[2] + left + right - columns + 1
  segments, taps = -(-width // _SEGMENT), -(-(_SEGMENT + columns - 1) // _SEGMENT)
  x = fitted(x, (top, left), (x.shape[1] + top + bottom, (segments + taps - 1) * _SEGMENT))
  x = x.reshape(*x.shape[:2], -1, _SEGMENT * inputs)
  kernel = jnp.stack([fitted(kernel, (0, i), (rows, taps * _SEGMENT), axis=0) for i in range(_SEGMENT)], 3)
  kernel = kernel.reshape(rows, taps, _SEGMENT * inputs, _SEGMENT * outputs)
  y = lax.conv_general_dilated(x, kernel, (1, 1), 'VALID', dimension_numbers=_AXES)
  return y.reshape(*y.shape[:2], -1, outputs)[:, :, :width]


def phases_transpose(geometry: Geometry, y: ConvOutput, kernel: Kernel) -> ConvInput:
  """With stride s, the pixels (s m + a, s n + b) form the phase (a, b): a convolution of y with a subset of taps."""
  stride, size = geometry.stride, max(geometry.kernel_size, geometry.stride)     # at least one tap for every phase
  geometry, kernel = geometry._replace(kernel_size=size), fitted(kernel, (0, 0), (size, size), axis=0)
  rows, columns = -(-geometry.height // stride), -(-geometry.width // stride)

  def phase(a, b):
    of_rows, row_edges = _phase_taps(geometry, a, y.shape[1], rows)
    of_columns, column_edges = _phase_taps(geometry, b, y.shape[2], columns)
    taps = lax.rev(kernel[of_rows, of_columns], (0, 1)).swapaxes(2, 3)
    return unit_convolve(y, taps, (row_edges, column_edges))

  phases = [jnp.stack([phase(a, b) for b in range(stride)], 3) for a in range(stride)]
  x = jnp.stack(phases, 2).reshape(len(y), rows * stride, columns * stride, -1)
  return x[:, :geometry.height, :geometry.width]


def _phase_taps(geometry, offset, inputs, outputs):
  """The taps of the kernel for pixels s m + offset along an axis, and the padding of `inputs` pixels.

  Tap i adds y[m + (offset + padding - i) / s] to pixel m of `outputs`.
  """
  size, stride, padding = geometry[:3]
  first = (offset + padding) % stride
  nearest = (offset + padding - first) // stride              # of its first tap, to the right of m
  farthest = nearest - (size - 1 - first) // stride           # of its last
  return slice(first, None, stride), (-farthest, outputs + nearest - inputs)


def phases_kernel_gradient(geometry: Geometry, x: ConvInput, y: ConvOutput) -> Kernel:
  """A convolution or, for few channels of y and stride 1, a product of matrices, which then is twice as fast."""
  narrow = geometry.stride == 1 and y.shape[3] < NARROW
  return (product_kernel_gradient if narrow else xla_kernel_gradient)(geometry, x, y)


def product_kernel_gradient(geometry: Geometry, x: ConvInput, y: ConvOutput) -> Kernel:
  """With stride 1, one product of matrices: of each pixel of x with the k x k pixels of y that depend on it."""
  size, _, padding, height, width = geometry
  edge = size - 1 - padding
  y = fitted(y, (edge, edge), (height + size - 1, width + size - 1))
  served = jnp.stack([y[:, i:i + height, j:j + width] for i in range(size) for j in range(size)], 3)
  kernel = flat(x).T @ served.reshape(x.size // x.shape[3], -1)
  return lax.rev(kernel.reshape(-1, size, size, y.shape[3]).transpose(1, 2, 0, 3), (0, 1))


def xla_kernel_gradient(geometry: Geometry, x: ConvInput, y: ConvOutput) -> Kernel:
  """A convolution of x with y dilated by `stride`; images and channels are exchanged.

  Written with XLA's usual order of axes: inside loops, XLA on a CPU does not bring other orders
  to it, and those of this gradient as derived by JAX take 100 times as long (jaxlib 0.10.2).
  """
  size, stride, padding = geometry[:3]
  after = (size + stride * (side - 1) - whole - padding
           for side, whole in zip(geometry.sides, (geometry.height, geometry.width), strict=True))
  kernel = lax.conv_general_dilated(
      x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3), (1, 1), [(padding, edge) for edge in after],
      rhs_dilation=(stride, stride), dimension_numbers=_AXES)
  return kernel.transpose(1, 2, 0, 3)


def flat(a: Float[Array, '... C']) -> Float[Array, 'rows C']:
  """[..., C] -> [-1, C], a matrix."""
  return a.reshape(-1, a.shape[-1])


def fitted(a: Array, offsets: Sequence[int], sides: Sequence[int], axis: int = 1) -> Array:
  """Shifts two axes, starting at `axis`, by `offsets`, and pads with zeros or cuts them to the lengths `sides`."""
  edges = [(0, 0, 0)] * a.ndim
  for i, (offset, side) in enumerate(zip(offsets, sides, strict=True), start=axis):
    edges[i] = offset, side - offset - a.shape[i], 0
  return lax.pad(a, jnp.zeros((), a.dtype), edges)
