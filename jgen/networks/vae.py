"""Encoder and decoder of a convolutional VAE (Kingma & Welling 2014): the mirrored layers of a DCGAN.

The encoder has halving convolutions, each with a normalisation and a (leaky) ReLU, and two linear heads; the decoder
a linear layer and transposed convolutions. A head on the whole map equals the 4x4 convolution to one pixel of a fully
convolutional network: the same function with the same number of parameters.
"""

from collections.abc import Callable, Sequence

from flax import linen as nn
import jax.numpy as jnp

from jgen.activations import leaky_relu
from jgen.networks.convolution.layers import Conv, ConvTranspose
from jgen.shapes import Images, Latents, Map, Values


class HalvingLayers(nn.Module):
  """The layers of both encoders; each layer halves the sides."""

  features: tuple[int, ...]             # the last is c
  kernel_size: int
  negative_slope: float                 # of the (leaky) ReLU; 0 is ReLU
  normalization: Callable               # train -> layer
  kernel_init: Callable
  use_bias: bool

  def to_map(self, images: Images, train: bool) -> Map:
    x = images
    for i, features in enumerate(self.features):
      x = Conv(features, self.kernel_size, stride=2, padding=1, use_bias=self.use_bias, kernel_init=self.kernel_init,
               name=f'layer_{i}')(x)
      x = leaky_relu(self.normalization(train)(x), self.negative_slope)
    return x


class MapEncoder(HalvingLayers):
  """An encoder from images [B, H, W, C] to a map of features [B, h, w, c]."""

  @nn.compact
  def __call__(self, images: Images, train: bool) -> Map:
    return self.to_map(images, train)


class Encoder(HalvingLayers):
  """Images [B, H, W, C] to (mean, log variance) of the latents, [B, Z] each."""

  latent_size: int

  @nn.compact
  def __call__(self, images: Images, train: bool) -> tuple[Latents, Latents]:
    x = self.to_map(images, train)
    x = x.reshape(x.shape[0], -1)   # not len(x): exports have a symbolic batch size
    head = lambda name: nn.Dense(self.latent_size, kernel_init=self.kernel_init, name=name)(x)
    return head('mean'), head('log_variance')


class MapDecoder(nn.Module):
  """A map of features [B, h, w, c] to [B, H, W, C], unbounded; all layers but the last are normalised."""

  channels: int                         # C
  features: tuple[int, ...]             # of the layers that double the image, except the last
  kernel_size: int
  padding: int
  last_kernel_size: int
  last_stride: int
  last_padding: int
  negative_slope: float
  normalization: Callable
  kernel_init: Callable
  use_bias: bool                        # of the normalised layers; the last layer always has a bias

  @nn.compact
  def __call__(self, x: Map, train: bool) -> Images:
    return self.to_images(x, train)

  def to_images(self, x: Map, train: bool) -> Images:
    for i, features in enumerate(self.features, start=1):
      x = ConvTranspose(features, self.kernel_size, 2, self.padding, self.use_bias, self.kernel_init,
                        output_padding=output_padding(self.kernel_size, 2), name=f'layer_{i}')(x)
      x = leaky_relu(self.normalization(train)(x), self.negative_slope)
    return ConvTranspose(self.channels, self.last_kernel_size, self.last_stride, self.last_padding,
                         use_bias=True, kernel_init=self.kernel_init,
                         output_padding=output_padding(self.last_kernel_size, self.last_stride),
                         name=f'layer_{len(self.features) + 1}')(x)


class Decoder(MapDecoder):
  """A decoder from latents [B, Z] to unbounded [B, H, W, C], which the likelihood interprets.

  A linear layer with a bias and without normalisation gives a map of shape `base` = (h, w, features).
  """

  base: tuple[int, int, int]
  fully_convolutional: bool             # the first layer is a convolution from one pixel, with one bias per channel
  activate_first: bool                  # a (leaky) ReLU after the first layer

  @nn.compact
  def __call__(self, latents: Latents, train: bool) -> Images:
    x = self.first_layer(latents)
    x = leaky_relu(x, self.negative_slope) if self.activate_first else x
    return self.to_images(x, train)

  def first_layer(self, latents: Latents) -> Map:
    height, width, features = self.base
    def as_convolution(key, shape, dtype=jnp.float32):   # initial values of a transposed convolution from one pixel
      return self.kernel_init(key, (*self.base, shape[0]), dtype).reshape(-1, shape[0]).T
    x = nn.Dense(height * width * features, use_bias=not self.fully_convolutional,
                 kernel_init=as_convolution if self.fully_convolutional else self.kernel_init,
                 name='layer_0')(latents).reshape(-1, height, width, features)
    return x + self.param('layer_0_bias', nn.initializers.zeros, (features,)) if self.fully_convolutional else x


class VAE(nn.Module):
  """Encoder and decoder as one network."""

  encoder: nn.Module
  decoder: nn.Module
  learns_variance: bool                 # whether there is a parameter `log_variance`, []

  def setup(self) -> None:
    if self.learns_variance:
      self.log_variance = self.param('log_variance', nn.initializers.zeros, ())

  def __call__(self, images: Values, noise: Latents, train: bool) -> tuple[Latents, Latents, Values]:
    """(mean [B, Z], log variance [B, Z], output [B, H, W, C]) for standard normal noise [B, Z]."""
    mean, log_variance = self.encoder(images, train)
    return mean, log_variance, self.decoder(mean + jnp.exp(log_variance / 2) * noise, train)

  def encode(self, images: Values, train: bool) -> tuple[Latents, Latents]:
    return self.encoder(images, train)

  def decode(self, latents: Latents, train: bool) -> Values:
    return self.decoder(latents, train)


def output_padding(kernel_size: int, stride: int) -> int:
  """The output padding with which a transposed convolution doubles exactly: 1 for odd kernels, as in PyTorch."""
  return 1 if stride == 2 and kernel_size % 2 else 0


def base_side(side: int, layers: Sequence[tuple[int, int, int]]) -> int | None:
  """The side that transposed convolutions (kernel size, stride, padding), in order, enlarge to `side`.

  None if it is not a whole number of pixels.
  """
  for kernel_size, stride, padding in reversed(layers):
    span = side - kernel_size + 2 * padding - output_padding(kernel_size, stride)
    if span % stride or span < 0:
      return None
    side = span // stride + 1
  return side
