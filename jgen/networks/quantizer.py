"""Vector quantisation (van den Oord et al. 2017, sec. 3.1): the vectors of a map become their nearest codes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float, Int

from jgen.shapes import Array, Codes, Map


class Grouping(NamedTuple):
  """How a map [B, h, w, c] is cut into vectors [B, N, D]."""

  split: Callable                       # (map, D) -> vectors
  join: Callable                        # (vectors, (h, w, c)) -> map
  extent: Callable                      # (h, w, c) -> the number that D must divide


def split_positions(latents: Map, size: int) -> Float[Array, 'B N D']:
  return latents.reshape(latents.shape[0], -1, size)


def join_positions(vectors: Float[Array, 'B N D'], shape: Sequence[int]) -> Map:
  return vectors.reshape(vectors.shape[0], *shape)


def split_maps(latents: Map, size: int) -> Float[Array, 'B N D']:
  return jnp.moveaxis(latents, 3, 1).reshape(latents.shape[0], -1, size)


def join_maps(vectors: Float[Array, 'B N D'], shape: Sequence[int]) -> Map:
  height, width, channels = shape
  return jnp.moveaxis(vectors.reshape(vectors.shape[0], channels, height, width), 1, 3)


GROUPINGS = {
    # D neighbouring channels of one position; in row-major order of positions, and at each by group of channels.
    'positions': Grouping(split_positions, join_positions, lambda shape: shape[2]),
    # D values of one channel's map, the whole map if D = h w, in the memory order of an NCHW array.
    'maps': Grouping(split_maps, join_maps, lambda shape: shape[0] * shape[1]),
}


def straight_through(latents: Map, quantized: Map) -> Map:
  """The value of `quantized`, exactly, with a straight-through gradient to `latents` (sec. 3.2)."""
  return lax.stop_gradient(quantized) + (latents - lax.stop_gradient(latents))


class Quantizer(nn.Module):
  """A layer from maps [B, h, w, c] to (the map of the nearest codes, their indices int32 [B, N]).

  Its parameter `codebook` is [K, D]. Gradients pass only to the codebook, since indices have none.
  """

  codebook_size: int                    # K
  code_size: int                        # D
  grouping: Grouping

  def setup(self) -> None:
    bound = 1 / self.codebook_size      # as in the authors' code, unless initialised from data
    init = lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
    self.codebook = self.param('codebook', init, (self.codebook_size, self.code_size))

  def __call__(self, latents: Map) -> tuple[Map, Codes]:
    codes = nearest(self.split(latents), self.codebook)
    return self.vectors_of(codes, latents.shape[1:]), codes

  def split(self, latents: Map) -> Float[Array, 'B N D']:
    """The vectors [B, N, D] that a map [B, h, w, c] is cut into."""
    return self.grouping.split(latents, self.code_size)

  def vectors_of(self, codes: Codes, shape: Sequence[int]) -> Map:
    """The map [B, *shape] of embeddings of codes int32 [B, N]."""
    return self.grouping.join(look_up(self.codebook, codes), shape)


def nearest(vectors: Float[Array, '*B D'], codebook: Float[Array, 'K D']) -> Int[Array, '*B']:
  """int32 [...]: the row of the codebook [K, D] nearest to each of the vectors [..., D]; the first of equals.

  |z - e|^2 without |z|^2, which all rows share, as one product (z, 1) (-2 e, |e|^2): no array has more than one entry
  per vector and row. In full precision, because accelerators would round the products to 8 or 11 bits, and the code
  with them. The row is found by two minima, which on a CPU take a third of the time of XLA's argmin.
  """
  count = len(codebook)
  rows = jnp.concatenate([-2 * codebook, jnp.square(codebook).sum(1, keepdims=True)], 1)
  vectors = jnp.concatenate([vectors, jnp.ones((*vectors.shape[:-1], 1), vectors.dtype)], -1)
  distances = jnp.einsum('...d,kd->...k', vectors, rows, precision=lax.Precision.HIGHEST)
  is_nearest = distances == distances.min(-1, keepdims=True)
  return jnp.where(is_nearest, jnp.arange(count, dtype=jnp.int32), count - 1).min(-1)


def totals(codes: Int[Array, '*B'], vectors: Float[Array, '*B D'], codebook_size: int) -> Float[Array, 'K D']:
  """[K, D]: for each code, the sum of the vectors [..., D] with this code, int32 [...].

  A product of matrices, because scattered additions are not reproducible on a GPU.
  """
  one_hot = jax.nn.one_hot(codes.ravel(), codebook_size, dtype=vectors.dtype)
  return jnp.einsum('nk,nd->kd', one_hot, vectors.reshape(-1, vectors.shape[-1]), precision=lax.Precision.HIGHEST)


@jax.custom_vjp
def look_up(codebook: Float[Array, 'K D'], codes: Int[Array, '*B']) -> Float[Array, '*B D']:
  """The rows [..., D] of the codebook [K, D] for codes int32 [...]."""
  return codebook[codes]


look_up.defvjp(
    lambda codebook, codes: (codebook[codes], (codes, len(codebook))),
    lambda saved, gradient: (totals(saved[0], gradient, saved[1]), None))
