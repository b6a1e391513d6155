"""Adversarial losses: plain functions of the critic's logits, [B] in and [B] out."""

from collections.abc import Callable
import dataclasses

from flax import linen as nn
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
  """What the two players minimise, and what is worth watching of the critic's answers.

  The critic minimises real(logits of real images) + generated(logits of generated ones).
  """

  real: Callable         # logits [B] -> [B], what they cost where the images are called real
  generated: Callable    # logits [B] -> [B], what they cost where they are called generated
  generator: Callable    # (fake_logits [B]) -> [B]
  monitor: Callable      # (real_logits [B], fake_logits [B]) -> {name: [B]}

  def towards(self, logits, target):
    """The critic's cost [B] where images are called real with weight `target` [B], 0 to 1, and generated with the rest.

    This is the cross-entropy with soft labels and, but for target (1 - target), the square of D(x) - target.
    """
    return target * self.real(logits) + (1. - target) * self.generated(logits)


def cross_entropy_real(logits):
  """-log D(x) in nats with D = sigmoid(logit); Goodfellow et al. 2014, eq. 1."""
  return nn.softplus(-logits)


def cross_entropy_generated(logits):
  """-log(1 - D(x)) in nats; Goodfellow et al. 2014, eq. 1."""
  return nn.softplus(logits)


def saturating_generator(fake_logits):
  """log(1 - D(G(z))) in nats; Goodfellow et al. 2014, eq. 1. Flat where the critic is sure."""
  return -nn.softplus(fake_logits)


def non_saturating_generator(fake_logits):
  """-log D(G(z)) in nats; Goodfellow et al. 2014, sec. 3."""
  return nn.softplus(-fake_logits)


def least_squares_real(logits):
  """(D(x) - 1)^2, D without a sigmoid; Mao et al. 2017, eq. 2 with a = 0, b = c = 1, without its factor 1/2."""
  return jnp.square(logits - 1.)


def least_squares_generated(logits):
  """D(x)^2; as `least_squares_real`, which also is what the generator minimises."""
  return jnp.square(logits)


def hinge_real(logits):
  """max(0, 1 - D(x)); Lim & Ye 2017, Miyato et al. 2018, eq. 16."""
  return nn.relu(1. - logits)


def hinge_generated(logits):
  """max(0, 1 + D(x)); as `hinge_real`."""
  return nn.relu(1. + logits)


def negative(logits):
  """-D(x): the Wasserstein critic's of real images (Arjovsky et al. 2017, eq. 3), its generator's and the hinge's."""
  return -logits


def identity(logits):
  """D(x): the Wasserstein critic's of generated images."""
  return logits


def accuracies(boundary):
  """Of each answer, 1 where the critic, cut at the logit `boundary`, is right, else 0."""
  def monitor(real_logits, fake_logits):
    return {'real_accuracy': (real_logits > boundary).astype(jnp.float32),
            'fake_accuracy': (fake_logits < boundary).astype(jnp.float32)}
  return monitor


def wasserstein_estimate(real_logits, fake_logits):
  """D(x) - D(G(z)): its mean estimates the Wasserstein-1 distance as far as the critic is 1-Lipschitz."""
  return {'wasserstein_estimate': real_logits - fake_logits}


# The logit 0 is the probability 1/2.
ADVERSARIAL_LOSSES = {
    'saturating': AdversarialLoss(
        cross_entropy_real, cross_entropy_generated, saturating_generator, accuracies(0.)),
    'non_saturating': AdversarialLoss(
        cross_entropy_real, cross_entropy_generated, non_saturating_generator, accuracies(0.)),
    'least_squares': AdversarialLoss(
        least_squares_real, least_squares_generated, least_squares_real, accuracies(0.5)),
    'hinge': AdversarialLoss(hinge_real, hinge_generated, negative, accuracies(0.)),
    'wasserstein': AdversarialLoss(negative, identity, negative, wasserstein_estimate),
}
