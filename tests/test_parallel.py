"""What concerns the devices has one place."""

from helpers.launching import ROOT
import jax
from jax import lax
import numpy as np

from jgen.parallel import AXIS, over_devices


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
