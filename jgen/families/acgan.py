"""The auxiliary classifier GAN (Odena et al. 2017): the critic also tells an image's class, and is not told it."""

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jgen import keys, networks
from jgen.errors import UserError, choose
from jgen.families import gan
from jgen.keys import key, section
from jgen.networks import dcgan, sections


class LabelInput(NamedTuple):
  """How a generator is told the label."""

  encode: Callable                      # (labels [B], Y) -> float32 [B, n], appended to the noise
  learned: bool                         # whether the generator puts a learned vector in its place


def one_hot(labels, num_classes):
  return jax.nn.one_hot(labels, num_classes)


def value(labels, num_classes):
  """One number, [B, 1]: the classes evenly from 0 to 1."""
  return labels[:, None] / (num_classes - 1.)


LABEL_INPUTS = {'one_hot': LabelInput(one_hot, False), 'value': LabelInput(value, False),
                'embedding': LabelInput(one_hot, True)}
_LEARNED = tuple(name for name, label_input in LABEL_INPUTS.items() if label_input.learned)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ACGAN(gan.GAN):
  """A GAN whose critic has a second head, the logits of the classes [B, Y], on the same pass through its body.

  Generated images are asked for with the labels of the real ones beside them, so that both show the classes as often.
  """

  encode_label: Callable                # (labels [B], Y) -> what is appended to the noise, [B, n]
  class_weight: float

  def generator_input(self, noise, labels):
    return jnp.concatenate([noise, self.encode_label(labels, self.num_classes)], axis=-1)

  def critic_input(self, images, labels):
    del labels
    return images

  def further_critic_terms(self, params, of_real, of_fake, labels):
    """L_C of the paper's eq. 3, the class on real and on generated images."""
    real_loss, fake_loss = class_loss(of_real, labels), class_loss(of_fake, labels)
    return {'weighted_class_loss': self.class_weight * (real_loss + fake_loss)}, {
        'real_class_loss': real_loss, 'fake_class_loss': fake_loss,
        'real_class_accuracy': told_right(of_real, labels), 'fake_class_accuracy': told_right(of_fake, labels)}

  def further_generator_terms(self, params, of_fake, labels):
    return {'weighted_class_loss': self.class_weight * class_loss(of_fake, labels)}, {}


def class_loss(logits, labels):
  """Cross-entropy [B] of logits [B, Y], in nats."""
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def told_right(logits, labels):
  return (logits.argmax(-1) == labels).astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class Keys(gan.AdversarialKeys):
  """The keys of an ACGAN, whose generator alone is told the label."""

  label_input: str = key('one_hot', 'how the generator is told the label', names=LABEL_INPUTS)
  embedding_size: int = key(10, 'entries of the learned vector of a label', at_least=1,
                            read_with={'label_input': _LEARNED})
  class_weight: float = key(1., "factor of the class's cross-entropy, in nats, in both losses", at_least=0)
  critic: sections.Critic = section(sections.Critic, head_bias=True)


def create(model, spec):
  """The ACGAN of a section with these Keys for a data set's Spec.

  Raises:
    UserError: as `gan.fields`; fewer than two classes.
  """
  if spec.num_classes < 2:
    raise UserError(f'config.family: an ACGAN tells classes apart, and the data set {spec.name} has '
                    f'{spec.num_classes or "none"}; name an annotation of two values or more with config.data.label, '
                    'or choose a labelled data set')
  label_input = choose('model.label_input', model.label_input, LABEL_INPUTS)
  fields = gan.fields(model, spec)
  fields['critic'] = networks.critic(
      model.critic, spec.image_shape, dcgan.ClassifyingCritic, num_classes=spec.num_classes)
  if label_input.learned:
    fields['generator'] = embedding_generator(model, spec)
  return ACGAN(**fields | keys.numbers(ACGAN, model), num_classes=spec.num_classes, encode_label=label_input.encode)


def embedding_generator(model, spec):
  return networks.generator(model.generator, spec.image_shape, dcgan.EmbeddingGenerator,
                            num_classes=spec.num_classes, embedding_size=model.embedding_size)
