"""Evaluators on images whose score is known, and descriptors against closed forms."""

import dataclasses
import json
import types

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from jgen import recipes
from jgen.data.spec import Dataset, Spec, Splits
from jgen.errors import UserError
from jgen.evaluation import EVALUATORS, class_consistency, create
from jgen.evaluation.descriptors import describe, oriented_gradients, shrink

NUM_KNOWN = 1_200         # digits that the evaluators may see; the rest play the generator


def conditional(num_classes):
  """What an evaluator looks at of a Family."""
  return types.SimpleNamespace(num_classes=num_classes)


def dataset_of(images, labels, num_classes, label_names=()):
  spec = Spec('made', images.shape[1:], num_classes, label_names)
  return Dataset(spec, images, np.asarray(labels, np.int32), 'made in a test')


@pytest.fixture(scope='module')
def digits():
  """(the data set that is measured against, {label: other images of the same digit})."""
  published = load_digits()
  images = (published.images * 255 / 16).astype(np.uint8)[..., None]
  unseen = {label: images[NUM_KNOWN:][published.target[NUM_KNOWN:] == label] for label in range(10)}
  return dataset_of(images[:NUM_KNOWN], published.target[:NUM_KNOWN], 10), unseen


class Generator:
  """Draws unseen real digits of the class that `shown` gives for the class asked for."""

  def __init__(self, unseen, shown):
    self.unseen, self.shown, self.asked = unseen, shown, []

  def sample(self, labels, seed):
    self.asked.append((labels, seed))
    random = np.random.default_rng(seed)
    return np.stack([random.choice(self.unseen[self.shown(int(label))]) for label in labels])


def numbers(evaluator, model, dataset, seed):
  return evaluator.measure(model, Splits(dataset), seed).numbers


