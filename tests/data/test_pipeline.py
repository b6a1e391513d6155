"""The order of the images and their way into batches, against a plain restatement of both."""

import itertools

import numpy as np
import pytest

from jgen.data import pipeline
from jgen.data.host import tensorflow
from jgen.data.pipeline import batches, stream_indices, take
from jgen.data.spec import Dataset, Spec
from jgen.errors import UserError

tf = tensorflow()


def numbered(size):
  """A data set whose image n is filled with n, n + 1, ... and whose label is n."""
  images = (np.arange(size)[:, None] + np.arange(12)).astype(np.uint8).reshape(size, 2, 3, 2)
  return Dataset(Spec('numbered', (2, 3, 2), size), images, np.arange(size, dtype=np.int32), 'test')


def permutation(seed, epoch, size):
  """One epoch's order by one call with one key, where the pipeline has a key for each index."""
  key = tf.random.stateless_uniform((3,), (seed, epoch), None, None, tf.int64, alg='philox')
  return tf.raw_ops.RandomIndexShuffle(
      index=tf.range(size, dtype=tf.int64), seed=key, max_index=np.int64(size - 1), rounds=12).numpy()


def restated(seed, step, num_batches, batch_size, size):
  """Indices of the global batches of one step, [K, G], one position at a time."""
  indices = np.empty((num_batches, batch_size), np.int64)
  for k, i in itertools.product(range(num_batches), range(batch_size)):
    epoch, place = divmod((step * num_batches + k) * batch_size + i, size)
    indices[k, i] = permutation(seed, epoch, size)[place]
  return indices


def run(dataset, steps, devices=1, per_dispatch=1, num_batches=2, batch_size=8, seed=5, **processes):
  """All dispatches as numpy, joined to {'image': [D, steps, K, B, H, W, C], 'label': [D, steps, K, B]}."""
  dispatches = list(batches(
      dataset, seed=seed, first_step=steps[0], num_steps=steps[1], steps_per_dispatch=per_dispatch,
      batches_per_step=num_batches, batch_size=batch_size, num_devices=devices, **processes))
  assert len(dispatches) == (steps[1] - steps[0]) // per_dispatch
  assert all(d['label'].shape[:3] == (devices, per_dispatch, num_batches) for d in dispatches)
  return {name: np.concatenate([d[name] for d in dispatches], axis=1) for name in ('image', 'label')}


def rows(devices_labels):
  """[D, steps, K, B] -> [steps, K, G]: device d holds rows d B to (d + 1) B - 1."""
  moved = np.moveaxis(devices_labels, 0, 2)
  return moved.reshape(*moved.shape[:2], -1)


@pytest.mark.parametrize('size', [1, 2, 3, 10, 257, 1797])
def test_every_epoch_is_a_permutation_of_its_own(size):
  epochs = stream_indices(np.arange(4 * size), seed=3, size=size).numpy().reshape(4, size)
  assert (np.sort(epochs) == np.arange(size)).all()
  np.testing.assert_array_equal(epochs, [permutation(3, epoch, size) for epoch in range(4)])
  if size >= 10:
    other = stream_indices(np.arange(size), seed=4, size=size).numpy()
    assert len({tuple(order) for order in [*epochs, other]}) == 5


def test_small_sets_do_not_repeat_after_256_epochs_nor_seeds():
  """The cipher's key has 8 bits a word at this size: unmixed, epoch 256 and seed 256 would be 0 again."""
  size = 1797
  orders = [stream_indices(np.arange(size) + size * epoch, seed=seed, size=size).numpy()
            for seed, epoch in [(0, 0), (0, 256), (256, 0), (0, 1)]]
  for one, other in itertools.combinations(orders, 2):
    assert (one == other).mean() < 0.01


def test_every_image_is_as_likely_at_every_place():
  size, epochs = 20, 2000
  compiled = tf.function(lambda positions: stream_indices(positions, seed=1, size=size))
  orders = compiled(np.arange(epochs * size)).numpy().reshape(epochs, size)
  counts = np.stack([np.bincount(column, minlength=size) for column in orders.T])
  chi_square = ((counts - epochs / size) ** 2).sum() / (epochs / size)
  freedom = (size - 1) ** 2
  assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom), counts


