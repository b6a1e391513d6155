"""Ways to compute a convolution x -> y, its transpose y -> x and the gradient to its kernel.

Shapes are those of `jgen.networks.convolution`: x [B, H, W, Ci], y [B, h, w, Co], kernel [k, k, Ci, Co].
"""

from collections.abc import Callable
import functools
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
def phases_form(geometry):
  """Convolutions in all three maps, each with the order of axes that is fast on a CPU."""
  return Form(*(functools.partial(f, geometry) for f in (xla_convolve, phases_transpose, xla_kernel_gradient)))


def xla_convolve(geometry, x, kernel):
  strides, padding = (geometry.stride,) * 2, ((geometry.padding,) * 2,) * 2
  return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


def phases_transpose(geometry, y, kernel):
  """With stride s, the pixels at (s m + a, s n + b) are the phase (a, b): a convolution of y with its own taps."""
  stride, size = geometry.stride, max(geometry.kernel_size, geometry.stride)     # for every phase, a tap
  geometry, kernel = geometry._replace(kernel_size=size), fitted(kernel, (0, 0), (size, size), axis=0)
  rows, columns = -(-geometry.height // stride), -(-geometry.width // stride)

  def phase(a, b):
    taps, edges = zip(_phase_taps(geometry, a, y.shape[1], rows), _phase_taps(geometry, b, y.shape[2], columns),
                      strict=True)
    taps = lax.rev(kernel[taps], (0, 1)).swapaxes(2, 3)
    return lax.conv_general_dilated(y, taps, (1, 1), edges, dimension_numbers=('NHWC', 'HWIO', 'NHWC'))

  phases = [jnp.stack([phase(a, b) for b in range(stride)], 3) for a in range(stride)]
  x = jnp.stack(phases, 2).reshape(len(y), rows * stride, columns * stride, -1)
  return x[:, :geometry.height, :geometry.width]


def _phase_taps(geometry, offset, inputs, outputs):
  """Which taps of the kernel serve pixels s m + offset along an axis, and the edges that `inputs` pixels get.

  Tap i adds y[m + (offset + padding - i) / s] to pixel m of `outputs`.
  """
  size, stride, padding = geometry[:3]
  first = (offset + padding) % stride
  nearest = (offset + padding - first) // stride              # of its first tap, to the right of m
  farthest = nearest - (size - 1 - first) // stride           # of its last
  return slice(first, None, stride), (-farthest, outputs + nearest - inputs)


def xla_kernel_gradient(geometry, x, y):
  """A convolution of x with y, whose pixels stand `stride` apart; images are its channels, and channels its images.

  Written with XLA's usual order of axes: only at the top of a program, not in a loop, does XLA on a CPU bring other
  orders to it, and those of this gradient as JAX derives it take 100 times as long (jaxlib 0.10.2).
  """
  size, stride, padding = geometry[:3]
  after = (size + stride * (side - 1) - whole - padding
           for side, whole in zip(geometry.sides, (geometry.height, geometry.width), strict=True))
  kernel = lax.conv_general_dilated(
      x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3), (1, 1), [(padding, edge) for edge in after],
      rhs_dilation=(stride, stride), dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  return kernel.transpose(1, 2, 0, 3)


def flat(a):
  """[..., C] -> [-1, C], a matrix."""
  return a.reshape(-1, a.shape[-1])


def fitted(a, offsets, sides, axis=1):
  """Two axes from `axis` on moved by `offsets` and brought to the lengths `sides`: zeros come in, the rest is cut."""
  edges = [(0, 0, 0)] * a.ndim
  for i, (offset, side) in enumerate(zip(offsets, sides, strict=True), start=axis):
    edges[i] = offset, side - offset - a.shape[i], 0
  return lax.pad(a, jnp.zeros((), a.dtype), edges)