@pytest.fixture(scope='module')
def measured(digits):
  """What one evaluator says of three generators, and how often it fitted a classifier for that."""
  dataset, unseen = digits
  sections = {'class_consistency': {'num_real': 1_000, 'num_generated': 495}}
  evaluator = create(sections, dataset.spec, conditional(10))['class_consistency']
  fits, fit = [], SVC.fit
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(SVC, 'fit', lambda self, *args: fits.append(1) or fit(self, *args))
    truthful = Generator(unseen, lambda label: label)
    return {'truthful': numbers(evaluator, truthful, dataset, 7), 'asked': truthful.asked,
            'wrong': numbers(evaluator, Generator(unseen, lambda label: (label + 1) % 10), dataset, 7),
            'half': numbers(evaluator, Generator(unseen, lambda label: label // 2 * 2), dataset, 7),
            'fits': len(fits)}


def test_a_generator_scores_what_it_deserves(measured):
  truthful, wrong, half = measured['truthful'], measured['wrong'], measured['half']
  assert truthful['classifier_accuracy'] >= 0.97
  assert truthful['accuracy'] == pytest.approx(truthful['classifier_accuracy'], abs=0.04)
  assert wrong['accuracy'] < 0.03 and max(wrong['per_class']) < 0.1
  assert half['accuracy'] == pytest.approx(0.5, abs=0.03)
  assert min(half['per_class'][0::2]) > 0.9 and max(half['per_class'][1::2]) < 0.1
  assert half['accuracy'] == pytest.approx(np.mean(half['per_class']))


def test_every_class_is_asked_for_equally_often_with_the_seed_given(measured):
  (labels, seed), = measured['asked']
  assert labels.dtype == np.int32 and seed == 7
  assert np.bincount(labels).tolist() == [50] * 10   # 495 rounded up
  assert len(set(labels[:10])) == 10                 # a batch is a mixture of classes
  assert measured['truthful']['num_generated'] == 500


def test_the_classifier_is_fitted_once(measured):
  assert measured['fits'] == 1


def test_results_are_plain_numbers_that_say_what_was_measured(measured):
  results = measured['truthful']
  assert json.loads(json.dumps(results)) == results
  assert {type(value) for value in results.values()} == {float, int, str, list}   # no numpy number
  assert set(results) == {
      'accuracy', 'per_class', 'class_names', 'classifier_accuracy', 'classifier_per_class', 'num_real_train',
      'num_real_held_out', 'num_generated', 'classifier'}
  used = results['num_real_train'] + results['num_real_held_out']
  assert 980 < used <= 1_000
  assert results['num_real_held_out'] / used == pytest.approx(0.2, abs=0.01)
  assert results['class_names'] == [str(digit) for digit in range(10)]
  assert 'scikit-learn' in results['classifier']


def test_scores_are_the_same_again_and_the_classifier_whatever_the_seed(digits, measured):
  dataset, unseen = digits
  def measure(seed):
    evaluator = EVALUATORS['class_consistency'](num_real=1_000, num_generated=495)
    return numbers(evaluator, Generator(unseen, lambda label: label), dataset, seed)
  assert measure(7) == measured['truthful']
  other = measure(8)
  for entry in ('classifier_accuracy', 'classifier_per_class', 'num_real_train'):
    assert other[entry] == measured['truthful'][entry]


def test_real_images_are_split_without_overlap_and_by_class():
  labels = np.repeat([0, 1, 2], [600, 300, 100])
  dataset = dataset_of(np.zeros((1_000, 4, 4, 1), np.uint8), np.random.default_rng(0).permutation(labels), 3)
  train, held_out = class_consistency._draw(dataset, 500)
  assert len(set(train) | set(held_out)) == len(train) + len(held_out) == 500
  assert np.bincount(dataset.labels[train]).tolist() == [240, 120, 40]
  assert np.bincount(dataset.labels[held_out]).tolist() == [60, 30, 10]


def test_held_out_images_are_unknown_to_the_classifier():
  random = np.random.default_rng(0)
  images, labels = random.integers(0, 256, (400, 8, 8, 1), np.uint8), np.arange(400) % 2
  model = types.SimpleNamespace(sample=lambda labels, seed: images[:320])
  results = numbers(EVALUATORS['class_consistency'](400, 320), model, dataset_of(images, labels, 2), 0)
  assert results['classifier_accuracy'] < 0.7   # noise: nothing can be known but what was learnt by heart
  assert results['accuracy'] > 0.8              # as these were, for the most part


def test_large_images_are_told_apart_by_shape_and_by_color():
  random = np.random.default_rng(0)
  labels = np.arange(160) % 4
  images = np.broadcast_to(random.integers(0, 100, (160, 1, 1, 3), np.uint8), (160, 64, 64, 3)).copy()
  for image, label in zip(images, labels, strict=True):
    start = random.integers(8, 40)
    bar = np.s_[start:start + 12, 4:60] if label < 2 else np.s_[4:60, start:start + 12]
    image[bar + (2 * (label % 2),)] += 150   # red or blue
  classifier = EVALUATORS['class_consistency'](160, 4).classifier(dataset_of(images, labels, 4))
  assert classifier.accuracy > 0.9


def test_shrink_is_the_area_average():
  images = np.random.default_rng(0).integers(0, 256, (2, 70, 64, 3), np.uint8)
  torch = pytest.importorskip('torch', reason='the reference is PyTorch')
  channels_first = torch.tensor(images / 255.).permute(0, 3, 1, 2)
  expected = torch.nn.functional.avg_pool2d(channels_first, 3).permute(0, 2, 3, 1)
  np.testing.assert_allclose(shrink(images, 32), expected.numpy(), atol=1e-6)
  np.testing.assert_allclose(shrink(images[:, :32, :32], 32), images[:, :32, :32] / 255., atol=1e-6)


@pytest.mark.parametrize('degrees, bins', [
    (0, {0: 1.}), (20, {1: 1.}), (30, {1: .5, 2: .5}), (170, {8: .5, 0: .5}), (200, {1: 1.})])
def test_a_slope_falls_into_the_bins_of_its_angle(degrees, bins):
  """A plane has one gradient everywhere: each of a block's four cells holds the same votes."""
  y, x = np.mgrid[:16, :16]
  angle = np.deg2rad(degrees)
  plane = (10 * (x * np.cos(angle) + y * np.sin(angle)))[None, :, :, None]
  votes = np.array([bins.get(i, 0.) for i in range(9)])
  expected = np.tile(votes / np.linalg.norm(np.tile(votes, 4)), 4)
  blocks = oriented_gradients(plane)
  assert blocks.shape == (1, 7, 7, 36)
  np.testing.assert_allclose(blocks, np.broadcast_to(expected, blocks.shape), atol=1e-3)


def test_a_pixel_counts_with_its_strongest_color():
  y, x = np.mgrid[:16., :16.]
  np.testing.assert_array_equal(oriented_gradients(np.stack([x, 10 * y, 3 * (x + y)], axis=-1)[None]),
                                oriented_gradients(10 * y[None, :, :, None]))


def test_dark_on_light_has_the_shapes_of_light_on_dark():
  images = np.random.default_rng(0).random((2, 32, 32, 1))
  np.testing.assert_allclose(oriented_gradients(images), oriented_gradients(1 - images), atol=1e-5)


@pytest.mark.parametrize('shape', [(8, 8, 1), (28, 28, 1), (64, 64, 3), (96, 80, 3), (4, 4, 1)])
def test_descriptors_of_any_image_are_finite(shape):
  flat = np.full((2, *shape), 255, np.uint8)
  features = describe(flat)
  assert features.dtype == np.float32 and features.shape[0] == 2 and np.isfinite(features).all()


def test_the_config_has_the_keys_of_each_evaluator():
  for name, evaluator in EVALUATORS.items():
    section = recipes.evaluator(name)
    assert {field.name for field in dataclasses.fields(evaluator)} == set(section)
    assert dataclasses.asdict(evaluator(**section)) == section.to_dict()


@pytest.mark.parametrize('sections, num_classes, words', [
    ({'class_consistancy': {}}, 10, ["'class_consistancy'", "mean 'class_consistency'"]),
    ({'class_consistency': {'num_reel': 100, 'num_generated': 10}}, 10, ["'num_reel'", "mean 'num_real'"]),
    ({'class_consistency': {'num_real': 100}}, 10, ["'num_generated'", 'missing']),
    ({'class_consistency': {'num_real': 100, 'num_generated': 10}}, 0, ["'made'", 'no labels']),
    ({'class_consistency': {'num_real': 19, 'num_generated': 10}}, 10, ['num_real is 19', 'set 20']),
    ({'class_consistency': {'num_real': 100, 'num_generated': 0}}, 10, ['num_generated is 0']),
])
def test_what_cannot_work_is_refused_before_training(sections, num_classes, words):
  with pytest.raises(UserError) as error:
    create(sections, Spec('made', (8, 8, 1), num_classes), conditional(num_classes))
  assert all(word in str(error.value) for word in words) and '\n' not in str(error.value)


def test_a_class_with_too_few_images_is_named():
  labels = np.repeat([0, 1, 2], [20, 1, 20])
  dataset = dataset_of(np.zeros((41, 8, 8, 1), np.uint8), labels, 3, ('cat', 'dog', 'eel'))
  with pytest.raises(UserError, match=r"class 'dog': 1 of 1 drawn"):
    EVALUATORS['class_consistency'](100, 10).classifier(dataset)
