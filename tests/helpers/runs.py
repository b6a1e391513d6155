"""Run folders of models that were initialised and saved, not trained: what is drawn from them takes seconds."""

import contextlib

from helpers import tiny
import jax
import numpy as np

from jgen import data, families
from jgen.data import stored_spec
from jgen.data.spec import Splits
from jgen.host.files import write_text
from jgen.run import config as config_lib
from jgen.run.checkpoints import Checkpoints


def make(folder, name, step=4, **overrides):
  """The folder of a run of `tiny.CONFIGS[name]`, saved after no step as if after `step` steps."""
  config = tiny.CONFIGS[name](**overrides)
  save(folder, config, families.create(config, data.describe(config.data)), step)
  return folder


def save(folder, config, family, step, seed=0):
  """Writes a run folder with a new state of the family; the parameters are spread so that images differ."""
  folder.mkdir(parents=True, exist_ok=True)
  write_text(folder / 'config.json', config_lib.dumps(config))
  stored_spec.store(folder, Splits(data.load(config.data)))
  state = jax.jit(family.init)(jax.random.key(seed))
  # The averages differ from the parameters, as after some steps.
  averages = jax.tree.map(lambda x: 1.5 * x, state.ema_params)
  state = jax.tree.map(np.array, state.replace(step=np.int32(step), ema_params=averages))
  with contextlib.closing(Checkpoints(folder.absolute(), config.checkpoints)) as checkpoints:
    checkpoints.save(step, state, {})
  return state
