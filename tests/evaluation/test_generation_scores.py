"""Evaluators of generated images in a network's features: what they count, keep, name, store and refuse."""

import dataclasses
import json
import tracemalloc
import types

from flax import jax_utils
from helpers import declared
from helpers.published import refusal
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

from jgen import recipes
from jgen.data.spec import Dataset, Spec, Splits
from jgen.evaluation import EVALUATORS
from jgen.evaluation.features import feature_scores, feature_spaces, frechet, proxy_classifier
from jgen.evaluation.features.extractor import Extractor
from jgen.evaluation.features.reference import evenly, reference
from jgen.evaluation.features.stored import cached
from jgen.evaluation.shared import spread
from jgen.families.base import Family
from jgen.families.model import Compiled, Model
from jgen.families.train_state import TrainState
from jgen.images.pixels import to_float
from jgen.networks import small_classifier
from jgen.networks.inception.network import parameter_names, parameter_shapes
from jgen.networks.inception.weights import Weights
from jgen.run import receipt

pytestmark = pytest.mark.usefixtures('optimised')   # classifiers are trained

FEW = 'images are few'


class Drawn:
  """Draws what it is given, in parts of one size, and remembers what was asked for."""

  def __init__(self, images, size=100):
    self.images, self.size, self.asked = images, size, []

  def sample_parts(self, labels, seed):
    self.asked.append((labels, seed))
    for start in range(0, min(len(labels), len(self.images)), self.size):
      yield self.images[start:min(start + self.size, len(labels))]


def dataset_of(images, labels=None, num_classes=0, name='made'):
  labels = np.zeros(len(images), np.int32) if labels is None else np.asarray(labels, np.int32)
  return Dataset(Spec(name, images.shape[1:], num_classes), images, labels, 'made in a test')


def evaluator_of(name, **keys):
  return EVALUATORS[name](**(recipes.evaluator(name).to_dict() | {'num_generated': 300} | keys))


@pytest.fixture(scope='module')
def digits():
  """1,797 of 8x8, and their labels."""
  published = load_digits()
  return (published.images * 255 / 16).astype(np.uint8)[..., None], published.target.astype(np.int32)


@pytest.fixture(scope='module')
def space():
  return feature_spaces.random_space((8, 8, 1))


@pytest.fixture
def quick(monkeypatch):
  monkeypatch.setattr(proxy_classifier, '_STEPS', 60)


def features_by_hand(images, seed=0):
  """What the small network makes of grey images: plain loops over its 3x3 kernels, stride 2, in numpy."""
  network = small_classifier.SmallClassifier(1)
  params = small_classifier.initial(network, images.shape[1:], seed)
  x = images.astype(np.float64) / 127.5 - 1
  for i in range(3):
    kernel, bias = params[f'layer_{i}']['kernel'].astype(np.float64), params[f'layer_{i}']['bias']
    half = x.shape[1] // 2
    padded = np.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)])   # SAME, stride 2 and an even side: zeros at the end alone
    x = sum(padded[:, r:r + 2 * half:2, c:c + 2 * half:2] @ kernel[r, c] for r in range(3) for c in range(3)) + bias
    x = np.maximum(x, 0)
  return x.mean(axis=(1, 2))


def distance_by_hand(first, second):
  return frechet.distance(*(frechet.of_features(features_by_hand(images)) for images in (first, second)))


# The numbers


def test_the_distance_is_that_of_the_features_in_numpy(digits):
  images, _ = digits
  drawn, model = 255 - images[:300], Drawn(255 - images, size=77)
  numbers = evaluator_of('random_features').measure(model, Splits(dataset_of(images)), 5).numbers
  assert numbers['proxy_fid[random]@300'] == pytest.approx(distance_by_hand(drawn, images), rel=1e-5)
  spread = [np.var(features_by_hand(each), axis=0, ddof=1).sum() for each in (drawn, images)]
  assert numbers['proxy_diversity[random]@300'] == pytest.approx(np.sqrt(spread[0] / spread[1]), rel=1e-5)
  assert numbers['num_generated'] == 300 and numbers['num_real'] == 1_797 and FEW in numbers['warning']
  assert [seed for _, seed in model.asked] == [5]


