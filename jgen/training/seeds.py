"""Several seeds in one compiled step, which is mapped over their stacked keys, batches and states.

A run with one seed has no such axis, neither on the devices nor in its checkpoints.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Key
import numpy as np

from jgen.families.train_state import TrainState
from jgen.parallel import over_devices
from jgen.training.actions import Action


def keys_of(seeds: Sequence[int]) -> Key[jax.Array, '*N']:
  """The key of a seed; for several seeds the stacked keys [N]."""
  return jax.random.key(seeds[0]) if len(seeds) == 1 else jnp.stack([*map(jax.random.key, seeds)])


def stacked(states: Sequence[TrainState]) -> TrainState:
  """The stacked states of N seeds, arrays [N, ...]; the state itself for one seed."""
  return states[0] if len(states) == 1 else jax.tree.map(lambda *x: np.stack(x), *map(jax.device_get, states))


def shapes(state: TrainState, count: int) -> TrainState:
  """The shapes [N, ...] of the state of `count` seeds, from the shapes of one seed."""
  return state if count == 1 else jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), state)


def picked(state: TrainState, index: int, count: int) -> TrainState:
  """The state of one seed, from the state of `count` seeds on the host."""
  return state if count == 1 else jax.tree.map(lambda x: x[index], state)


def step_of(state: TrainState) -> int:
  """The step of a state on the host as an int; all seeds share it."""
  return int(np.ravel(state.step)[0])


class Picker:
  """Selects the replicated state [D, ...] of one seed from that of all [D, N, ...]; caches the last selection."""

  def __init__(self, count: int) -> None:
    """`count` is the number of seeds; with one, the state is returned unchanged."""
    self.count = count
    self._pick = over_devices(lambda state, index: jax.tree.map(lambda x: x[index], state), in_axes=(0, None))
    self._last: tuple[TrainState, int, TrainState] | None = None   # (all states, index, picked state) of the last call

  def __call__(self, state: TrainState, index: int) -> TrainState:
    if self.count == 1:
      return state
    if self._last is None or self._last[0] is not state or self._last[1] != index:
      self._last = state, index, self._pick(state, index)
    return self._last[2]


@dataclasses.dataclass
class OfSeed(Action):
  """Applies an action written for a single seed to one of several seeds."""

  every_steps: int = dataclasses.field(init=False)
  action: Action
  pick: Picker
  index: int

  def __post_init__(self):
    self.every_steps = self.action.every_steps

  @property
  def part(self) -> str:
    return self.action.part

  def due(self, step: int, last: bool, stopping: bool) -> bool:
    return self.action.due(step, last, stopping)

  def complete(self, step: int, state: TrainState) -> None:
    self.action.complete(step, self.pick(state, self.index))

  def __call__(self, step: int, state: TrainState, scores: Mapping[str, float]) -> dict[str, float]:
    self.action(step, self.pick(state, self.index), scores)
    return {}                             # no score holds for all seeds


def actions_of(pick: Picker, actions: Sequence[Action]) -> Sequence[Action]:
  """One action per seed, each applied to the state of its seed."""
  return actions if pick.count == 1 else [OfSeed(action, pick, index) for index, action in enumerate(actions)]
