"""What concerns the devices has one place, and no two purposes draw the same random numbers."""

import types

from helpers.launching import ROOT
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from jgen.families.model import Compiled
from jgen.families.train_state import TrainState
from jgen.parallel import AXIS, over_devices
from jgen.training.step import make_dispatch


def test_only_one_module_maps_over_devices():
  calls = [path.name for path in (ROOT / 'jgen').rglob('*.py') if 'jax.pmap(' in path.read_text()]
  assert calls == ['parallel.py']


def test_each_device_takes_its_part_and_all_know_the_mean():
  def compute(part, whole):
    return part * whole, lax.pmean(part, AXIS)
  parts, means = over_devices(compute, in_axes=(0, None))(np.arange(4.), 10.)
  np.testing.assert_array_equal(parts, [0., 10., 20., 30.])
  np.testing.assert_array_equal(means, [1.5] * 4)
  two = over_devices(compute, in_axes=(0, None), devices=jax.local_devices()[:2])(np.arange(2.), 10.)
  np.testing.assert_array_equal(two[1], [0.5] * 2)


def test_what_is_measured_draws_other_numbers_than_any_step_of_training():
  """Chunk i of an evaluation with the seed of a run would else use the numbers of its step i."""
  def halves(key):
    """Numbers below 2^16, for the mean over the devices is one of float32."""
    data = jax.random.key_data(key)
    return jnp.concatenate([data >> 16, data & 0xffff]).astype(jnp.float32)
  def train_step(state, batches, key):
    return state, {'key': halves(key)}
  family = types.SimpleNamespace(train_step=train_step, ema_decay=0.)
  state = TrainState(jnp.zeros([1], jnp.int32), {}, {}, {}, {})
  devices = jax.local_devices()[:1]
  images = np.zeros((1, 300, 1, 1, 2, 2, 1), np.uint8)
  _, trained = make_dispatch(family, devices=devices)(jax.tree.map(jnp.copy, state), {'image': images},
                                                      jax.random.key(5))
  def key_of(family, state, key, batch):
    del family, state
    return jnp.broadcast_to(halves(key), (len(batch['image']), 4))
  measured = Compiled(family, devices)(key_of, state, {'image': images[0, :, 0, 0]}, 5)
  keys = {tuple(key) for key in measured.tolist()}
  assert len(keys) == 3                 # 300 images in chunks of 128
  steps = {tuple(key) for key in np.asarray(trained['key'])[0].tolist()}
  assert len(steps) == 300 and not keys & steps