def test_a_collapsed_generator_is_measured_and_has_no_diversity(digits):
  images, _ = digits
  model = Drawn(np.repeat(images[:1], 300, axis=0))
  numbers = evaluator_of('random_features').measure(model, Splits(dataset_of(images)), 0).numbers
  assert numbers['proxy_diversity[random]@300'] < 1e-6 < numbers['proxy_fid[random]@300']


def test_batch_size_parts_order_and_devices_do_not_move_a_score(digits, space):
  """2,047 images: batches of 4 x 511 and of 4 x 128 end in 3 and in 511."""
  images = np.concatenate([digits[0], digits[0][:250]])
  assert len(images) == 2_047
  real = frechet.of_features(features_by_hand(255 - digits[0]))
  network = small_classifier.SmallClassifier(1)
  params = small_classifier.initial(network, (8, 8, 1), 0)

  def distance(size, part, order=slice(None), devices=None):
    with pytest.MonkeyPatch.context() as patch:
      if devices:
        patch.setattr(jax, 'local_devices', lambda: jax.devices()[:devices])
      extractor = Extractor(lambda params, x: network.apply({'params': params}, to_float(x)), params, lambda x: x, size)
    parts = (images[order][i:i + part] for i in range(0, 2_047, part))
    summary = extractor.summary(parts, 'features')
    assert summary.moments.count == 2_047
    return frechet.distance(frechet.of_moments(summary.moments), real)

  shuffled = np.random.default_rng(0).permutation(2_047)
  expected = distance_by_hand(images, 255 - digits[0])
  for found in (distance(128, 100), distance(511, 2_047), distance(128, 99, shuffled), distance(2_044, 300, devices=1)):
    assert found == pytest.approx(expected, rel=1e-6)


def test_images_are_at_no_distance_from_themselves(digits):
  images, _ = digits
  evaluator = evaluator_of('random_features', num_generated=1_797, reference='test')
  assert evaluator.needs_test and not evaluator_of('random_features').needs_test
  splits = Splits(dataset_of(255 - images), dataset_of(images))
  numbers = evaluator.measure(Drawn(images[::-1].copy()), splits, 0).numbers
  assert numbers['proxy_fid[random]@1797'] < 1e-6
  assert numbers['proxy_diversity[random]@1797'] == pytest.approx(1, abs=1e-6)


def test_the_memory_does_not_grow_with_the_images(digits):
  images, _ = digits
  splits = Splits(dataset_of(images))

  def peak(count):
    class Endless:
      def sample_parts(self, labels, seed):
        for start in range(0, len(labels), 100):
          yield images[start % 1_700:start % 1_700 + min(100, len(labels) - start)].copy()
    evaluator = evaluator_of('random_features', num_generated=count)
    evaluator.measure(Drawn(images), splits, 0) if count <= 300 else evaluator._reference(splits)
    tracemalloc.start()
    evaluator.measure(Endless(), splits, 0)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found

  few, many = peak(300), peak(12_000)
  assert many < few + 500_000 < 12_000 * 128 * 4   # bytes; the features of all would not fit


def test_further_scores_are_of_the_kept_features(digits):
  images, labels = digits
  further = ('kid', 'precision_recall', 'density_coverage')
  splits = Splits(dataset_of(images))
  evaluator = evaluator_of('random_features', further=further)
  numbers = evaluator.measure(Drawn(images, 77), splits, 3).numbers
  declared.check('random_features', evaluator, numbers, splits.train.spec)
  real = features_by_hand(images[evenly(300, len(images))])
  generated = features_by_hand(images[:300])
  estimate = feature_scores.kernel_distance.estimate(generated, real, 3, 30)
  assert numbers['proxy_kid[random]@300'] == pytest.approx(estimate.mean, rel=1e-3, abs=1e-7)
  assert numbers['proxy_kid[random]_low@300'] == pytest.approx(estimate.low, rel=1e-3)
  balls = feature_scores.precision_recall
  for name, value in (balls.precision_recall(real, generated) | balls.density_coverage(real, generated)).items():
    assert numbers[f'proxy_{name}[random]@300'] == pytest.approx(value, abs=0.01), name
  assert len(evenly(300, 1_797)) == 300 == len(set(evenly(300, 1_797))) and evenly(9, 4).tolist() == [0, 1, 2, 3]


