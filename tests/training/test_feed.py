"""Batches on the devices equal the pipeline's bit for bit, for both ways of transfer."""

from helpers import tiny
from helpers.published import refusal
import jax
import numpy as np
import pytest

from jgen.commands import train
from jgen.data import pipeline
from jgen.data.spec import Dataset, Spec
from jgen.training import feed

pytestmark = pytest.mark.usefixtures('few_figures', 'optimised')

POSITION = dict(first_step=2, num_steps=10, steps_per_dispatch=2, batches_per_step=3, batch_size=8)


@pytest.fixture(scope='module')
def dataset():
  images = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
  return Dataset(Spec('noise', (4, 4, 3), 50), images, np.arange(50, dtype=np.int32), 'test')


@pytest.fixture(scope='module')
def expected(dataset):
  served = list(pipeline.batches(dataset, seed=5, **POSITION, num_devices=4))
  assert len(served) == 4 and served[0]['image'].shape == (4, 2, 3, 2, 4, 4, 3)
  return served


def check(batches, expected):
  for batch, other in zip(batches, expected, strict=True):
    assert set(batch) == set(other)
    for name, array in batch.items():
      assert array.dtype == other[name].dtype
      np.testing.assert_array_equal(array, other[name])


def check_places(batch):
  """Each device has its own share already: nothing is left to be sent when the step is called."""
  for array in batch.values():
    assert [shard.index[0] for shard in array.addressable_shards] == [slice(d, d + 1) for d in range(4)]
    assert [shard.device for shard in array.addressable_shards] == jax.local_devices()


@pytest.mark.parametrize('on_device', [False, True])
def test_batches_are_those_of_the_pipeline(dataset, expected, on_device):
  got = list(feed.batches(dataset, on_device=on_device, seeds=(5,), **POSITION))
  check(got, expected)
  if on_device:
    check_places(got[0])


def test_the_next_batch_is_on_its_way_before_one_is_handed_out(expected):
  taken = []

  def served():
    for i, batch in enumerate(expected):
      taken.append(i)
      yield batch
  got = []
  for i, batch in enumerate(feed.ahead(served())):
    assert len(taken) == min(i + 2, 4)
    check_places(batch)
    got.append(batch)
  check(got, expected)
  assert not list(feed.ahead(iter([])))


def test_accelerators_are_fed_ahead_and_a_cpu_directly(dataset, expected, monkeypatch):
  assert isinstance(next(feed.batches(dataset, on_device=False, seeds=(5,), **POSITION))['image'], np.ndarray)
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  batches = list(feed.batches(dataset, on_device=False, seeds=(5,), **POSITION))
  check_places(batches[0])
  check(batches, expected)


def test_a_run_on_device_is_the_run_without_and_so_is_its_continuation(tmp_path):
  def run(name, **overrides):
    train.run(tiny.wgan(**overrides), tmp_path / name, '')
  run('host')
  run('device', **{'data.on_device': True, 'num_steps': 4})
  run('device', **{'data.on_device': True})
  for path in ('metrics.csv', 'samples/step_00000004.png', 'samples/step_00000008.png'):
    assert (tmp_path / 'device' / path).read_bytes() == (tmp_path / 'host' / path).read_bytes(), path


def test_what_does_not_fit_is_refused_before_anything_is_written(dataset, monkeypatch, tmp_path):
  feed.check_room(dataset)
  needed = dataset.images.nbytes + dataset.labels.nbytes
  monkeypatch.setattr(feed, '_device_memory', lambda device: needed * 1.26)
  feed.check_room(dataset)
  monkeypatch.setattr(feed, '_device_memory', lambda device: needed * 1.24)
  said = 'config.data.on_device: {} takes {} GB on each of 4 devices, which have '
  assert refusal(feed.check_room, dataset).startswith(said.format('noise', '0.00'))
  line = refusal(train.run, tiny.wgan(**{'data.on_device': True}), tmp_path / 'run', '')
  assert line.startswith(said.format('digits', '0.00')) and '--config.data.on_device=False' in line
  assert not (tmp_path / 'run').exists()
  monkeypatch.undo()
  # More than any host has, though it takes one image's memory: CPU devices share what there is.
  huge = Dataset(dataset.spec, np.broadcast_to(dataset.images[:1], (10**12, 4, 4, 3)), dataset.labels, 'test')
  assert refusal(feed.check_room, huge).startswith(said.format('noise', '48000.00'))
