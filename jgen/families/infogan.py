"""InfoGAN (Chen et al. 2016): a GAN with latent codes, which a head on the critic's body, Q, infers from images."""

import dataclasses
from typing import Any

from jgen import networks
from jgen.data.spec import Spec
from jgen.errors import UserError
from jgen.families import gan, optimizers
from jgen.families.conditioning import Codes
from jgen.families.gan import AdversarialKeys
from jgen.families.heads import CodeHead
from jgen.families.optimizers import Optimizer
from jgen.keys import key, section
from jgen.losses.information import LatentCodes
from jgen.networks import sections


@dataclasses.dataclass(frozen=True)
class CodeKeys:
  """The keys of the codes."""

  categorical: int = key(10, 'categorical codes; 0 for none', at_least=0)
  num_values: int = key(10, 'values of each categorical code, equally likely', at_least=2,
                        read_with={'categorical': True})
  continuous: int = key(0, 'continuous codes, uniform in [-1, 1]; 0 for none', at_least=0)
  categorical_weight: float = key(1., 'lambda: factor of the bound of the categorical codes, in nats, relative to the '
                                      'losses', at_least=0, read_with={'categorical': True})
  continuous_weight: float = key(0.1, 'lambda of the continuous codes, whose bound has no maximum', at_least=0)
  body_learns: bool = key(True, 'whether the body shared by Q and the critic is also trained on the bound')


@dataclasses.dataclass(frozen=True)
class Keys(AdversarialKeys):
  """The keys of an InfoGAN, which uses no labels."""

  codes: CodeKeys = section(CodeKeys, "codes in the generator's input, which Q predicts from the images")
  q_optimizer: Optimizer = section(Optimizer, "optimizer of Q's head")
  critic: sections.Critic = section(sections.Critic, head_bias=True)


def create(model: Any, spec: Spec) -> gan.GAN:
  """The InfoGAN of a section with these Keys for a data set's Spec, whose labels it ignores.

  Raises:
    UserError: as `gan.build`; there are no codes.
  """
  codes = model.codes
  if not codes.categorical + codes.continuous:
    raise UserError('config.model.codes: categorical and continuous are both 0; an InfoGAN needs a code, as '
                    '--config.model.codes.categorical=1')
  latent_codes = LatentCodes(codes.categorical, codes.num_values, codes.continuous)
  head = CodeHead(latent_codes, networks.head(model.critic, latent_codes.num_outputs),
                  optimizers.create(model.q_optimizer), codes.categorical_weight, codes.continuous_weight,
                  codes.body_learns)
  return gan.build(model, spec, Codes(latent_codes), head, gan.CodeGAN)
