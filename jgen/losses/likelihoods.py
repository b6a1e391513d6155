"""Likelihoods of a decoder: -log p(x | z) in nats, and the reconstruction error that is minimised.

Outputs are unbounded [B, H, W, C], images float32 [B, H, W, C] in [-1, 1], and `variance`, [], is that of a pixel in
the same units. D = H W C is the number of values of an image.
"""

from collections.abc import Callable
import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jgen import activations
from jgen.shapes import Array, PerImage, Scalar, Values

Variance = Scalar | float


def tanh_mean(output: Float[Array, '*B']) -> Float[Array, '*B']:
  """Images in [-1, 1], the tanh of the output."""
  return activations.tanh(output)


def sigmoid_mean(output: Float[Array, '*B']) -> Float[Array, '*B']:
  """Images in [-1, 1], where the output is the logit of white."""
  return 2 * activations.sigmoid(output) - 1


def unbounded_mean(output: Float[Array, '*B']) -> Float[Array, '*B']:
  """The output itself, for values that are not pixels."""
  return output


def unbounded_squared_error(output: Values, values: Values) -> PerImage:
  """Sum over the values of (x - x')^2, [B]."""
  return sum_over_values(jnp.square(values - output))


def squared_error(output: Values, images: Values) -> PerImage:
  """Sum over the pixels of (x - x')^2, [B]."""
  return sum_over_values(jnp.square(images - tanh_mean(output)))


def cross_entropy(output: Values, images: Values) -> PerImage:
  """Sum over the pixels of the binary cross-entropy in nats, [B], of images mapped to [0, 1].

  For grey values it is not a log density: use it as a loss, and compare it only with other values of itself.
  """
  white = (images + 1) / 2
  return sum_over_values(jax.nn.softplus(output) - white * output)


def sum_over_values(pixels: Values) -> PerImage:
  """The sum over all axes except the first, [B]."""
  return pixels.sum(axis=tuple(range(1, pixels.ndim)))


@dataclasses.dataclass(frozen=True)
class Likelihood:
  """p(x | z), and the objective that is minimised: scale x error + offset + weight x regulariser."""

  mean: Callable                        # output -> images in [-1, 1]
  error: Callable                       # (output, images) -> [B]
  scale: Callable                       # (variance, D) -> factor of the error in the objective
  offset: Callable                      # (variance, D) -> the objective's term that depends only on the variance
  fixed_variance: Callable              # (weight, D) -> variance; None if it is that of the training pixels
  learns_variance: bool = False         # whether a factor of the variance is learned
  continuous: bool = True               # whether p is a density, that of a Gaussian
  step: float = 1 / 127.5               # distance of neighbouring pixel values; 1 for the bits of a plain density

  def reconstruction(self, output: Values, images: Values, variance: Variance) -> PerImage:
    """The reconstruction term of the objective, [B]."""
    size = images[0].size
    return self.scale(variance, size) * self.error(output, images) + self.offset(variance, size)

  def nats(self, output: Values, images: Values, variance: Variance) -> PerImage:
    """-log p(x | z), [B]; for continuous pixels of the density, including D/2 log(2 pi variance)."""
    if not self.continuous:
      return self.error(output, images)
    return (self.error(output, images) / variance + images[0].size * jnp.log(2 * math.pi * variance)) / 2

  @property
  def bits_of_a_value(self) -> float:
    """Bits per value to add to -log2 p(x): the 256 values in [-1, 1] are 1 / 127.5 apart, so P(x) = p(x) / 127.5."""
    return -math.log2(self.step) if self.continuous else 0.

  def weights(self, weight: Variance, variance: Variance, size: int) -> tuple[Variance, Variance]:
    """A KL weight of the objective in the two conventions of papers.

    Returns:
      (the factor of the KL relative to the mean error per pixel, its factor relative to the summed error per image)
    """
    per_image_weight = weight / self.scale(variance, size)
    return per_image_weight / size, per_image_weight


def inverse_size(variance: Variance, size: int) -> float:
  del variance
  return 1 / size


def inverse_variance(variance: Variance, size: int) -> Variance:
  del size
  return 1 / (2 * variance)


def nothing(variance: Variance, size: int) -> float:
  del variance, size
  return 0.


def normalizer(variance: Variance, size: int) -> Variance:
  """The log normalisation constant of a Gaussian, in nats."""
  return size / 2 * jnp.log(2 * math.pi * variance)


def of_the_data(weight: float, size: int) -> None:
  del weight, size


LIKELIHOODS = {
    # The mean squared error per pixel. Divided by the weight, it is that of a Gaussian of variance weight x D / 2.
    'squared_error': Likelihood(tanh_mean, squared_error, inverse_size, nothing,
                                lambda weight, size: weight * size / 2),
    # A Gaussian with the variance of the training pixels; without the constant D/2 log(2 pi variance).
    'gaussian': Likelihood(tanh_mean, squared_error, inverse_variance, nothing, of_the_data),
    # One variance for all pixels, learned with the weights (Rybkin et al. 2021, sec. 3.1).
    'learned_gaussian': Likelihood(tanh_mean, squared_error, inverse_variance, normalizer, of_the_data,
                                   learns_variance=True),
    # As 'gaussian', for unbounded values instead of pixels.
    'unbounded_gaussian': Likelihood(unbounded_mean, unbounded_squared_error, inverse_variance, nothing, of_the_data,
                                     step=1.),
    'unbounded_learned_gaussian': Likelihood(unbounded_mean, unbounded_squared_error, inverse_variance, normalizer,
                                             of_the_data, learns_variance=True, step=1.),
    'bernoulli': Likelihood(sigmoid_mean, cross_entropy, lambda variance, size: 1., nothing, lambda weight, size: 1.,
                            continuous=False),
}
