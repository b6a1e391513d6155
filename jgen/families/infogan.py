"""InfoGAN (Chen et al. 2016): a GAN whose images tell a head on the critic's body, Q, the codes they were drawn for."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
import optax

from jgen import networks
from jgen.errors import UserError
from jgen.families import optimizers
from jgen.families.gan import GAN, AdversarialKeys, fields
from jgen.families.optimizers import Optimizer
from jgen.keys import key, section
from jgen.losses.information import LatentCodes
from jgen.networks import sections
from jgen.parallel import per_image

_CODES = 2**31 + 32                     # folded into keys; images' positions are below


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfoGAN(GAN):
  """Labels play no part: in their place stand the codes [B, M + N] that are drawn for every image.

  The generator and Q ascend the bound on the mutual information, eq. 5, together. In the critic's update Q is fixed;
  the body that it shares with the critic learns there, from the critic's loss and, as in the paper's code, from the
  bound on the same images, or, without `body_learns_codes`, from the critic's loss alone.
  """

  latent_codes: LatentCodes
  q_head: nn.Module                     # what the critic's head sees [B, F] -> Q's outputs
  q_optimizer: optax.GradientTransformation
  categorical_weight: float             # lambda of the categorical codes
  continuous_weight: float              # lambda of the continuous ones
  body_learns_codes: bool

  def parts(self):
    parts = super().parts()
    critic, (images,), _ = parts['critic']
    (_, body), _ = jax.eval_shape(lambda: critic.init_with_output(jax.random.key(0), images, train=True))
    return {**parts, 'q_head': (self.q_head, (jnp.zeros(body.shape),), self.q_optimizer)}

  def example_labels(self):
    return jnp.zeros((1, self.latent_codes.size))

  def generator_partners(self):
    return {'q_head': self.q_optimizer}

  def generator_input(self, noise, labels):
    return jnp.concatenate([noise, self.latent_codes.as_input(labels)], axis=-1)

  def critic_input(self, images, labels):
    del labels
    return images

  def draw_codes(self, key, count):
    """Codes [B, M + N] from their prior."""
    return per_image(jax.random.fold_in(key, _CODES), count, self.latent_codes.draw)

  def train_step(self, state, batches, key):
    keys = jax.random.split(key, self.batches_per_step)
    codes = jax.vmap(lambda k: self.draw_codes(k, batches['image'].shape[1]))(keys)
    return super().train_step(state, {**batches, 'label': codes}, key)

  def training_pass(self, state, batch, key):
    return super().training_pass(state, {**batch, 'label': self.draw_codes(key, len(batch['label']))}, key)

  def further_critic_terms(self, params, of_real, of_fake, labels):
    return self.information(params, of_fake, labels) if self.body_learns_codes else ({}, {})

  def further_generator_terms(self, params, of_fake, labels):
    return self.information(params, of_fake, labels)

  def information(self, params, body, codes):
    """What is minimised of the bound, and the bound itself in nats beside the most that it can be."""
    outputs, told, watched = self.q_head.apply({'params': params['q_head']}, body, train=True), self.latent_codes, {}
    cost = jnp.zeros(len(codes))
    if told.categorical:
      watched = {'information': told.categorical_information(outputs, codes),
                 'information_maximum': jnp.full(len(codes), told.entropy),
                 'code_accuracy': told.accuracy(outputs, codes)}
      cost -= self.categorical_weight * watched['information']
    if told.continuous:
      watched['continuous_information'] = told.continuous_information(outputs, codes)
      cost -= self.continuous_weight * watched['continuous_information']
    return {'weighted_information': cost}, watched

  def sample(self, state, key, labels):
    """Images [B, H, W, C] of random codes; of `labels` [B] the number counts."""
    return super().sample(state, key, self.draw_codes(key, len(labels)))

  def sample_at(self, state, key, latents, labels, codes=None):
    """Images of latents [B, Z] with codes [B, M + N]; without, all with the same random ones."""
    if codes is None:                   # so that an interpolation is between latents alone
      codes = self.latent_codes.draw(jax.random.fold_in(key, _CODES))
      codes = jnp.broadcast_to(codes, (len(labels), self.latent_codes.size))
    return super().sample_at(state, key, latents, codes)

  def sample_codes(self, state, key, codes):
    """Images [B, H, W, C] of codes [B, M + N], from the same noise for the same key and place."""
    return super().sample(state, key, codes)


@dataclasses.dataclass(frozen=True)
class CodeKeys:
  """The keys of the codes."""

  categorical: int = key(10, 'categorical codes; 0 for none', at_least=0)
  num_values: int = key(10, 'values of each categorical code, all as likely', at_least=2,
                        read_with={'categorical': True})
  continuous: int = key(0, 'continuous codes, uniform in [-1, 1]; 0 for none', at_least=0)
  categorical_weight: float = key(1., 'lambda: factor of the bound of the categorical codes, in nats, beside the '
                                      'losses', at_least=0, read_with={'categorical': True})
  continuous_weight: float = key(0.1, 'the same for the continuous codes, whose bound has no maximum', at_least=0)
  body_learns: bool = key(True, 'whether the body that Q and the critic share also learns from the bound')


@dataclasses.dataclass(frozen=True)
class Keys(AdversarialKeys):
  """The keys of an InfoGAN, which is told no label."""

  codes: CodeKeys = section(CodeKeys, 'what the generator is told, and Q tells of its images')
  q_optimizer: Optimizer = section(Optimizer, "of Q's head")
  critic: sections.Critic = section(sections.Critic, head_bias=True)


def create(model, spec):
  """The InfoGAN of a section with these Keys for a data set's Spec, whose labels it ignores.

  Raises:
    UserError: as `gan.fields`; there is no code.
  """
  codes = model.codes
  if not codes.categorical + codes.continuous:
    raise UserError('config.model.codes: categorical and continuous are both 0; an InfoGAN needs a code, as '
                    '--config.model.codes.categorical=1')
  latent_codes = LatentCodes(codes.categorical, codes.num_values, codes.continuous)
  return InfoGAN(
      **fields(model, spec), num_classes=0, latent_codes=latent_codes,
      q_head=networks.head(model.critic, latent_codes.num_outputs), q_optimizer=optimizers.create(model.q_optimizer),
      categorical_weight=codes.categorical_weight, continuous_weight=codes.continuous_weight,
      body_learns_codes=codes.body_learns)