def test_images_of_one_batch_meet_again_no_more_than_by_chance():
  size, batch = 604_420, 100
  ratios = []
  for seed in range(2):
    order = stream_indices(np.arange(3 * size), seed=seed, size=size).numpy().reshape(3, size)
    batch_of = np.argsort(order) // batch
    for one, other in itertools.pairwise(batch_of):
      _, together = np.unique(one * size + other, return_counts=True)
      pairs = (together * (together - 1) // 2).sum()
      ratios.append(pairs / (size * (batch - 1) / 2 * (batch - 1) / (size - 1)))
  assert max(abs(np.array(ratios) - 1)) < 0.1, ratios


def test_order_is_the_recorded_one():
  """A TensorFlow that shuffles differently would not continue a run where it stopped: this tells of it."""
  recorded = [9, 3, 4, 5, 0, 8, 6, 2, 1, 7, 2, 0, 8, 5, 7, 3, 1, 9, 6, 4]
  assert stream_indices(np.arange(20), seed=0, size=10).numpy().tolist() == recorded


@pytest.mark.parametrize('size', [5, 16, 50])   # smaller than a batch, as large as a step, larger
def test_batches_are_the_restated_ones(size):
  got = run(numbered(size), (0, 6))
  labels = rows(got['label'])
  for step in range(6):
    np.testing.assert_array_equal(labels[step], restated(5, step, 2, 8, size))
  expected = (labels[..., None] + np.arange(12)).reshape(6, 2, 8, 2, 3, 2)
  assert got['image'].dtype == np.uint8 and got['label'].dtype == np.int32
  np.testing.assert_array_equal(got['image'][0], expected)
  assert not np.array_equal(labels, rows(run(numbered(size), (0, 6), seed=6)['label']))


def test_devices_processes_and_dispatches_change_nothing():
  dataset = numbered(30)
  one = run(dataset, (0, 10))
  for devices, per_dispatch in [(2, 1), (4, 5), (8, 10), (1, 5)]:
    got = run(dataset, (0, 10), devices, per_dispatch)
    np.testing.assert_array_equal(rows(got['label']), rows(one['label']))
    joined = np.moveaxis(got['image'], 0, 2).reshape(one['image'].shape[1:])
    np.testing.assert_array_equal(joined, one['image'][0])
  shares = [run(dataset, (0, 10), 2, 5, process_index=p, process_count=2) for p in range(2)]
  four = run(dataset, (0, 10), 4, 5)
  for name in ('image', 'label'):
    np.testing.assert_array_equal(np.concatenate([share[name] for share in shares]), four[name])


def test_the_number_of_workers_changes_nothing(monkeypatch):
  expected, one_thread = run(numbered(300), (0, 40), batch_size=64), pipeline._options

  def many_threads(tf):
    options = one_thread(tf)
    options.threading.private_threadpool_size = options.threading.max_intra_op_parallelism = 8
    return options
  monkeypatch.setattr(pipeline, '_options', many_threads)
  got = run(numbered(300), (0, 40), batch_size=64)
  for name in ('image', 'label'):
    np.testing.assert_array_equal(got[name], expected[name])


def test_indices_alone_are_those_of_the_images():
  arguments = dict(seed=5, first_step=0, num_steps=6, steps_per_dispatch=2, batches_per_step=2, batch_size=8,
                   num_devices=4)
  dataset = numbered(30)
  both = zip(batches(dataset, **arguments), batches(dataset, **arguments, indices_only=True), strict=True)
  for served, indices in both:
    assert list(indices) == ['index'] and indices['index'].dtype == np.int32
    np.testing.assert_array_equal(indices['index'], served['label'])


def test_resuming_is_continuing():
  whole, rest = run(numbered(30), (0, 10)), run(numbered(30), (4, 10), per_dispatch=3)
  np.testing.assert_array_equal(whole['label'][:, 4:], rest['label'])
  np.testing.assert_array_equal(whole['image'][:, 4:], rest['image'])


def test_a_finished_run_has_no_batch_left():
  assert not list(batches(numbered(30), seed=0, first_step=7, num_steps=7, steps_per_dispatch=1,
                          batches_per_step=1, batch_size=2, num_devices=1))


def test_far_steps_come_at_once():
  """Positions beyond 2^31, in a run that would take hours to reach them one by one."""
  for first in (1_000_000, 10**9):
    got = rows(run(numbered(30), (first, first + 2))['label'])
    np.testing.assert_array_equal(got[0], restated(5, first, 2, 8, 30))
    np.testing.assert_array_equal(got[1], restated(5, first + 1, 2, 8, 30))


def test_images_may_be_memory_mapped_or_in_any_memory_order(tmp_path):
  dataset = numbered(40)
  np.save(tmp_path / 'images.npy', dataset.images)
  expected = run(dataset, (0, 4))['image']
  for images in (np.load(tmp_path / 'images.npy', mmap_mode='r'), np.asfortranarray(dataset.images)):
    other = Dataset(dataset.spec, images, dataset.labels, 'test')
    np.testing.assert_array_equal(run(other, (0, 4))['image'], expected)


def test_a_batch_that_cannot_be_shared_is_refused():
  with pytest.raises(UserError, match=r'config.batch_size is 8; expected a multiple of 6'):
    run(numbered(10), (0, 1), devices=2, process_count=3)
  with pytest.raises(ValueError, match='multiple of 3 steps'):
    run(numbered(10), (0, 4), per_dispatch=3)


def test_take_samples_without_replacement():
  dataset = numbered(50)
  images, labels = take(dataset, 20, seed=1)
  assert images.shape == (20, 2, 3, 2) and images.dtype == np.uint8 and labels.dtype == np.int32
  assert len(set(labels.tolist())) == 20
  np.testing.assert_array_equal(images, dataset.images[labels])
  np.testing.assert_array_equal(take(dataset, 20, seed=1)[1], labels)
  np.testing.assert_array_equal(take(dataset, 30, seed=1)[1][:20], labels)
  assert not np.array_equal(take(dataset, 20, seed=2)[1], labels)
  assert sorted(take(dataset, 1000, seed=1)[1]) == list(range(50))
  assert not np.array_equal(take(dataset, 50, seed=1)[1], stream_indices(np.arange(50), seed=1, size=50))
