"""A distribution over rows of codes, factorised code by code: what VQ-VAE samples from (van den Oord et al. 2017, 3.3).

p(codes | label) = prod_i p(code i | codes before i, label), by a causal transformer in the place of their PixelCNN.
"""

import dataclasses
import math

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import optax

from jgen.errors import UserError
from jgen.families import optimizers, train_state
from jgen.families.base import Family
from jgen.networks.causal_transformer import CausalTransformer
from jgen.parallel import per_image


@dataclasses.dataclass(frozen=True, kw_only=True)
class Autoregressive(Family):
  """Trained on the codes of images: its 'image' is int32 [..., N], below K, and so is what it samples."""

  network: nn.Module                    # jgen.networks.causal_transformer.CausalTransformer
  optimizer: optax.GradientTransformation
  temperature: float                    # that the logits are divided by in sampling
  num_classes: int                      # Y; 0 is unconditional

  def init(self, key):
    codes = jnp.zeros((1, self.network.num_positions), jnp.int32)
    return train_state.create(key, {'autoregressive': self.network}, {'autoregressive': (codes, codes[:, 0])},
                              {'autoregressive': self.optimizer})

  def logits(self, params, codes, labels, train=False, dropout_key=None):
    """[B, N, K]"""
    return train_state.apply(self.network, params['autoregressive'], {}, codes, labels, train=train,
                             dropout_key=dropout_key)[0]

  def ledger(self, logits, codes):
    """{name: [B]}: what codes [B, N] cost: `nats` in all, `bits_per_code`; `accuracy`, how many were the likeliest."""
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, codes).sum(1)
    return {'nats': nats, 'bits_per_code': nats / (codes.shape[1] * math.log(2)),
            'accuracy': (logits.argmax(-1) == codes).mean(1)}

  def train_step(self, state, batches, key):
    codes, labels = batches['image'][0], batches['label'][0]
    def loss(params):
      ledger = self.ledger(self.logits(params, codes, labels, train=True, dropout_key=key), codes)
      metrics = {name: value.mean() for name, value in ledger.items()}
      return metrics['nats'] / codes.shape[1], metrics
    gradients, metrics = jax.grad(loss, has_aux=True)(state.params)
    state, gradients = train_state.descend(state, 'autoregressive', gradients['autoregressive'], self.optimizer)
    metrics['gradient_norm'] = optax.tree.norm(gradients)
    return state, {f'autoregressive/{name}': value for name, value in metrics.items()}

  def eval_step(self, state, batch, key):
    """{name: [B]}, as `ledger`, without dropout."""
    del key
    return self.ledger(self.logits(state.params, batch['image'], batch['label']), batch['image'])

  def sample(self, state, key, labels):
    """Codes int32 [B, N], drawn one after the other."""
    keys, variables = per_image(key, len(labels), lambda key: key), {'params': state.params['autoregressive']}
    def place(carry, position):
      code, caches = carry
      logits, caches = self.network.apply(variables, code, position, labels, caches, method='step')
      draw = lambda key, logits: jax.random.categorical(jax.random.fold_in(key, position), logits)
      code = jax.vmap(draw)(keys, logits / self.temperature).astype(jnp.int32)
      return (code, caches), code
    begin = jnp.zeros_like(labels), self.network.empty_caches(len(labels))
    _, codes = lax.scan(place, begin, jnp.arange(self.network.num_positions))
    return codes.T


def create(model, num_codes, num_positions, num_classes):
  """The family of a `models.autoregressive()` section for rows of `num_positions` codes below `num_codes`.

  Raises:
    UserError: labels to follow where there are none; a number out of its range.
  """
  check(model, num_classes)
  network = CausalTransformer(
      num_codes=num_codes, num_positions=num_positions, num_classes=num_classes if model.conditional else 0,
      width=model.width, num_layers=model.num_layers, num_heads=model.num_heads, dropout=model.dropout)
  return Autoregressive(network=network, optimizer=optimizers.create(model.optimizer), temperature=model.temperature,
                        num_classes=network.num_classes)


def check(model, num_classes):
  """Raises UserError for a section with which no such prior can work."""
  where = 'config.priors.autoregressive.model'
  if model.conditional and not num_classes:
    raise UserError(f'{where}.conditional is True, but the images have no labels; set it to False or take labelled '
                    'images')
  for key in ('width', 'num_layers', 'num_heads'):
    if model[key] < 1:
      raise UserError(f'{where}.{key} is {model[key]}; at least 1 is needed')
  if model.width % model.num_heads:
    raise UserError(f'{where}.width is {model.width}; it must be a multiple of num_heads, {model.num_heads}')
  if not 0 <= model.dropout < 1:
    raise UserError(f'{where}.dropout is {model.dropout}; give a probability, from 0 to below 1')
  if not model.temperature > 0:
    raise UserError(f'{where}.temperature is {model.temperature}; give a number above 0')
