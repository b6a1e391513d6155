"""The second head of a GAN's critic: one class per kind, with the terms that it adds to both losses.

Terms are {name: [B]} that are minimised, metrics {name: [B]} that are logged.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float
import optax

from jgen.families import train_state
from jgen.losses.information import LatentCodes
from jgen.shapes import Array, PerImage

Terms = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class NoHead:
  """No second head; also the base class of the other kinds."""

  def networks(self, features: Callable) -> dict:
    """{network: (module, the arguments of its call, optimizer)} of networks that the generator's update also trains.

    `features()` returns an array [1, F] with the shape of the critic's second output.
    """
    del features
    return {}

  @property
  def optimizers(self) -> dict[str, optax.GradientTransformation]:
    """{network: optimizer} of `networks`."""
    return {}

  def critic_terms(self, params: Any, real: Any, fake: Any, condition: Array) -> tuple[Terms, Terms]:
    """(terms, metrics) of the critic's update.

    Args:
      params: of all networks.
      real, fake: the critic's second output for real and for generated images, [B, ...].
      condition: of the generated images, [B, ...].
    """
    del params, real, fake, condition
    return {}, {}

  def generator_terms(self, params: Any, fake: Any, condition: Array) -> tuple[Terms, Terms]:
    """(terms, metrics) of the generator's update."""
    del params, fake, condition
    return {}, {}


@dataclasses.dataclass(frozen=True)
class ClassHead(NoHead):
  """Predicts the class of an image, logits [B, Y]: the auxiliary classifier of Odena et al. 2017, L_C of eq. 3."""

  weight: float

  def critic_terms(self, params: Any, real: Any, fake: Any, condition: Array) -> tuple[Terms, Terms]:
    real_loss, fake_loss = class_loss(real, condition), class_loss(fake, condition)
    return {'weighted_class_loss': self.weight * (real_loss + fake_loss)}, {
        'real_class_loss': real_loss, 'fake_class_loss': fake_loss,
        'real_class_accuracy': class_accuracy(real, condition), 'fake_class_accuracy': class_accuracy(fake, condition)}

  def generator_terms(self, params: Any, fake: Any, condition: Array) -> tuple[Terms, Terms]:
    return {'weighted_class_loss': self.weight * class_loss(fake, condition)}, {}


@dataclasses.dataclass(frozen=True)
class CodeHead(NoHead):
  """Predicts the codes of a generated image: Q, a network on the critic's body (Chen et al. 2016).

  The generator and Q together maximise the bound on the mutual information, eq. 5. In the critic's update Q is fixed;
  the body shared with the critic is trained there, on the critic's loss and, as in the paper's code, on the
  bound for the same images or, without `body_learns`, on the critic's loss alone.
  """

  latent_codes: LatentCodes
  network: nn.Module                    # features [B, F] -> Q's outputs
  optimizer: optax.GradientTransformation
  categorical_weight: float             # lambda of the categorical codes
  continuous_weight: float              # lambda of the continuous ones
  body_learns: bool

  def networks(self, features: Any) -> dict:
    return {'q_head': (self.network, (jnp.zeros(features().shape),), self.optimizer)}

  @property
  def optimizers(self) -> dict[str, optax.GradientTransformation]:
    return {'q_head': self.optimizer}

  def critic_terms(self, params: Any, real: Any, fake: Any, condition: Array) -> tuple[Terms, Terms]:
    return self.information(params, fake, condition) if self.body_learns else ({}, {})

  def generator_terms(self, params: Any, fake: Any, condition: Array) -> tuple[Terms, Terms]:
    return self.information(params, fake, condition)

  def information(self, params: Any, features: Any, codes: Array) -> tuple[Terms, Terms]:
    """The negative weighted bound, and the metrics: the bound in nats and its maximum."""
    outputs, _ = train_state.apply(self.network, params['q_head'], {}, features, train=True)
    latent_codes, metrics = self.latent_codes, {}
    cost = jnp.zeros(len(codes))
    if latent_codes.categorical:
      metrics = {'information': latent_codes.categorical_information(outputs, codes),
                 'information_maximum': jnp.full(len(codes), latent_codes.entropy),
                 'code_accuracy': latent_codes.accuracy(outputs, codes)}
      cost -= self.categorical_weight * metrics['information']
    if latent_codes.continuous:
      metrics['continuous_information'] = latent_codes.continuous_information(outputs, codes)
      cost -= self.continuous_weight * metrics['continuous_information']
    return {'weighted_information': cost}, metrics


def class_loss(logits: Float[Array, 'B Y'], labels: jax.Array) -> PerImage:
  """Cross-entropy [B] of logits [B, Y], in nats."""
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def class_accuracy(logits: Float[Array, 'B Y'], labels: jax.Array) -> PerImage:
  """[B]: 1 if the largest of the logits [B, Y] is that of the label, else 0."""
  return (logits.argmax(-1) == labels).astype(jnp.float32)
