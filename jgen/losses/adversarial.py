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
  """The losses of critic and generator, functions of the logits of real and generated images, [B] each."""

  critic: Callable[[PerImage, PerImage], Pair]   # (real logits, fake logits) -> losses whose sum the critic minimises
  generator: Callable[[Any, PerImage], PerImage]   # (real logits, None unless relativistic; fake logits) -> loss
  monitor: Monitor                      # (real logits, fake logits) -> metrics to log
  towards: Callable[[PerImage, PerImage], PerImage] | None = None   # (logits, target) -> loss, see `critic_towards`
  relativistic: bool = False            # whether the generator's loss depends on the logits of real images
  couples_batch: bool = False           # whether an image's loss depends on more than its own pair of logits

  def critic_towards(self, real_logits: PerImage, fake_logits: PerImage, real_target: PerImage,
                     fake_target: PerImage) -> Pair:
    """The critic's losses with soft labels: an image counts as real with weight `target` [B], in [0, 1].

    With the weight 1 - target it counts as generated. For the cross-entropy these are the usual soft labels; for least
    squares the loss is (D(x) - target)^2 plus the constant target (1 - target).

    Raises:
      ValueError: the loss has no targets.
    """
    if self.towards is None:
      raise ValueError('this loss has no targets')
    return self.towards(real_logits, real_target), self.towards(fake_logits, fake_target)


def image_by_image(real: Callable, generated: Callable, generator: Callable, monitor: Callable) -> AdversarialLoss:
  """An adversarial loss of functions [B] -> [B] of the logits, each image independent of the others."""
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
  """log(1 - D(G(z))) in nats; Goodfellow et al. 2014, eq. 1. Saturates where the critic is confident."""
  return -nn.softplus(fake_logits)


def non_saturating_generator(fake_logits: PerImage) -> PerImage:
  """-log D(G(z)) in nats; Goodfellow et al. 2014, sec. 3."""
  return nn.softplus(-fake_logits)


def least_squares_real(logits: PerImage) -> PerImage:
  """(D(x) - 1)^2, D without a sigmoid; Mao et al. 2017, eq. 2 with a = 0, b = c = 1, without its factor 1/2."""
  return jnp.square(logits - 1.)


def least_squares_generated(logits: PerImage) -> PerImage:
  """D(x)^2; Mao et al. 2017, eq. 2 without its factor 1/2. The generator minimises `least_squares_real`."""
  return jnp.square(logits)


def hinge_real(logits: PerImage) -> PerImage:
  """max(0, 1 - D(x)); Lim & Ye 2017, Miyato et al. 2018, eq. 16."""
  return nn.relu(1. - logits)


def hinge_generated(logits: PerImage) -> PerImage:
  """max(0, 1 + D(x)); Lim & Ye 2017, Miyato et al. 2018, eq. 16."""
  return nn.relu(1. + logits)


def negative(logits: PerImage) -> PerImage:
  """-D(x): the Wasserstein critic's loss of real images (Arjovsky et al. 2017, eq. 3), and the generator's loss."""
  return -logits


def identity(logits: PerImage) -> PerImage:
  """D(x): the Wasserstein critic's loss of generated images."""
  return logits


def relative_to_average(real_logits: PerImage, fake_logits: PerImage) -> Pair:
  """Real logits minus the mean fake logit, and vice versa, with means over the batch of all devices.

  Jolicoeur-Martineau 2019, sec. 4.2. Call it inside a function that is mapped over `AXIS`.
  """
  real_mean, fake_mean = lax.pmean((real_logits.mean(), fake_logits.mean()), AXIS)
  return real_logits - fake_mean, fake_logits - real_mean


def relativistic_average_critic(real_logits: PerImage, fake_logits: PerImage) -> Pair:
  """Cross-entropy of the logits relative to the other images' average, in nats; RaSGAN.

  -log of the probability that a real image is more realistic than generated images on average, and of the opposite for
  generated images; Jolicoeur-Martineau 2019, eq. 10.
  """
  real, fake = relative_to_average(real_logits, fake_logits)
  return cross_entropy_real(real), cross_entropy_generated(fake)


def relativistic_average_generator(real_logits: PerImage, fake_logits: PerImage) -> PerImage:
  """The critic's RaSGAN loss with real and generated images exchanged; Jolicoeur-Martineau 2019, eq. 11."""
  real, fake = relative_to_average(real_logits, fake_logits)
  return cross_entropy_generated(real) + cross_entropy_real(fake)


def relativistic_pairing_critic(real_logits: PerImage, fake_logits: PerImage) -> Pair:
  """-log sigmoid(D(x) - D(G(z))) of each pair of a real and a generated image; each of the two gets half.

  RpGAN, Jolicoeur-Martineau 2019, eq. 7; Huang et al. 2024, eq. 2.
  """
  half = nn.softplus(fake_logits - real_logits) / 2.
  return half, half


def relativistic_pairing_generator(real_logits: PerImage, fake_logits: PerImage) -> PerImage:
  """-log sigmoid(D(G(z)) - D(x)) of each pair; RpGAN, Jolicoeur-Martineau 2019; Huang et al. 2024, eq. 2."""
  return nn.softplus(real_logits - fake_logits)


def accuracies(boundary: float) -> Monitor:
  """The critic's accuracy per image: 1 where its logit is on the right side of `boundary`, else 0."""
  def monitor(real_logits, fake_logits):
    return {'real_accuracy': (real_logits > boundary).astype(jnp.float32),
            'fake_accuracy': (fake_logits < boundary).astype(jnp.float32)}
  return monitor


def relative_accuracies(relative: Callable[[PerImage, PerImage], Pair]) -> Monitor:
  """The critic's accuracy per image, of logits relative to those of the other images as `relative` computes them."""
  return lambda real_logits, fake_logits: accuracies(0.)(*relative(real_logits, fake_logits))


def paired(real_logits: PerImage, fake_logits: PerImage) -> Pair:
  """D(x) - D(G(z)) of each pair, and its negative."""
  return real_logits - fake_logits, fake_logits - real_logits


def wasserstein_estimate(real_logits: PerImage, fake_logits: PerImage) -> dict[str, PerImage]:
  """D(x) - D(G(z)), whose mean estimates the Wasserstein-1 distance if the critic is 1-Lipschitz."""
  return {'wasserstein_estimate': real_logits - fake_logits}


# A logit of 0 is a probability of 1/2.
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
