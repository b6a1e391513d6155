"""An autoregressive distribution over sequences of codes, the prior of a VQ-VAE (van den Oord et al. 2017, sec. 3.3).

p(codes | label) = prod_i p(code i | codes before i, label), by a causal transformer instead of the paper's PixelCNN.
"""

from collections.abc import Callable
import dataclasses
import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float
import optax

from jgen import keys
from jgen.errors import UserError
from jgen.families import optimizers, train_state
from jgen.families.accumulation import over_microbatches
from jgen.families.base import Family
from jgen.families.optimizers import Optimizer
from jgen.families.train_state import TrainState
from jgen.keys import key, section
from jgen.networks.causal_transformer import CausalTransformer
from jgen.parallel import per_image
from jgen.shapes import Array, Codes, Labels, PerImage, PRNGKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class Autoregressive(Family):
  """A family over codes: its batches are {'codes': int32 [..., N], 'label': int32}, and its samples are codes."""

  network: CausalTransformer
  optimizer: optax.GradientTransformation
  temperature: float                    # divides the logits in sampling
  ema_decay: float = 0.

  @property
  def num_classes(self) -> int:
    return self.network.num_classes

  def inputs(self) -> tuple[Codes, Labels]:
    """The codes and the label of one image, for their shapes."""
    codes = jnp.zeros((1, self.network.num_positions), jnp.int32)
    return codes, codes[:, 0]

  def passes(self) -> dict[str, Callable[[], Any]]:
    return {'autoregressive': lambda: self.network.init_with_output(jax.random.key(0), *self.inputs(), train=True)}

  def init(self, key: PRNGKey) -> TrainState:
    return train_state.create(key, {'autoregressive': self.network}, {'autoregressive': self.inputs()},
                              {'autoregressive': self.optimizer},
                              averaged=('autoregressive',) if self.ema_decay else ())

  def logits(self, params: Any, codes: Codes, labels: Labels, train: bool = False,
             dropout_key: PRNGKey | None = None) -> Float[Array, 'B N K']:
    """[B, N, K]"""
    return train_state.apply(self.network, params['autoregressive'], {}, codes, labels, train=train,
                             dropout_key=dropout_key)[0]

  def ledger(self, logits: Float[Array, 'B N K'], codes: Codes) -> dict[str, PerImage]:
    """{name: [B]} for codes [B, N]: the cost in total `nats` and in `bits_per_code`; the `accuracy` of predictions."""
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, codes).sum(1)
    return {'nats': nats, 'bits_per_code': nats / (codes.shape[1] * math.log(2)),
            'accuracy': (logits.argmax(-1) == codes).mean(1)}

  def train_step(self, state: TrainState, batches: dict[str, Array],
                 key: PRNGKey) -> tuple[TrainState, dict[str, Array]]:
    codes, labels = batches['codes'][0], batches['label'][0]
    def loss(params, codes, labels):
      ledger = self.ledger(self.logits(params, codes, labels, train=True, dropout_key=key), codes)
      metrics = {name: value.mean() for name, value in ledger.items()}
      return metrics['nats'] / codes.shape[1], metrics
    of_part = lambda inputs: (jax.grad(loss, has_aux=True)(state.params, *inputs), ())
    (gradients, metrics), _ = over_microbatches(of_part, (codes, labels))
    state, gradients = train_state.apply_gradients(state, 'autoregressive', gradients['autoregressive'], self.optimizer)
    metrics['gradient_norm'] = optax.tree.norm(gradients)
    return state, {f'autoregressive/{name}': value for name, value in metrics.items()}

  def eval_step(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> dict[str, Array]:
    """{name: [B]} of `ledger`, without dropout."""
    del key
    return self.ledger(self.logits(state.params, batch['codes'], batch['label']), batch['codes'])

  def sample(self, state: TrainState, key: PRNGKey, labels: Labels) -> Codes:
    """Samples codes int32 [B, N] one after the other."""
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


@dataclasses.dataclass(frozen=True)
class Keys:
  """The keys of an autoregressive prior over codes."""

  conditional: bool = key(False, 'whether it is conditioned on the label')
  width: int = key(128, 'size of the transformer\'s embeddings', at_least=1)
  num_layers: int = key(4, 'blocks of attention and two linear layers', at_least=1)
  num_heads: int = key(4, 'attention heads, among which the width is divided', at_least=1)
  dropout: float = key(0.1, 'probability with which a value in a residual branch is dropped in training', at_least=0,
                       below=1)
  temperature: float = key(1., 'divides the logits in sampling', above=0)
  ema_decay: float = key(0., 'decay per step of the averaged parameters, used for samples and scores; 0 for none',
                         at_least=0, below=1)
  optimizer: Optimizer = section(Optimizer, learning_rate=1e-3, b1=0.9)


def create(model: Any, num_codes: int, num_positions: int, num_classes: int) -> Autoregressive:
  """The family of a section with these Keys, for sequences of `num_positions` codes below `num_codes`.

  Raises:
    UserError: a conditional prior without labels; a width that is not a multiple of the number of heads.
  """
  check(model, num_classes)
  network = CausalTransformer(
      num_codes=num_codes, num_positions=num_positions, num_classes=num_classes if model.conditional else 0,
      **keys.numbers(CausalTransformer, model))
  return Autoregressive(network=network, optimizer=optimizers.create(model.optimizer),
                        **keys.numbers(Autoregressive, model))


def check(model: Any, num_classes: int) -> None:
  """Raises UserError for a section with invalid settings."""
  where = 'config.priors.autoregressive.model'
  if model.conditional and not num_classes:
    raise UserError(f'{where}.conditional is True, but the images have no labels; set it to False or use labelled '
                    'images')
  if model.width % model.num_heads:
    raise UserError(f'{where}.width is {model.width}; it must be a multiple of num_heads, {model.num_heads}')
