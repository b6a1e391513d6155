"""The state of a run, and the single place where gradients are averaged and applied."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import flax
import jax
from jax import lax
import jax.numpy as jnp
import optax

from jgen.parallel import AXIS
from jgen.shapes import PRNGKey

PyTree = Any


@flax.struct.dataclass
class TrainState:
  """Everything that a resumed run needs: arrays only, in mappings with one entry per network."""

  step: Any                             # [] int32, number of training steps; of any type, as a leaf of a tree
  params: Mapping[str, PyTree]
  opt_state: Mapping[str, PyTree]
  model_state: Mapping[str, PyTree]     # batch statistics and other state that is not learned by gradient
  ema_params: Mapping[str, PyTree]      # only for networks with averaged parameters

  if TYPE_CHECKING:                     # flax adds it
    def replace(self, **fields: Any) -> 'TrainState': ...


def create(key: PRNGKey, networks: Mapping[str, Any], inputs: Mapping[str, Any],
           optimizers: Mapping[str, optax.GradientTransformation], averaged: Sequence[str] = ()) -> TrainState:
  """The state at step 0.

  Args:
    key: the run's key.
    networks: {name: Linen module}.
    inputs: {name: the arguments of its call}, for their shapes.
    optimizers: {name: optax transformation}.
    averaged: names of the networks with averaged parameters.
  """
  variables = {name: network.init(network_key, *inputs[name], train=True) for network_key, (name, network)
               in zip(jax.random.split(key, len(networks)), networks.items(), strict=True)}
  params = {name: v['params'] for name, v in variables.items()}
  return TrainState(
      step=jnp.zeros((), jnp.int32),
      params=params,
      opt_state={name: optimizers[name].init(params[name]) for name in networks},
      model_state={name: {k: v for k, v in variables[name].items() if k != 'params'} for name in networks},
      ema_params={name: jax.tree.map(jnp.copy, params[name]) for name in averaged})


def average(state: TrainState, decay: float) -> TrainState:
  """Moves the averaged parameters towards the parameters; called once per step, after the updates.

  Exponential moving average over the steps (Polyak & Juditsky 1992; for generators Yazıcı et al. 2019).
  """
  ema_params = {name: optax.incremental_update(state.params[name], averaged, 1. - decay)
                for name, averaged in state.ema_params.items()}
  return state.replace(ema_params=ema_params)


def apply(network: Any, params: Any, model_state: Any, *inputs: Any, train: bool,
          dropout_key: PRNGKey | None = None) -> tuple[Any, Any]:
  """(output, new model_state) of a Linen module; in evaluation the state does not change.

  Modules with dropout need the key.
  """
  variables = {'params': params, **model_state}
  rngs = {} if dropout_key is None else {'dropout': dropout_key}
  if not train:
    return network.apply(variables, *inputs, train=False, rngs=rngs), model_state
  output, new_state = network.apply(variables, *inputs, train=True, rngs=rngs, mutable=list(model_state))
  return output, dict(new_state)


def apply_gradients(state: TrainState, name: str, gradients: Any,
                    optimizer: optax.GradientTransformation) -> tuple[TrainState, Any]:
  """One optimizer step of the network `name`: (state, gradients averaged over all devices).

  `gradients` are those of this device's share of the batch; they are averaged only here.
  """
  gradients = lax.pmean(gradients, AXIS)
  updates, opt_state = optimizer.update(gradients, state.opt_state[name], state.params[name])
  params = optax.apply_updates(state.params[name], updates)
  return state.replace(params={**state.params, name: params},
                       opt_state={**state.opt_state, name: opt_state}), gradients