def test_extrapolation_and_its_least_number(digits, space):
  images, _ = digits
  many = np.tile(images, (3, 1, 1, 1))[:5_000]
  splits = Splits(dataset_of(images))
  evaluator = evaluator_of('random_features', num_generated=5_000, further=('extrapolation',))
  numbers = evaluator.measure(Drawn(many), splits, 0).numbers
  assert numbers['proxy_fid[random]@infinity'] < numbers['proxy_fid[random]@5000'] + 1e-3
  few = evaluator_of('random_features', num_generated=4_999, further=('extrapolation',))
  words = refusal(few.check, splits.train.spec, None)
  assert '4,999' in words and 'extrapolation needs at least 5,000' in words


def test_labels_are_as_frequent_as_the_real_ones():
  labels = feature_scores.labels_like(np.repeat(np.arange(3, dtype=np.int32), [60, 30, 10]), 250)
  assert len(labels) == 250 and labels.dtype == np.int32
  assert abs(np.bincount(labels) - np.array([150, 75, 25])).max() <= 5
  assert len(set(labels[:20])) == 3


# The classifier


def test_a_classifier_is_trained_once_and_says_how_good_it_is(digits, quick, tmp_path, monkeypatch):
  images, labels = digits
  dataset = dataset_of(images[:1_200], labels[:1_200], 10, name='digits')
  evaluator = evaluator_of('classifier_features', further=('inception_score',))
  splits = Splits(dataset, cache_dir=tmp_path)
  real = evaluator.measure(Drawn(images[1_200:]), splits, 0)
  declared.check('classifier_features', evaluator, real.numbers, dataset.spec)
  assert real.numbers['classifier_accuracy'] > 0.8
  assert real.numbers['proxy_inception_score[digits-cnn]@300'] > 5
  assert real.receipt['extractor'] == 'digits-cnn' and real.receipt['protocol'] == 'native'
  noise = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 1), np.uint8)
  far = evaluator.measure(Drawn(noise), splits, 0).numbers
  assert far['proxy_fid[digits-cnn]@300'] > 5 * real.numbers['proxy_fid[digits-cnn]@300']
  monkeypatch.setattr(proxy_classifier, '_fitted', None)   # another evaluator finds it
  monkeypatch.setattr('jgen.evaluation.features.reference._measured', None)
  again = evaluator_of('classifier_features', further=('inception_score',)).measure(Drawn(images[1_200:]), splits, 0)
  assert again == real


def test_scaled_features_have_the_size_asked_for_and_classify_the_same(digits):
  network = small_classifier.SmallClassifier(10)
  params = small_classifier.initial(network, (8, 8, 1), 1)
  apply = lambda params: network.apply({'params': params}, to_float(digits[0][:50]))
  plain, scaled = apply(params), apply(proxy_classifier.scaled(params, 4.))
  np.testing.assert_allclose(scaled['features'], plain['features'] / 4, rtol=1e-5)
  np.testing.assert_allclose(scaled['logits'], plain['logits'], rtol=1e-4, atol=1e-5)


# Names and receipts


def inception_space(depth, with_logits=False):
  shapes = parameter_shapes()
  params = {name: {kind: np.zeros(shape, np.float32) for kind, shape in shapes[name].items()}
            for name in parameter_names(depth)}
  return feature_spaces.inception_space(Weights(params, depth, 'abc'), 'tf1', with_logits)


def test_only_the_whole_inception_gives_an_fid(space):
  whole, partial, with_logits = inception_space('logits'), inception_space('768'), inception_space('logits', True)
  assert [whole.named('fid', 10_000), whole.named('kid', 500, '_low')] == ['fid@10000', 'kid_low@500']
  assert (whole.features, with_logits.features, with_logits.logits) == ('2048', '2048', 'unbiased_logits')
  assert [partial.named('fid', 500), partial.named('kid', 500, '_low')] == ['fid768@500', 'kid768_low@500']
  assert space.named('fid', 500) == 'proxy_fid[random]@500'
  for score in ('fid', 'kid', 'precision', 'inception_score'):
    assert len({each.named(score, 7) for each in (whole, partial, space)}) == 3
  assert partial.receipt() == {
      'extractor': 'inception', 'extractor_sha256': 'abc', 'features': '768', 'protocol': 'tf1'}
  assert "end at '192'" in refusal(inception_space, '192')
  assert "'logits' needs the published file" in refusal(inception_space, '768', True)


