"""Building blocks other than convolutions, some chosen by name: normalisations and initialisers."""

from collections.abc import Callable, Sequence
import math
from typing import Any

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float

from jgen.networks import products
from jgen.parallel import AXIS, per_image
from jgen.shapes import Array, PRNGKey

Layer = Callable[[Array], Array]

MOMENTUM = 0.9                          # of the running statistics of BatchNorm; PyTorch's momentum is 1 minus it, 0.1
EPSILON = 1e-5                          # added to the variances, as in PyTorch


class Dense(nn.Module):
  """A linear layer, [B, inputs] -> [B, features]; its parameter `kernel` is [inputs, features]."""

  features: int
  use_bias: bool
  kernel_init: Callable
  kernel_norm: Callable | None = None   # axis of the outputs -> a layer that changes the kernel

  @nn.compact
  def __call__(self, x: Float[Array, 'B inputs']) -> Float[Array, 'B features']:
    kernel = self.param('kernel', self.kernel_init, (x.shape[-1], self.features))
    kernel = self.kernel_norm(axis=1)(kernel) if self.kernel_norm else kernel
    y = products.dot_general(x, kernel, (((x.ndim - 1,), (0,)), ((), ())))
    return y + self.param('bias', nn.initializers.zeros, (self.features,)) if self.use_bias else y


class Dropout(nn.Module):
  """Dropout: each value is zero with probability `rate`, else divided by 1 - rate (Srivastava et al. 2014).

  Random numbers come from the stream 'dropout' and depend on the image's position in the batch over all devices.
  """

  rate: float

  @nn.compact
  def __call__(self, x: Float[Array, '*B']) -> Float[Array, '*B']:
    if not self.rate or self.is_initializing():
      return x
    draw = lambda key: jax.random.bernoulli(key, 1 - self.rate, x.shape[1:])
    return jnp.where(per_image(self.make_rng('dropout'), len(x), draw), x / (1 - self.rate), 0.)


class BatchNorm(nn.Module):
  """Batch normalisation of [B, ..., C] over all devices (Ioffe & Szegedy 2015), as PyTorch's BatchNorm computes it.

  In training, x is normalised by its mean and its biased variance over all axes but the last. The running mean and the
  running variance, which evaluation uses, move by `1 - MOMENTUM` towards this mean and the unbiased variance. Params
  `scale` and `bias` [C]; statistics `mean` and `var` [C] in the collection `batch_stats`.
  """

  train: bool

  @nn.compact
  def __call__(self, x: Float[Array, '*B C']) -> Float[Array, '*B C']:
    channels = x.shape[-1]
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, channels)
    running_var = self.variable('batch_stats', 'var', jnp.ones, channels)
    mean, var = running_mean.value, running_var.value
    if self.train:
      mean, var, unbiased = self.moments(x)
      if not self.is_initializing():
        running_mean.value = MOMENTUM * running_mean.value + (1 - MOMENTUM) * mean
        running_var.value = MOMENTUM * running_var.value + (1 - MOMENTUM) * unbiased
    scale = self.param('scale', nn.initializers.ones, channels)
    bias = self.param('bias', nn.initializers.zeros, channels)
    return (x - mean) * (lax.rsqrt(var + EPSILON) * scale) + bias

  def moments(self, x: Float[Array, '*B C']) -> tuple[Float[Array, ' C'], Float[Array, ' C'], Float[Array, ' C']]:
    """(mean, biased variance, unbiased variance), [C] each, over all devices."""
    axes = tuple(range(x.ndim - 1))
    first_and_second = jnp.stack([values.mean(axes) for values in (x, lax.square(x))])
    count = x.size // x.shape[-1]
    if not self.is_initializing():      # initialisation is not mapped over the devices
      first_and_second, count = lax.pmean(first_and_second, AXIS), count * lax.axis_size(AXIS)
    mean, second = first_and_second
    var = jnp.maximum(0., second - lax.square(mean))   # rounding may make it negative
    return mean, var, var * (count / max(count - 1, 1))


def batch_norm(train: bool) -> Layer:
  return BatchNorm(train)


def instance_norm(train: bool) -> Layer:
  del train  # the same in training and evaluation
  return nn.InstanceNorm(epsilon=1e-5)


def layer_norm(train: bool) -> Layer:
  """Normalisation over height, width and channels of an image, advised for WGAN-GP (Gulrajani et al. 2017, sec. 4)."""
  del train
  return nn.LayerNorm(epsilon=1e-5, reduction_axes=(1, 2, 3))


def no_norm(train: bool) -> Layer:
  del train
  return lambda x: x


NORMALIZATIONS = {'none': no_norm, 'batch': batch_norm, 'instance': instance_norm, 'layer': layer_norm}


def normal(stddev: float | Callable[[Sequence[int]], float]) -> nn.initializers.Initializer:
  """Initial values from N(0, stddev): `stddev` is a number or a function of the kernel's shape.

  They are drawn as a vector and reshaped, which XLA compiles several times faster than an array of four axes.
  """
  def init(key, shape, dtype=jnp.float32):
    scale = stddev(shape) if callable(stddev) else stddev
    return scale * jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)
  return init


def he_stddev(shape: Sequence[int]) -> float:
  """He et al. 2015, eq. 10, for a kernel [..., inputs, outputs].

  A `ConvTranspose`'s kernel is [4, 4, outputs, inputs]; there it counts the outputs, as PyTorch does.
  """
  return math.sqrt(2. / math.prod(shape[:-1]))


def pytorch_uniform(key: PRNGKey, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
  """Uniform within 1 / sqrt(fan-in), PyTorch's default for layers; the fan-in is counted as in `he_stddev`.

  For kernels only: biases start at 0, unlike in PyTorch.
  """
  bound = 1 / math.sqrt(math.prod(shape[:-1]))
  return jax.random.uniform(key, (math.prod(shape),), dtype, -bound, bound).reshape(shape)


def pytorch_uniform_from_one_pixel(key: PRNGKey, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
  """`pytorch_uniform` for the kernel [inputs, outputs] of a linear layer, as a transposed convolution of a pixel.

  PyTorch counts the outputs of a ConvTranspose2d as its fan-in.
  """
  return pytorch_uniform(key, shape[::-1], dtype).T


# `dcgan`: Radford et al. 2016, sec. 4.
KERNEL_INITS = {'dcgan': normal(0.02), 'he': normal(he_stddev), 'pytorch': pytorch_uniform}
# For linear layers that stand for the first transposed convolution of a generator.
FROM_ONE_PIXEL_INITS = {**KERNEL_INITS, 'pytorch': pytorch_uniform_from_one_pixel}
