"""Inception-v3 as released on 2015-12-05, the network behind FID (Szegedy et al. 2015; Heusel et al. 2017).

It is not the Inception-v3 of later model collections: average pools leave the padding out of the mean,
the pool of the last block takes the maximum, and there are 1,008 classes. Unit names are those of the
published PyTorch port. Batch normalisation (no scale, eps 1e-3) is folded into kernel and bias, see
`inception_weights`.
"""

import dataclasses
import functools
from typing import Any

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from jgen.shapes import Array

IMAGE_SIZE = 299                        # side in pixels of the images that the network was trained on
NUM_CLASSES = 1008


@dataclasses.dataclass(frozen=True)
class Unit:
  """A convolution with its folded batch normalisation, and ReLU."""

  name: str
  features: int
  kernel: tuple[int, int] = (1, 1)
  stride: int = 1
  padding: str = 'SAME'


# Below, a list is a sequence of steps and a tuple a set of parallel branches, concatenated along the channels.


def max_pool(x: Float[Array, 'B H W C']) -> Float[Array, 'B h w C']:
  """3x3 max pooling with stride 2, without padding."""
  return nn.max_pool(x, (3, 3), (2, 2))


def max_pool_same(x: Float[Array, 'B H W C']) -> Float[Array, 'B h w C']:
  """3x3 max pooling with stride 1."""
  return nn.max_pool(x, (3, 3), padding='SAME')


def average_pool(x: Float[Array, 'B H W C']) -> Float[Array, 'B h w C']:
  """3x3 average pooling with stride 1; pixels outside the image are not counted."""
  total = nn.pooling.pool(x, 0., lax.add, (3, 3), (1, 1), 'SAME')
  rows, columns = (_neighbours(side) for side in x.shape[1:3])
  return total / np.outer(rows, columns)[:, :, None]


def _neighbours(side):
  """The number of pixels among the left neighbour, the pixel itself and the right neighbour, float32 [side]."""
  at = np.arange(side)
  return 1 + np.minimum(at, 1, dtype=np.float32) + np.minimum(side - 1 - at, 1, dtype=np.float32)


def _block_a(name, pooled):
  return (
      Unit(f'{name}.branch1x1', 64),
      [Unit(f'{name}.branch5x5_1', 48), Unit(f'{name}.branch5x5_2', 64, (5, 5))],
      [Unit(f'{name}.branch3x3dbl_1', 64), Unit(f'{name}.branch3x3dbl_2', 96, (3, 3)),
       Unit(f'{name}.branch3x3dbl_3', 96, (3, 3))],
      [average_pool, Unit(f'{name}.branch_pool', pooled)])


def _block_b(name):
  return (
      _halving(f'{name}.branch3x3', 384),
      [Unit(f'{name}.branch3x3dbl_1', 64), Unit(f'{name}.branch3x3dbl_2', 96, (3, 3)),
       _halving(f'{name}.branch3x3dbl_3', 96)],
      max_pool)


def _block_c(name, width):
  return (
      Unit(f'{name}.branch1x1', 192),
      [Unit(f'{name}.branch7x7_1', width), Unit(f'{name}.branch7x7_2', width, (1, 7)),
       Unit(f'{name}.branch7x7_3', 192, (7, 1))],
      [Unit(f'{name}.branch7x7dbl_1', width), Unit(f'{name}.branch7x7dbl_2', width, (7, 1)),
       Unit(f'{name}.branch7x7dbl_3', width, (1, 7)), Unit(f'{name}.branch7x7dbl_4', width, (7, 1)),
       Unit(f'{name}.branch7x7dbl_5', 192, (1, 7))],
      [average_pool, Unit(f'{name}.branch_pool', 192)])


def _block_d(name):
  return (
      [Unit(f'{name}.branch3x3_1', 192), _halving(f'{name}.branch3x3_2', 320)],
      [Unit(f'{name}.branch7x7x3_1', 192), Unit(f'{name}.branch7x7x3_2', 192, (1, 7)),
       Unit(f'{name}.branch7x7x3_3', 192, (7, 1)), _halving(f'{name}.branch7x7x3_4', 192)],
      max_pool)


def _block_e(name, pool):
  return (
      Unit(f'{name}.branch1x1', 320),
      [Unit(f'{name}.branch3x3_1', 384), _split(f'{name}.branch3x3_2')],
      [Unit(f'{name}.branch3x3dbl_1', 448), Unit(f'{name}.branch3x3dbl_2', 384, (3, 3)),
       _split(f'{name}.branch3x3dbl_3')],
      [pool, Unit(f'{name}.branch_pool', 192)])


