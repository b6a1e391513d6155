"""Builds a network's optimizer from its config section: update rule, learning rate schedule, and clipping."""

from collections.abc import Iterator
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jgen.errors import UserError, choose
from jgen.keys import key


def adam(section: Any, rate: Any) -> optax.GradientTransformation:
  """Kingma & Ba 2015; eps 1e-8 as in PyTorch."""
  return optax.adam(rate, b1=section.b1, b2=section.b2, eps=1e-8)


def adamw(section: Any, rate: Any) -> optax.GradientTransformation:
  """Adam with decoupled weight decay (Loshchilov & Hutter 2019); eps 1e-8 as in PyTorch."""
  return optax.adamw(rate, b1=section.b1, b2=section.b2, eps=1e-8, weight_decay=section.weight_decay)


def lion(section: Any, rate: Any) -> optax.GradientTransformation:
  """Chen et al. 2023: the sign of a moving average of the gradients, with decoupled weight decay."""
  return optax.lion(rate, b1=section.b1, b2=section.b2, weight_decay=section.weight_decay)


def rmsprop(section: Any, rate: Any) -> optax.GradientTransformation:
  """RMSprop, Hinton 2012, lecture 6e; eps 1e-8 is added outside the square root, as in PyTorch."""
  return optax.rmsprop(rate, decay=section.decay, eps=1e-8, eps_in_sqrt=False, momentum=section.momentum or None)


def sgd(section: Any, rate: Any) -> optax.GradientTransformation:
  """Stochastic gradient descent, with optional momentum."""
  return optax.sgd(rate, momentum=section.momentum or None)


OPTIMIZERS = {'adam': adam, 'adamw': adamw, 'lion': lion, 'rmsprop': rmsprop, 'sgd': sgd}


def constant(section: Any) -> Any:
  """Always 1."""
  del section
  return optax.constant_schedule(1.)


def linear(section: Any) -> Any:
  """A linear decay from 1 to the end factor."""
  return optax.linear_schedule(1., section.end_factor, section.decay_updates)


def cosine(section: Any) -> Any:
  """A cosine decay from 1 to the end factor (Loshchilov & Hutter 2017, eq. 5, without restarts)."""
  return optax.cosine_decay_schedule(1., section.decay_updates, alpha=section.end_factor)


SCHEDULES = {'constant': constant, 'linear': linear, 'cosine': cosine}


@dataclasses.dataclass(frozen=True)
class Optimizer:
  """The keys of a network's optimizer."""

  name: str = key('adam', 'the update rule', names=OPTIMIZERS)
  learning_rate: float = key(2e-4, 'learning rate; the largest value if a schedule changes it', at_least=0)
  b1: float = key(0.5, 'decay of the first moment', at_least=0, below=1, read_with={'name': ('adam', 'adamw', 'lion')})
  b2: float = key(0.999, 'decay of the second moment (Lion: of its average of the gradients)', at_least=0, below=1,
                  read_with={'name': ('adam', 'adamw', 'lion')})
  decay: float = key(0.99, 'decay of the mean square', at_least=0, below=1, read_with={'name': ('rmsprop',)})
  momentum: float = key(0., 'momentum: share of the previous update that is added; 0 for none', at_least=0, below=1,
                        read_with={'name': ('rmsprop', 'sgd')})
  weight_decay: float = key(0., 'share of each parameter, times the learning rate, that an update subtracts',
                            at_least=0, read_with={'name': ('adamw', 'lion')})
  schedule: str = key('constant', 'how the learning rate changes over the updates of this network', names=SCHEDULES)
  warmup_updates: int = key(0, 'updates over which the learning rate first rises linearly from 0', at_least=0)
  decay_updates: int = key(0, 'updates after the warmup over which it falls; then it is constant', at_least=0,
                           read_with={'schedule': ('linear', 'cosine')})
  end_factor: float = key(0., 'the final learning rate as a share of the largest', at_least=0, at_most=1,
                          read_with={'schedule': ('linear', 'cosine')})
  clip_norm: float = key(0., "largest Euclidean norm of the network's gradient; a larger one is scaled down to it; 0 "
                             'for none', at_least=0)


class Rate(NamedTuple):
  """The state of a learning rate schedule."""

  updates: jax.Array                    # [] int32, number of updates so far
  rate: jax.Array                       # [] float32, the learning rate of the last update


def create(section: Any) -> optax.GradientTransformation:
  """The optax transformation for a section with the keys of an Optimizer.

  Raises:
    UserError: a schedule without `decay_updates`.
  """
  rule = choose('optimizer.name', section.name, OPTIMIZERS)
  scheduled = section.schedule != 'constant' or section.warmup_updates
  optimizer = optax.chain(rule(section, 1.), _at_rate(rate_of(section))) if scheduled else (
      rule(section, section.learning_rate))
  return optax.chain(optax.clip_by_global_norm(section.clip_norm), optimizer) if section.clip_norm else optimizer


def rate_of(section: Any) -> Any:
  """The learning rate of a section, as a function of the network's number of updates so far, [] -> []."""
  if section.schedule != 'constant' and section.decay_updates < 1:
    raise UserError(f"the optimizer's schedule is '{section.schedule}' and its decay_updates 0; expected the number of "
                    'updates over which the learning rate falls, at least 1')
  falling = choose('optimizer.schedule', section.schedule, SCHEDULES)(section)
  def rate(updates):
    rising = jnp.minimum(1., updates / section.warmup_updates) if section.warmup_updates else 1.
    return section.learning_rate * rising * falling(jnp.maximum(0, updates - section.warmup_updates))
  return rate


def _at_rate(rate):
  """The transformation that multiplies updates by a scheduled learning rate and stores that rate in its state."""
  def init(params):
    del params
    return Rate(jnp.zeros((), jnp.int32), jnp.float32(rate(0)))
  def update(updates, state, params=None):
    del params
    now = jnp.float32(rate(state.updates))
    return jax.tree.map(lambda x: x * now, updates), Rate(state.updates + 1, now)
  return optax.GradientTransformation(init, update)


def learning_rates(opt_state: Any) -> Iterator[jax.Array]:
  """The learning rates, [] each, stored in an optimizer's state: none if the rate is constant."""
  leaves = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, Rate))
  return (leaf.rate for leaf in leaves if isinstance(leaf, Rate))