def test_a_receipt_tells_extractor_protocol_counts_and_images(digits, space):
  images, _ = digits
  measured = lambda images: evaluator_of('random_features', num_real=500).measure(
      Drawn(images), Splits(dataset_of(images)), 0).receipt
  found = measured(images)
  assert found == space.receipt() | {
      'reference': 'made', 'reference_split': 'train', 'image_shape': [8, 8, 1], 'num_reference': 500,
      'reference_sha256': found['reference_sha256'], 'num_generated': 300}
  assert receipt.differing(found, measured(images[1:])) == 'reference_sha256'
  assert len(found['extractor_sha256']) == 64 and json.loads(json.dumps(found)) == found


def test_the_digest_is_of_type_shape_and_values(digits):
  images = np.tile(digits[0], (3, 1, 1, 1))
  found = receipt.digest_of(images)
  assert found == receipt.digest_of(images.copy()) and len(images) > 4_096
  changed = images.copy()
  changed[-1, 0, 0] ^= 1
  others = [changed, images[:-1], images.reshape(-1, 4, 16, 1), images.view(np.int8)]
  assert len({found, *map(receipt.digest_of, others)}) == 5


def test_the_random_network_is_the_same_everywhere():
  """The frozen stream of numpy's RandomState, kernels before others by name."""
  params = small_classifier.initial(small_classifier.SmallClassifier(1), (8, 8, 1), 0)
  random = np.random.RandomState(0)
  expected = random.standard_normal((3, 3, 1, 32)) * np.sqrt(2 / 9)
  np.testing.assert_allclose(params['layer_0']['kernel'], expected, rtol=1e-6)
  np.testing.assert_allclose(params['layer_1']['kernel'].std(), np.sqrt(2 / (9 * 32)), rtol=0.02)


def test_references_are_computed_once_and_again_where_damaged(digits, space, tmp_path, capsys):
  dataset, calls = dataset_of(digits[0]), []
  counted = dataclasses.replace(space, extractor=types.SimpleNamespace(
      summary=lambda *args: calls.append(1) or space.extractor.summary(*args)))
  first = reference(counted, dataset, 'train', 0, 50, tmp_path)
  again = reference(counted, dataset, 'train', 0, 50, tmp_path)
  assert len(calls) == 1 and first.receipt == again.receipt and again.features.shape == (50, 128)
  np.testing.assert_array_equal(first.gaussian.factor, again.gaussian.factor)
  path, = (tmp_path / 'evaluation').iterdir()
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  mended = reference(counted, dataset, 'train', 0, 50, tmp_path)
  np.testing.assert_array_equal(mended.gaussian.mean, first.gaussian.mean)
  assert len(calls) == 2 and 'is damaged' in capsys.readouterr().err
  for changes in (dict(num_real=100), dict(num_kept=40), dict(split='test')):
    reference(counted, dataset, **{'split': 'train', 'num_real': 0, 'num_kept': 50} | changes, cache_dir=tmp_path)
  reference(dataclasses.replace(counted, sha256='other'), dataset, 'train', 0, 50, tmp_path)
  assert len(calls) == 6 == 1 + len(list((tmp_path / 'evaluation').iterdir()))
  (tmp_path / 'file').touch()
  reference(counted, dataset, 'train', 0, 50, tmp_path / 'file')
  assert 'cannot be written' in capsys.readouterr().err


