"""Adversarial losses: plain functions of the critic's logits, [B] in and [B] out."""

from collections.abc import Callable
import dataclasses
from typing import Any

from flax import linen as nn
from jax import lax
import jax.numpy as jnp

from jgen.parallel import AXIS
from jgen.shapes import PerImage

Pair = tuple[PerImage, PerImage]
Monitor = Callable[[PerImage, PerImage], dict[str, PerImage]]


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
  """What both networks minimise for logits of real and of generated images, [B] each, and what is logged of them."""

  critic: Callable[[PerImage, PerImage], Pair]   # (real logits, fake logits) -> losses whose sum the critic minimises
  generator: Callable[[Any, PerImage], PerImage]   # of (real logits, None unless it is relativistic; fake logits)
  monitor: Monitor                      # what is logged of (real logits, fake logits)
  towards: Callable[[PerImage, PerImage], PerImage] | None = None   # of (logits, target), see `critic_towards`
  relativistic: bool = False            # whether the generator's loss depends on the logits of real images
  couples_batch: bool = False           # whether an image's loss depends on more than its own pair of logits

  def critic_towards(self, real_logits: PerImage, fake_logits: PerImage, real_target: PerImage,
                     fake_target: PerImage) -> Pair:
    """The critic's losses where an image counts as real with weight `target` [B], 0 to 1, and as generated else.

    This is the cross-entropy with soft labels and, but for target (1 - target), the square of D(x) - target.

    Raises:
      ValueError: the loss has no targets.
    """
    if self.towards is None:
      raise ValueError('this loss has no targets')
    return self.towards(real_logits, real_target), self.towards(fake_logits, fake_target)


def image_by_image(real: Callable, generated: Callable, generator: Callable, monitor: Callable) -> AdversarialLoss:
  """A loss in which each image counts by itself, of functions [B] -> [B] of its logit."""
  return AdversarialLoss(
      critic=lambda real_logits, fake_logits: (real(real_logits), generated(fake_logits)),
      generator=lambda real_logits, fake_logits: generator(fake_logits), monitor=monitor,
      towards=lambda logits, target: target * real(logits) + (1. - target) * generated(logits))


def cross_entropy_real(logits: PerImage) -> PerImage:
  """-log D(x) in nats with D = sigmoid(logit); Goodfellow et al. 2014, eq. 1."""
  return nn.softplus(-logits)


def cross_entropy_generated(logits: PerImage) -> PerImage:
  """-log(1 - D(x)) in nats; Goodfellow et al. 2014, eq. 1."""
  return nn.softplus(logits)


def saturating_generator(fake_logits: PerImage) -> PerImage:
  """log(1 - D(G(z))) in nats; Goodfellow et al. 2014, eq. 1. Flat where the critic is sure."""
  return -nn.softplus(fake_logits)


def non_saturating_generator(fake_logits: PerImage) -> PerImage:
  """-log D(G(z)) in nats; Goodfellow et al. 2014, sec. 3."""
  return nn.softplus(-fake_logits)


def least_squares_real(logits: PerImage) -> PerImage:
  """(D(x) - 1)^2, D without a sigmoid; Mao et al. 2017, eq. 2 with a = 0, b = c = 1, without its factor 1/2."""
  return jnp.square(logits - 1.)


def least_squares_generated(logits: PerImage) -> PerImage:
  """D(x)^2; as `least_squares_real`, which also is what the generator minimises."""
  return jnp.square(logits)


def hinge_real(logits: PerImage) -> PerImage:
  """max(0, 1 - D(x)); Lim & Ye 2017, Miyato et al. 2018, eq. 16."""
  return nn.relu(1. - logits)


def hinge_generated(logits: PerImage) -> PerImage:
  """max(0, 1 + D(x)); as `hinge_real`."""
  return nn.relu(1. + logits)


def negative(logits: PerImage) -> PerImage:
  """-D(x): the Wasserstein critic's of real images (Arjovsky et al. 2017, eq. 3), its generator's and the hinge's."""
  return -logits


def identity(logits: PerImage) -> PerImage:
  """D(x): the Wasserstein critic's of generated images."""
  return logits