def _halving(name, features):
  return Unit(name, features, (3, 3), stride=2, padding='VALID')


def _split(name):
  return Unit(f'{name}a', 384, (1, 3)), Unit(f'{name}b', 384, (3, 1))


# The steps that lead to each kind of features, in order: {number of features: steps}.
STAGES = {
    '64': [Unit('Conv2d_1a_3x3', 32, (3, 3), 2, 'VALID'), Unit('Conv2d_2a_3x3', 32, (3, 3), 1, 'VALID'),
           Unit('Conv2d_2b_3x3', 64, (3, 3)), max_pool],
    '192': [Unit('Conv2d_3b_1x1', 80), Unit('Conv2d_4a_3x3', 192, (3, 3), 1, 'VALID'), max_pool],
    '768': [_block_a('Mixed_5b', 32), _block_a('Mixed_5c', 64), _block_a('Mixed_5d', 64), _block_b('Mixed_6a'),
            _block_c('Mixed_6b', 128), _block_c('Mixed_6c', 160), _block_c('Mixed_6d', 160),
            _block_c('Mixed_6e', 192)],
    '2048': [_block_d('Mixed_7a'), _block_e('Mixed_7b', average_pool), _block_e('Mixed_7c', max_pool_same)],
}
DEPTHS = (*STAGES, 'logits')


class Inception(nn.Module):
  """Images float32 [B, S, S, 3], scaled as an `input_protocol` says, to features.

  Returns {'64', '192', '768', '2048': float32 [B, 64 to 2048], 'logits', 'unbiased_logits': [B, 1008]}, as far
  as `depth`, one of DEPTHS. Features are means over the image. The Inception Score was defined on
  logits without their bias (Salimans et al. 2016, their code): 'unbiased_logits'.
  """

  depth: str

  @nn.compact
  def __call__(self, x: Float[Array, 'B S S 3']) -> dict[str, Float[Array, 'B _']]:
    outputs = {}
    for name, steps in STAGES.items():
      x = _run(steps, x)
      outputs[name] = x.mean(axis=(1, 2))
      if name == self.depth:
        return outputs
    outputs['unbiased_logits'], outputs['logits'] = Classifier(name='fc')(outputs['2048'])
    return outputs


class Classifier(nn.Module):
  """Features [B, 2048] to (logits without bias [B, 1008], logits)."""

  @nn.compact
  def __call__(self, x: Float[Array, 'B F']) -> tuple[Float[Array, 'B Y'], Float[Array, 'B Y']]:
    kernel = self.param('kernel', nn.initializers.lecun_normal(), (x.shape[-1], NUM_CLASSES))
    bias = self.param('bias', nn.initializers.zeros, (NUM_CLASSES,))
    unbiased = jnp.dot(x, kernel, precision=lax.Precision.HIGHEST)
    return unbiased, unbiased + bias


def _run(step, x):
  """Runs the description `step`, see above, as modules of the Inception that is being called."""
  match step:
    case list():
      for one in step:
        x = _run(one, x)
      return x
    case tuple():
      return jnp.concatenate([_run(branch, x) for branch in step], axis=-1)
    case Unit():
      return nn.relu(nn.Conv(step.features, step.kernel, step.stride, step.padding,
                             precision=lax.Precision.HIGHEST, name=step.name)(x))
  return step(x)


def units(step: Any) -> list[Unit]:
  """The Units of a description or a list of them, in the order of the data."""
  match step:
    case list() | tuple():
      return [unit for one in step for unit in units(one)]
    case Unit():
      return [step]
  return []


def parameter_names(depth: str) -> list[str]:
  """The names of the modules with parameters of an Inception of this depth, in the order of the data."""
  stages = list(STAGES)[:DEPTHS.index(depth) + 1]
  return [unit.name for stage in stages for unit in units(STAGES[stage])] + ['fc'] * (depth == 'logits')


@functools.cache                        # it takes half a second
def parameter_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
  """{unit or 'fc': {'kernel': shape, 'bias': shape}} of the whole Inception."""
  image = jax.ShapeDtypeStruct((1, 107, 107, 3), jnp.float32)   # any size that is large enough for the pools
  variables = jax.eval_shape(Inception('logits').init, jax.random.key(0), image)
  return jax.tree.map(lambda leaf: leaf.shape, variables['params'])
