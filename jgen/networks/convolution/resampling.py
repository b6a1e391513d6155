"""Layers that double or halve the sides of an image, by their names in configs."""

from collections.abc import Callable

from flax import linen as nn
from jaxtyping import Float

from jgen.networks.convolution.layers import Conv, ConvTranspose
from jgen.shapes import Array


class Resampling(nn.Module):
  """A 3x3 convolution of stride 1, which subclasses combine with a resampling before or after it."""

  features: int
  use_bias: bool
  kernel_init: Callable
  kernel_norm: Callable | None

  def convolve(self, x: Float[Array, 'B H W Ci'], features: int) -> Float[Array, 'B H W features']:
    return Conv(features, kernel_size=3, stride=1, padding=1, use_bias=self.use_bias, kernel_init=self.kernel_init,
                kernel_norm=self.kernel_norm, name='convolution')(x)


class PixelShuffle(Resampling):
  """[B, H, W, Ci] -> [B, 2H, 2W, features]: four values per pixel, arranged as a square (Shi et al. 2016)."""

  @nn.compact
  def __call__(self, x: Float[Array, 'B H W Ci']) -> Float[Array, 'B h w features']:
    return pixel_shuffle(self.convolve(x, 4 * self.features))


class ResizeConvolution(Resampling):
  """[B, H, W, Ci] -> [B, 2H, 2W, features]: each pixel repeated as a square, then convolved (Odena et al. 2016)."""

  @nn.compact
  def __call__(self, x: Float[Array, 'B H W Ci']) -> Float[Array, 'B h w features']:
    return self.convolve(x.repeat(2, axis=1).repeat(2, axis=2), self.features)


class PooledConvolution(Resampling):
  """[B, H, W, Ci] -> [B, H/2, W/2, features]: a convolution, then the mean over squares of four pixels."""

  @nn.compact
  def __call__(self, x: Float[Array, 'B H W Ci']) -> Float[Array, 'B h w features']:
    return nn.avg_pool(self.convolve(x, self.features), (2, 2), (2, 2))


def pixel_shuffle(x: Float[Array, 'B H W Ci']) -> Float[Array, 'B h w C']:
  """[B, H, W, 4C] -> [B, 2H, 2W, C]; of 4 c + 2 i + j, c is the channel, i the row, j the column, as in PyTorch."""
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height, width, channels // 4, 2, 2).transpose(0, 1, 4, 2, 5, 3)
  return x.reshape(batch, 2 * height, 2 * width, channels // 4)


# The first entry of each is the 4x4 convolution of stride 2 or its transpose, Radford et al. 2016.
UPSAMPLINGS = {'transposed_convolution': ConvTranspose, 'pixel_shuffle': PixelShuffle,
               'resize_convolution': ResizeConvolution}
DOWNSAMPLINGS = {'strides': Conv, 'average_pooling': PooledConvolution}