def relative_to_average(real_logits: PerImage, fake_logits: PerImage) -> Pair:
  """Logits less the mean logit of the images of the other kind, over the batch of all devices.

  Jolicoeur-Martineau 2019, sec. 4.2. Call it inside a function that is mapped over `AXIS`.
  """
  real_mean, fake_mean = lax.pmean((real_logits.mean(), fake_logits.mean()), AXIS)
  return real_logits - fake_mean, fake_logits - real_mean


def relativistic_average_critic(real_logits: PerImage, fake_logits: PerImage) -> Pair:
  """-log of the probability that real images are more real than generated ones on average, and the reverse.

  RaSGAN, Jolicoeur-Martineau 2019, eq. 10, in nats.
  """
  real, fake = relative_to_average(real_logits, fake_logits)
  return cross_entropy_real(real), cross_entropy_generated(fake)


def relativistic_average_generator(real_logits: PerImage, fake_logits: PerImage) -> PerImage:
  """The critic's loss with the kinds exchanged; Jolicoeur-Martineau 2019, eq. 11."""
  real, fake = relative_to_average(real_logits, fake_logits)
  return cross_entropy_generated(real) + cross_entropy_real(fake)


def relativistic_pairing_critic(real_logits: PerImage, fake_logits: PerImage) -> Pair:
  """-log sigmoid(D(x) - D(G(z))) of each pair of a real and a generated image, half of it for each.

  RpGAN, Jolicoeur-Martineau 2019, eq. 7; Huang et al. 2024, eq. 2.
  """
  half = nn.softplus(fake_logits - real_logits) / 2.
  return half, half


def relativistic_pairing_generator(real_logits: PerImage, fake_logits: PerImage) -> PerImage:
  """-log sigmoid(D(G(z)) - D(x)); as `relativistic_pairing_critic`."""
  return nn.softplus(real_logits - fake_logits)


def accuracies(boundary: float) -> Monitor:
  """Of each answer, 1 where the critic, cut at the logit `boundary`, is right, else 0."""
  def monitor(real_logits, fake_logits):
    return {'real_accuracy': (real_logits > boundary).astype(jnp.float32),
            'fake_accuracy': (fake_logits < boundary).astype(jnp.float32)}
  return monitor


def relative_accuracies(relative: Callable[[PerImage, PerImage], Pair]) -> Monitor:
  """The same of logits that are compared with the other kind's by `relative`."""
  return lambda real_logits, fake_logits: accuracies(0.)(*relative(real_logits, fake_logits))


def paired(real_logits: PerImage, fake_logits: PerImage) -> Pair:
  """D(x) - D(G(z)) of each pair, and its negative."""
  return real_logits - fake_logits, fake_logits - real_logits


def wasserstein_estimate(real_logits: PerImage, fake_logits: PerImage) -> dict[str, PerImage]:
  """D(x) - D(G(z)): its mean estimates the Wasserstein-1 distance as far as the critic is 1-Lipschitz."""
  return {'wasserstein_estimate': real_logits - fake_logits}


# The logit 0 is the probability 1/2.
ADVERSARIAL_LOSSES = {
    'saturating': image_by_image(
        cross_entropy_real, cross_entropy_generated, saturating_generator, accuracies(0.)),
    'non_saturating': image_by_image(
        cross_entropy_real, cross_entropy_generated, non_saturating_generator, accuracies(0.)),
    'least_squares': image_by_image(
        least_squares_real, least_squares_generated, least_squares_real, accuracies(0.5)),
    'hinge': image_by_image(hinge_real, hinge_generated, negative, accuracies(0.)),
    'wasserstein': image_by_image(negative, identity, negative, wasserstein_estimate),
    'relativistic_average': AdversarialLoss(
        relativistic_average_critic, relativistic_average_generator, relative_accuracies(relative_to_average),
        relativistic=True, couples_batch=True),
    'relativistic_pairing': AdversarialLoss(
        relativistic_pairing_critic, relativistic_pairing_generator, relative_accuracies(paired), relativistic=True),
}
