"""Generator and critic (discriminator) of the DCGAN, Radford et al. 2016, for images whose sides halve evenly.

A transposed 4x4 convolution of one pixel is a `Dense`, and so is a 4x4 convolution down to one pixel:
the same function with the same number of parameters, and faster.
"""

from collections.abc import Callable
import functools
import math
from typing import Any

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from jgen.activations import leaky_relu, tanh
from jgen.networks.layers import Dense, Dropout
from jgen.networks.spectral import SpectralNorm
from jgen.shapes import Array, Images, PerImage

# The first layer of a network, in the order of the data: its gradient shows whether learning reaches it.
FIRST_LAYER = 'layer_0'


class Network(nn.Module):
  """Fields and methods shared by generator and critic."""

  features: tuple[int, ...]
  negative_slope: float                 # of the (leaky) ReLU; 0 is ReLU
  normalization: Callable               # train -> layer
  kernel_init: Callable
  use_bias: bool
  spectral_norm: bool                   # whether all kernels are divided by their largest singular value
  dropout: float                        # rate of dropout after each (leaky) ReLU

  def options(self, train: bool) -> dict[str, Any]:
    """The arguments of layers with kernels."""
    return dict(use_bias=self.use_bias, kernel_init=self.kernel_init,
                kernel_norm=functools.partial(SpectralNorm, train) if self.spectral_norm else None)


class Generator(Network):
  """Latents [B, Z] to images [B, H, W, C] in [-1, 1]; each of `features` but the first doubles the size."""

  image_shape: tuple[int, int, int]
  first_kernel_init: Callable           # of the first layer
  resampling: Callable                  # a layer of jgen.networks.convolution.resampling
  dropout_at_sampling: bool             # whether dropout also applies in evaluation

  @nn.compact
  def __call__(self, latents: Float[Array, 'B inputs'], train: bool) -> Images:
    return self.draw(latents, train)

  def draw(self, latents: Float[Array, 'B inputs'], train: bool) -> Images:
    height, width, channels = self.image_shape
    base = (height >> len(self.features), width >> len(self.features), self.features[0])
    options, dropout = self.options(train), self.dropout if train or self.dropout_at_sampling else 0.
    first = {**options, 'kernel_init': self.first_kernel_init}
    x = Dense(math.prod(base), name=FIRST_LAYER, **first)(latents).reshape(-1, *base)
    for i, features in enumerate((*self.features[1:], channels), start=1):
      x = leaky_relu(self.normalization(train)(x), self.negative_slope)
      x = self.resampling(features, name=f'layer_{i}', **options)(Dropout(dropout)(x))
    return tanh(x)


class EmbeddingGenerator(Generator):
  """A Generator for latents that end in the one-hot label [B, Z + Y], which it replaces by a learned vector."""

  num_classes: int                      # Y
  embedding_size: int                   # entries of such a vector

  @nn.compact
  def __call__(self, latents: Float[Array, 'B inputs'], train: bool) -> Images:
    noise, one_hot = latents[:, :-self.num_classes], latents[:, -self.num_classes:]
    table = self.param('label_embedding', nn.initializers.normal(1.), (self.num_classes, self.embedding_size))
    return self.draw(jnp.concatenate([noise, one_hot @ table], axis=-1), train)


class Critic(Network):
  """Images [B, H, W, C] to (logits [B], features of the head [B, F]); the first of `features` is not normalised."""

  resampling: tuple[Callable, ...]      # one layer for each of `features`
  head_bias: bool                       # whether the head has a bias; `use_bias` implies it

  @nn.compact
  def __call__(self, images: Float[Array, 'B H W inputs'], train: bool) -> tuple[PerImage, Float[Array, 'B F']]:
    x = self.body(images, train)
    return self.head(x, train), x

  def body(self, images: Float[Array, 'B H W inputs'], train: bool) -> Float[Array, 'B F']:
    """The flat features of images for the heads, [B, F]."""
    options, x = self.options(train), images
    for i, (features, layer) in enumerate(zip(self.features, self.resampling, strict=True)):
      x = layer(features, name=f'layer_{i}', **options)(x)
      x = leaky_relu(self.normalization(train)(x) if i else x, self.negative_slope)
      x = Dropout(self.dropout if train else 0.)(x)
    return x.reshape(len(x), -1)

  def head(self, x: Float[Array, 'B F'], train: bool) -> PerImage:
    """The logits [B] for the output of the body."""
    options = self.options(train) | {'use_bias': self.use_bias or self.head_bias}
    return Dense(1, name=f'layer_{len(self.features)}', **options)(x)[:, 0]


class ClassifyingCritic(Critic):
  """A Critic with two heads on one body: images [B, H, W, C] to (logits [B], logits of the classes [B, Y])."""

  num_classes: int                      # Y

  @nn.compact
  def __call__(self, images: Float[Array, 'B H W inputs'], train: bool) -> tuple[PerImage, Float[Array, 'B Y']]:
    x = self.body(images, train)
    options = self.options(train) | {'use_bias': True}
    return self.head(x, train), Dense(self.num_classes, name='class_head', **options)(x)


class Head(nn.Module):
  """A linear head on a critic's body as a separate network: [B, F] -> [B, outputs]."""

  outputs: int
  kernel_init: Callable

  @nn.compact
  def __call__(self, x: Float[Array, 'B F'], train: bool) -> Float[Array, 'B outputs']:
    del train  # the same in training and evaluation
    return Dense(self.outputs, use_bias=True, kernel_init=self.kernel_init, name='linear')(x)
