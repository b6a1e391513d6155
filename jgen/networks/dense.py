"""Encoder and decoder of a VAE over arrays that need no convolution: linear layers over all their values."""

from collections.abc import Callable
import math

from flax import linen as nn


class DenseEncoder(nn.Module):
  """Arrays [B, ...] to (mean, log variance) of the latents, [B, Z] each."""

  latent_size: int
  features: tuple[int, ...]
  negative_slope: float                 # of the (leaky) ReLU; 0 is ReLU
  kernel_init: Callable

  @nn.compact
  def __call__(self, x, train):
    del train  # the same in training and evaluation
    x = hidden_layers(self, x.reshape(len(x), -1))
    head = lambda name: nn.Dense(self.latent_size, kernel_init=self.kernel_init, name=name)(x)
    return head('mean'), head('log_variance')


class DenseDecoder(nn.Module):
  """Latents [B, Z] to [B, *shape], unbounded."""

  shape: tuple[int, ...]
  features: tuple[int, ...]
  negative_slope: float
  kernel_init: Callable

  @nn.compact
  def __call__(self, latents, train):
    del train
    x = nn.Dense(math.prod(self.shape), kernel_init=self.kernel_init, name='output')(hidden_layers(self, latents))
    return x.reshape(-1, *self.shape)


def hidden_layers(module, x):
  """[B, the last of its features] for [B, inputs]."""
  for i, features in enumerate(module.features):
    x = nn.leaky_relu(nn.Dense(features, kernel_init=module.kernel_init, name=f'layer_{i}')(x), module.negative_slope)
  return x
