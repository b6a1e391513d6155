"""Encoder and decoder of a VAE with linear layers, for arrays without spatial structure."""

from collections.abc import Callable
import math

from flax import linen as nn
from jaxtyping import Float

from jgen.activations import leaky_relu
from jgen.networks import products
from jgen.shapes import Array, Latents, Values


class DenseEncoder(nn.Module):
  """Arrays [B, ...] to (mean, log variance) of the latents, [B, Z] each."""

  latent_size: int
  features: tuple[int, ...]
  negative_slope: float                 # of the (leaky) ReLU; 0 is ReLU
  kernel_init: Callable

  @nn.compact
  def __call__(self, x: Values, train: bool) -> tuple[Latents, Latents]:
    del train  # the same in training and evaluation
    x = hidden_layers(self, x.reshape(len(x), -1))
    head = lambda name: _linear(self, self.latent_size, name)(x)
    return head('mean'), head('log_variance')


class DenseDecoder(nn.Module):
  """Latents [B, Z] to [B, *shape], unbounded."""

  shape: tuple[int, ...]
  features: tuple[int, ...]
  negative_slope: float
  kernel_init: Callable

  @nn.compact
  def __call__(self, latents: Latents, train: bool) -> Values:
    del train
    x = _linear(self, math.prod(self.shape), 'output')(hidden_layers(self, latents))
    return x.reshape(-1, *self.shape)


def hidden_layers(module: DenseEncoder | DenseDecoder, x: Float[Array, 'B inputs']) -> Float[Array, 'B outputs']:
  """[B, inputs] to [B, last of the features]."""
  for i, features in enumerate(module.features):
    x = leaky_relu(_linear(module, features, f'layer_{i}')(x), module.negative_slope)
  return x


def _linear(module, features, name):
  return nn.Dense(features, kernel_init=module.kernel_init, name=name, dot_general=products.dot_general)