def test_a_part_of_the_real_images_is_evenly_spread(digits, space):
  dataset = dataset_of(digits[0])
  found, chosen = reference(space, dataset, 'train', 100, 20, None), spread(100, dataset)
  assert (np.diff(chosen) > 0).all() and chosen[-1] > 1_750
  features = features_by_hand(digits[0][chosen])
  np.testing.assert_allclose(found.gaussian.mean, features.mean(axis=0), rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(found.features, features[evenly(20, 100)], rtol=1e-3, atol=1e-5)


def test_a_file_of_another_receipt_does_not_serve(tmp_path, capsys):
  make = lambda value: lambda: {'value': np.array(value)}
  assert [cached(tmp_path, 'kind', {'of': 1}, make(n))['value'] for n in (1, 9)] == [1, 1]
  first, = (tmp_path / 'evaluation').iterdir()
  cached(tmp_path, 'kind', {'of': 2}, make(2))
  second, = set((tmp_path / 'evaluation').iterdir()) - {first}
  first.replace(second)
  assert cached(tmp_path, 'kind', {'of': 2}, make(3))['value'] == 3 and 'another' in capsys.readouterr().err
  assert cached(None, 'kind', {'of': 1}, make(4))['value'] == 4


# Bad input


@pytest.mark.parametrize('name, keys, words', [
    ('random_features', {'num_generated': 1}, 'num_generated is 1'),
    ('random_features', {'further': ('kid',), 'num_generated': 19}, 'kid needs at least 20'),
    ('random_features', {'further': ('inception_score',)}, 'a network that gives class logits'),
    ('classifier_features', {}, "'made' has no labels"),
    ('inception_features', {'weights': '/nowhere/inception.npz'}, 'curl --fail'),
])
def test_what_cannot_work_is_refused_before_training(name, keys, words):
  assert words in refusal(evaluator_of(name, **keys).check, Spec('made', (8, 8, 1)), None)


def test_the_inception_takes_grey_and_colour():
  assert '4 channels' in refusal(evaluator_of('inception_features').check, Spec('made', (8, 8, 4)), None)


def test_images_that_cannot_be_measured_are_refused(digits):
  images, _ = digits
  splits = Splits(dataset_of(images))
  measure = lambda drawn: evaluator_of('random_features').measure(Drawn(drawn), splits, 0)
  assert 'there are 250 generated images' in refusal(measure, images[:250])
  assert '8 x 8 x 3, the real ones 8 x 8 x 1' in refusal(measure, images.repeat(3, axis=-1))
  assert 'some of them NaN' in refusal(measure, np.where(images == 0, np.nan, images))
  assert 'float64; expected uint8' in refusal(measure, images / 255.)
  evaluator = evaluator_of('random_features', num_real=1_798)
  assert 'there are 1,797 train images' in refusal(evaluator.check_data, splits)
  assert 'kid needs at least 20 real images' in refusal(
      evaluator_of('random_features', further=('kid',)).check_data, Splits(dataset_of(images[:19])))
  flat = Splits(dataset_of(np.full((40, 8, 8, 1), 9, np.uint8)))
  assert 'zero variance' in refusal(evaluator_of('random_features').measure, Drawn(images), flat, 0)
  assert 'no image' in refusal(measure, images[:0])


def test_the_warning_is_printed_once(digits, capsys):
  evaluator, splits = evaluator_of('random_features'), Splits(dataset_of(digits[0]))
  for _ in range(2):
    evaluator.measure(Drawn(digits[0]), splits, 0)
  assert capsys.readouterr().err.count(FEW) == 1


# The images that a model draws


class Shades(Family):
  """Draws images of one shade, the label as a share of 1,000, and NaN for the label 500."""

  def sample(self, state, key, labels):
    shade = jnp.where(labels == 500, jnp.nan, labels / 1_000)
    return jnp.broadcast_to(shade[:, None, None, None], (len(labels), 2, 2, 1))


def test_parts_are_the_samples_and_nan_is_told():
  state = jax_utils.replicate(TrainState(jnp.array(7, jnp.int32), {}, {}, {}, {}))
  model = Model(Compiled(Shades()), state)
  parts = list(model.sample_parts(np.arange(300), 0))
  assert [len(part) for part in parts] == [128, 128, 44]
  np.testing.assert_array_equal(np.concatenate(parts), model.sample(np.arange(300), 0))
  np.testing.assert_array_equal(np.concatenate(parts)[:, 0, 0, 0], np.rint((np.arange(300) / 1_000 + 1) * 127.5))
  assert 'step 7 generates images with NaN' in refusal(model.sample, np.arange(400, 600), 0)
