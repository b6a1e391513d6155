"""Generator and critic of the DCGAN, Radford et al. 2016, for any image whose sides halve evenly.

A transposed 4x4 convolution of one pixel is a `Dense`, and so is a 4x4 convolution down to one pixel:
the same function with the same number of parameters, and faster.
"""

from collections.abc import Callable
import math

from flax import linen as nn
import jax.numpy as jnp

from jgen.networks.convolution import Conv, ConvTranspose

# The first layer of a network, in the order of the data: its gradient tells whether learning reaches it.
FIRST_LAYER = 'layer_0'


class Generator(nn.Module):
  """Latents [B, Z] to images [B, H, W, C] in [-1, 1]; each of `features` but the first doubles the size."""

  image_shape: tuple[int, int, int]
  features: tuple[int, ...]
  negative_slope: float                 # of the (leaky) ReLU; 0 is ReLU
  normalization: Callable               # train -> layer
  kernel_init: Callable
  use_bias: bool

  @nn.compact
  def __call__(self, latents, train):
    height, width, channels = self.image_shape
    base = (height >> len(self.features), width >> len(self.features), self.features[0])
    options = dict(use_bias=self.use_bias, kernel_init=self.kernel_init)
    x = nn.Dense(math.prod(base), name=FIRST_LAYER, **options)(latents).reshape(-1, *base)
    for i, features in enumerate((*self.features[1:], channels), start=1):
      x = nn.leaky_relu(self.normalization(train)(x), self.negative_slope)
      x = ConvTranspose(features, name=f'layer_{i}', **options)(x)
    return jnp.tanh(x)


class Critic(nn.Module):
  """Images [B, H, W, C] to logits [B]; each of `features` halves the size, the first is not normalised."""

  features: tuple[int, ...]
  negative_slope: float
  normalization: Callable
  kernel_init: Callable
  use_bias: bool

  @nn.compact
  def __call__(self, images, train):
    options = dict(use_bias=self.use_bias, kernel_init=self.kernel_init)
    x = images
    for i, features in enumerate(self.features):
      x = Conv(features, name=f'layer_{i}', **options)(x)
      x = nn.leaky_relu(self.normalization(train)(x) if i else x, self.negative_slope)
    return nn.Dense(1, name=f'layer_{len(self.features)}', **options)(x.reshape(len(x), -1))[:, 0]
