"""A small causal transformer over a sequence of codes (Vaswani et al. 2017; pre-norm as in Radford et al. 2019).

M is the width, A the number of heads. The output at position i depends on the codes before i and the label, never on
code i.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from jgen.activations import gelu
from jgen.networks import products
from jgen.networks.layers import Dropout
from jgen.shapes import Array, Codes, Labels, Step

Rows = Float[Array, 'B n M']
Cache = tuple[Float[Array, 'B N A _'], Float[Array, 'B N A _']]   # keys and values of earlier positions

_embedding = nn.initializers.normal(0.02)


def _linear(features, name):
  return nn.Dense(features, name=name, dot_general=products.dot_general)


class Attention(nn.Module):
  """Causal multi-head self-attention."""

  num_heads: int                        # A

  @nn.compact
  def __call__(self, x: Rows, cache: Cache | None = None, position: Step | None = None) -> tuple[Rows, Cache]:
    """[B, n, M] for x [B, n, M]: all positions at once, or one (n = 1) at `position` with earlier ones in the cache.

    Args:
      x: [B, n, M]
      cache: (keys, values), [B, N, A, M / A] each, filled in before `position`; None for all positions at once
      position: [] int; None if there is no cache

    Returns:
      (the output, the cache with this position filled in)
    """
    count, width = x.shape[1:]
    split = lambda y: y.reshape(*y.shape[:2], self.num_heads, width // self.num_heads)
    queries, keys, values = map(split, jnp.split(_linear(3 * width, 'queries_keys_values')(x), 3, axis=-1))
    visible = jnp.tril(jnp.ones((count, count), bool))
    if cache is not None and position is not None:
      keys, values = (jax.lax.dynamic_update_slice_in_dim(old, new, position, axis=1)
                      for old, new in zip(cache, (keys, values), strict=True))
      visible = (jnp.arange(keys.shape[1]) <= position)[None]
    scores = jnp.einsum('bqad,bkad->baqk', queries, keys) / jnp.sqrt(width / self.num_heads)
    weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf))
    mixed = jnp.einsum('baqk,bkad->bqad', weights, values).reshape(x.shape)
    return _linear(width, 'output')(mixed), (keys, values)


class Block(nn.Module):
  """Attention, then two linear layers, each in a residual branch."""

  num_heads: int
  dropout: float

  @nn.compact
  def __call__(self, x: Rows, train: bool, cache: Cache | None = None,
               position: Step | None = None) -> tuple[Rows, Cache]:
    drop = Dropout(self.dropout if train else 0.)
    y, filled = Attention(self.num_heads, name='attention')(nn.LayerNorm(name='norm_0')(x), cache, position)
    x = x + drop(y)
    y = _linear(4 * x.shape[-1], 'layer_0')(nn.LayerNorm(name='norm_1')(x))
    return x + drop(_linear(x.shape[-1], 'layer_1')(gelu(y))), filled


class CausalTransformer(nn.Module):
  """A transformer from codes int32 [B, N] and labels int32 [B] to logits [B, N, K].

  Logits at position i depend on the label and on the codes before i only.
  """

  num_codes: int                        # K
  num_positions: int                    # N
  num_classes: int                      # Y; 0 if labels are not used
  width: int                            # M
  num_layers: int
  num_heads: int                        # A
  dropout: float                        # probability that a value in a residual branch is dropped in training

  def setup(self) -> None:
    self.code_embedding = self.param('code_embedding', _embedding, (self.num_codes, self.width))
    self.start = self.param('start', _embedding, (self.width,))   # the input at position 0
    self.position_embedding = self.param('position_embedding', _embedding, (self.num_positions, self.width))
    if self.num_classes:                # added at every position, so that no attention is needed for it
      self.label_embedding = self.param('label_embedding', _embedding, (self.num_classes, self.width))
    self.blocks = [Block(self.num_heads, self.dropout) for _ in range(self.num_layers)]
    self.norm = nn.LayerNorm()
    self.head = nn.Dense(self.num_codes, dot_general=products.dot_general)

  def __call__(self, codes: Codes, labels: Labels, train: bool) -> Float[Array, 'B N K']:
    before = self.code_embedding[codes[:, :-1]]
    start = jnp.broadcast_to(self.start, (len(codes), 1, self.width))
    x = jnp.concatenate([start, before], axis=1) + self.position_embedding + self.of_labels(labels)
    for block in self.blocks:
      x, _ = block(x, train)
    return self.head(self.norm(x))

  def of_labels(self, labels: Labels) -> Float[Array, 'B 1 M'] | float:
    """The embedding of labels, [B, 1, M]; 0 if labels are not used."""
    return self.label_embedding[labels][:, None] if self.num_classes else 0.

  def step(self, code: Int[Array, ' B'], position: Step, labels: Labels,
           caches: list[Cache]) -> tuple[Float[Array, 'B K'], list[Cache]]:
    """(logits [B, K] at one position, the updated caches): the logits of `__call__`, at a fraction of the cost.

    Args:
      code: int32 [B], the code at the previous position; ignored at position 0
      position: [] int32
      labels: int32 [B]
      caches: from `empty_caches` or from the previous step
    """
    x = jnp.where(position == 0, self.start, self.code_embedding[code])
    x = (x + self.position_embedding[position])[:, None] + self.of_labels(labels)
    filled = []
    for block, cache in zip(self.blocks, caches, strict=True):
      x, cache = block(x, False, cache, position)
      filled.append(cache)
    return self.head(self.norm(x))[:, 0], filled

  def empty_caches(self, count: int) -> list[Cache]:
    """The caches of all blocks before the first position, for `count` sequences of codes."""
    shape = (count, self.num_positions, self.num_heads, self.width // self.num_heads)
    return [(jnp.zeros(shape), jnp.zeros(shape)) for _ in range(self.num_layers)]
