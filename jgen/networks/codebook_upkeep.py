"""Updates of a codebook [K, D] without gradients: moving averages, and revival of unused codes.

All devices compute the same: batch statistics are averaged over them, and random choices do not depend on the
device.
"""

import dataclasses
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from jgen.networks.quantizer import totals
from jgen.parallel import AXIS
from jgen.shapes import Array, PRNGKey

_NEVER = 1e-20                          # a smaller share means that no vector uses the code


@dataclasses.dataclass(frozen=True)
class Upkeep:
  """Moving averages of a codebook's use, and the updates based on them.

  The averages are {'shares': [K], the share of all vectors with a code} and, if codes are moving averages,
  'sums' [K, D], the sum of these vectors divided by the number of all vectors.
  """

  by_average: bool                      # whether each code is the moving average of its vectors, not the optimizer's
  decay: float                          # of the averages, per step
  dead_below: float                     # share of uniform use, 1 / K, below which a code is dead
  revive_every_steps: int               # 0 for never

  def begin(self, codebook: Float[Array, 'K D']) -> dict[str, Array]:
    """The initial averages of a codebook, as if its codes had been used uniformly."""
    shares = jnp.full(len(codebook), 1 / len(codebook))
    return {'shares': shares, **({'sums': shares[:, None] * codebook} if self.by_average else {})}

  def follow(self, codebook: Float[Array, 'K D'], averages: dict[str, Array], codes: Int[Array, 'B N'],
             vectors: Float[Array, 'B N D']) -> tuple[Float[Array, 'K D'], dict[str, Array], Float[Array, ' K']]:
    """(codebook, averages, shares [K] in this batch) after the vectors [B, N, D] of a batch were assigned codes [B, N].

    Van den Oord et al. 2017, eq. 6 to 8, divided by the number of vectors. A code without vectors does not change.
    """
    count, moved = len(codebook), dict(averages)
    shares = lax.pmean(jax.nn.one_hot(codes.ravel(), count).mean(0), AXIS)
    moved['shares'] = self.mix(averages['shares'], shares)
    if self.by_average:
      sums = lax.pmean(totals(codes, vectors, count) / codes.size, AXIS)
      moved['sums'] = self.mix(averages['sums'], sums)
      used = (moved['shares'] > _NEVER)[:, None]
      codebook = jnp.where(used, moved['sums'] / jnp.where(used, moved['shares'][:, None], 1.), codebook)
    return codebook, moved, shares

  def mix(self, average: Float[Array, '*K'], new: Float[Array, '*K']) -> Float[Array, '*K']:
    return self.decay * average + (1 - self.decay) * new

  def dead(self, averages: dict[str, Array]) -> Bool[Array, ' K']:
    """bool [K]: which codes are dead."""
    return averages['shares'] * len(averages['shares']) < self.dead_below

  def revive(self, codebook: Float[Array, 'K D'], averages: dict[str, Array], revived: Bool[Array, ' K'],
             vectors: Float[Array, 'B N D'], key: PRNGKey) -> tuple[Float[Array, 'K D'], dict[str, Array]]:
    """(codebook, averages) with dead codes replaced by vectors of the batch over all devices, as if used uniformly."""
    drawn = draw_vectors(key, vectors, len(codebook))
    codebook = jnp.where(revived[:, None], drawn, codebook)
    fresh = self.begin(codebook)
    keep = lambda new, old: jnp.where(revived.reshape(-1, *[1] * (old.ndim - 1)), new, old)
    return codebook, jax.tree.map(keep, fresh, averages)


def draw_vectors(key: PRNGKey, vectors: Float[Array, 'B N D'], count: int) -> Float[Array, 'count D']:
  """[count, D]: a random vector from each of `count` equal parts of the vectors [B, N, D] of all devices.

  If all devices have the same key, the result is the same for any number of devices.
  """
  vectors = vectors.reshape(-1, vectors.shape[-1])
  of_all = len(vectors) * lax.axis_size(AXIS)
  places = (jnp.arange(count) + jax.random.uniform(key, (count,))) * (of_all / count)
  here = jnp.minimum(places.astype(jnp.int32), of_all - 1) - lax.axis_index(AXIS) * len(vectors)
  mine = (here >= 0) & (here < len(vectors))
  return lax.psum(jnp.where(mine[:, None], vectors[jnp.clip(here, 0, len(vectors) - 1)], 0.), AXIS)


def reset_moments(opt_state: Any, revived: Bool[Array, ' K']) -> Any:
  """An optimizer's state in which the averages of the gradients of revived codes are zero."""
  def reset(path, leaf):
    of_codebook = any(getattr(entry, 'key', None) == 'codebook' for entry in path)
    return jnp.where(revived[:, None], 0., leaf) if of_codebook else leaf
  return jax.tree_util.tree_map_with_path(reset, opt_state)
