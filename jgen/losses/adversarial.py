"""Adversarial losses: plain functions of the critic's logits, [B] in and [B] out."""

from collections.abc import Callable
import dataclasses

from flax import linen as nn
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
  """What the two players minimise, and what is worth watching of the critic's answers."""

  critic: Callable       # (real_logits [B], fake_logits [B]) -> [B]
  generator: Callable    # (fake_logits [B]) -> [B]
  monitor: Callable      # (real_logits [B], fake_logits [B]) -> {name: [B]}


def non_saturating_critic(real_logits, fake_logits):
  """-log D(x) - log(1 - D(G(z))) in nats with D = sigmoid(logit); Goodfellow et al. 2014, eq. 1."""
  return nn.softplus(-real_logits) + nn.softplus(fake_logits)


def non_saturating_generator(fake_logits):
  """-log D(G(z)) in nats; Goodfellow et al. 2014, sec. 3."""
  return nn.softplus(-fake_logits)


def accuracies(real_logits, fake_logits):
  """1 where the critic, cut at probability 1/2, is right, else 0."""
  return {'real_accuracy': (real_logits > 0).astype(jnp.float32),
          'fake_accuracy': (fake_logits < 0).astype(jnp.float32)}


def wasserstein_critic(real_logits, fake_logits):
  """D(G(z)) - D(x); Arjovsky et al. 2017, eq. 3, to be minimised."""
  return fake_logits - real_logits


def wasserstein_generator(fake_logits):
  """-D(G(z)); Arjovsky et al. 2017, sec. 3."""
  return -fake_logits


def wasserstein_estimate(real_logits, fake_logits):
  """D(x) - D(G(z)): its mean estimates the Wasserstein-1 distance as far as the critic is 1-Lipschitz."""
  return {'wasserstein_estimate': real_logits - fake_logits}


ADVERSARIAL_LOSSES = {
    'non_saturating': AdversarialLoss(non_saturating_critic, non_saturating_generator, accuracies),
    'wasserstein': AdversarialLoss(wasserstein_critic, wasserstein_generator, wasserstein_estimate),
}
