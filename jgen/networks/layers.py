"""What the convolutional networks choose by name: normalisations and initial values."""

import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from jgen.parallel import AXIS


def batch_norm(train):
  """Batch normalisation over all devices, with PyTorch's constants (eps 1e-5, momentum 0.1 of the new)."""
  return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, axis_name=AXIS)


def instance_norm(train):
  del train  # the same in training and evaluation
  return nn.InstanceNorm(epsilon=1e-5)


def layer_norm(train):
  """Over height, width and channels of one image, as the WGAN-GP paper advises (Gulrajani et al. 2017, sec. 4)."""
  del train
  return nn.LayerNorm(epsilon=1e-5, reduction_axes=(1, 2, 3))


def no_norm(train):
  del train
  return lambda x: x


NORMALIZATIONS = {'none': no_norm, 'batch': batch_norm, 'instance': instance_norm, 'layer': layer_norm}


def normal(stddev):
  """Initial values from N(0, stddev): `stddev` is a number or a function of the kernel's shape.

  They are drawn as one row and reshaped: XLA compiles that several times faster than a draw of four axes.
  """
  def init(key, shape, dtype=jnp.float32):
    scale = stddev(shape) if callable(stddev) else stddev
    return scale * jax.random.normal(key, (math.prod(shape),), dtype).reshape(shape)
  return init


def he_stddev(shape):
  """He et al. 2015, eq. 10, for a kernel [..., inputs, outputs].

  A `ConvTranspose`'s kernel is [4, 4, outputs, inputs]; there it counts the outputs, as PyTorch does.
  """
  return math.sqrt(2. / math.prod(shape[:-1]))


# `dcgan`: Radford et al. 2016, sec. 4.
KERNEL_INITS = {'dcgan': normal(0.02), 'he': normal(he_stddev)}
