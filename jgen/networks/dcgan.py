"""Generator and critic of the DCGAN, Radford et al. 2016, for any image whose sides halve evenly.

A transposed 4x4 convolution of one pixel is a `Dense`, and so is a 4x4 convolution down to one pixel:
the same function with the same number of parameters, and faster.
"""

from collections.abc import Callable
import functools
import math

from flax import linen as nn
import jax.numpy as jnp

from jgen.networks.layers import Dense, Dropout
from jgen.networks.spectral import SpectralNorm

# The first layer of a network, in the order of the data: its gradient tells whether learning reaches it.
FIRST_LAYER = 'layer_0'


class Network(nn.Module):
  """What both have."""

  features: tuple[int, ...]
  negative_slope: float                 # of the (leaky) ReLU; 0 is ReLU
  normalization: Callable               # train -> layer
  kernel_init: Callable
  use_bias: bool
  resampling: Callable                  # a layer of jgen.networks.resampling
  spectral_norm: bool                   # whether all kernels are divided by their largest singular value
  dropout: float                        # probability with which a value after a (leaky) ReLU is dropped

  def options(self, train):
    """What the layers with kernels are told."""
    return dict(use_bias=self.use_bias, kernel_init=self.kernel_init,
                kernel_norm=functools.partial(SpectralNorm, train) if self.spectral_norm else None)


class Generator(Network):
  """Latents [B, Z] to images [B, H, W, C] in [-1, 1]; each of `features` but the first doubles the size."""

  image_shape: tuple[int, int, int]
  dropout_at_sampling: bool             # whether values are dropped in evaluation as in training

  @nn.compact
  def __call__(self, latents, train):
    height, width, channels = self.image_shape
    base = (height >> len(self.features), width >> len(self.features), self.features[0])
    options, dropout = self.options(train), self.dropout if train or self.dropout_at_sampling else 0.
    x = Dense(math.prod(base), name=FIRST_LAYER, **options)(latents).reshape(-1, *base)
    for i, features in enumerate((*self.features[1:], channels), start=1):
      x = nn.leaky_relu(self.normalization(train)(x), self.negative_slope)
      x = self.resampling(features, name=f'layer_{i}', **options)(Dropout(dropout)(x))
    return jnp.tanh(x)


class Critic(Network):
  """Images [B, H, W, C] to logits [B]; each of `features` halves the size, the first is not normalised."""

  @nn.compact
  def __call__(self, images, train):
    return self.head(self.body(images, train), train)

  def body(self, images, train):
    """What the head sees of the images, [B, everything]."""
    options, x = self.options(train), images
    for i, features in enumerate(self.features):
      x = self.resampling(features, name=f'layer_{i}', **options)(x)
      x = nn.leaky_relu(self.normalization(train)(x) if i else x, self.negative_slope)
      x = Dropout(self.dropout if train else 0.)(x)
    return x.reshape(len(x), -1)

  def head(self, x, train):
    """The logits [B] of what the body returns."""
    return Dense(1, name=f'layer_{len(self.features)}', **self.options(train))(x)[:, 0]
