"""The auxiliary classifier GAN (Odena et al. 2017): only the generator gets the label; the critic also classifies.

Generated images get the labels of the real images of their batch, so that both have the same class frequencies.
"""

from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

import jax
from jaxtyping import Float

from jgen import networks
from jgen.data.spec import Spec
from jgen.errors import UserError, choose
from jgen.families import gan
from jgen.families.conditioning import GeneratorLabel
from jgen.families.heads import ClassHead
from jgen.keys import key, section
from jgen.networks import dcgan, sections
from jgen.shapes import Array, Labels


class LabelInput(NamedTuple):
  """How a generator receives the label."""

  encode: Callable                      # (labels [B], Y) -> float32 [B, n], appended to the noise
  learned: bool                         # whether the generator replaces it by a learned vector


def one_hot(labels: Labels, num_classes: int) -> Float[Array, 'B Y']:
  return jax.nn.one_hot(labels, num_classes)


def value(labels: Labels, num_classes: int) -> Float[Array, 'B 1']:
  """One number per label, [B, 1]: the classes evenly spaced from 0 to 1."""
  return labels[:, None] / (num_classes - 1.)


LABEL_INPUTS = {'one_hot': LabelInput(one_hot, False), 'value': LabelInput(value, False),
                'embedding': LabelInput(one_hot, True)}
_LEARNED = tuple(name for name, label_input in LABEL_INPUTS.items() if label_input.learned)


@dataclasses.dataclass(frozen=True)
class Keys(gan.AdversarialKeys):
  """The keys of an ACGAN; only its generator receives the label."""

  label_input: str = key('one_hot', 'how the generator receives the label', names=LABEL_INPUTS)
  embedding_size: int = key(10, 'entries of the learned vector of a label', at_least=1,
                            read_with={'label_input': _LEARNED})
  class_weight: float = key(1., "factor of the class's cross-entropy, in nats, in both losses", at_least=0)
  critic: sections.Critic = section(sections.Critic, head_bias=True)


def create(model: Any, spec: Spec) -> gan.GAN:
  """The ACGAN of a section with these Keys for a data set's Spec.

  Raises:
    UserError: as `gan.build`; fewer than two classes.
  """
  if spec.num_classes < 2:
    raise UserError(f'config.family: an ACGAN needs classes, and the data set {spec.name} has '
                    f'{spec.num_classes or "none"}; choose an annotation with two or more values by config.data.label, '
                    'or choose a labelled data set')
  label_input = choose('model.label_input', model.label_input, LABEL_INPUTS)
  parts: dict[str, Any] = {'critic': networks.critic(
      model.critic, spec.image_shape, dcgan.ClassifyingCritic, num_classes=spec.num_classes)}
  if label_input.learned:
    parts['generator'] = networks.generator(model.generator, spec.image_shape, dcgan.EmbeddingGenerator,
                                            num_classes=spec.num_classes, embedding_size=model.embedding_size)
  return gan.build(model, spec, GeneratorLabel(spec.num_classes, label_input.encode), ClassHead(model.class_weight),
                   **parts)
