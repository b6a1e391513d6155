"""Disentanglement scores of codes whose score is known, in closed form or by a second implementation."""

import dataclasses
import json
import os
import signal
import threading
import time

from helpers import declared
from helpers.published import refusal, section
import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import mutual_info_score

from jgen import data, recipes
from jgen.data.readers import sprites
from jgen.data.spec import Annotation, Dataset, Spec, Splits
from jgen.evaluation import create
from jgen.evaluation.disentanglement import dci as dci_lib
from jgen.evaluation.disentanglement.beta_vae_score import _differences, beta_vae_score
from jgen.evaluation.disentanglement.dci import dci
from jgen.evaluation.disentanglement.factor_vae_score import factor_vae_score
from jgen.evaluation.disentanglement.mutual_information_gap import mutual_information_gap
from jgen.evaluation.disentanglement.sap import separated_attribute_predictability
from jgen.evaluation.disentanglement.sharing import draw_sharing
from jgen.host.signals import StopRequest

TURN = np.array([[1, -1], [1, 1]]) / np.sqrt(2)   # by 45 degrees: each of two factors is in both latents alike
SMALL = dict(num_images=0, num_train=400, num_test=200, num_bins=20, num_train_batches=300, num_test_batches=200,
             batch_size=16, num_trees=3)


def grid(*sizes, times=1):
  """Every combination of factors of these sizes, int [times * N, F]."""
  return np.tile(np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1), (times, 1))


def mig(codes, factors, num_bins=20):
  return mutual_information_gap(np.asarray(codes, np.float32), factors, num_bins)['mig']


def factor_vae(codes, factors, num_test=2_000, seed=0):
  return factor_vae_score(np.asarray(codes, np.float32), factors, 1_000, num_test, 32, np.random.default_rng(seed))


def beta_vae(codes, factors, seed=0):
  return beta_vae_score(np.asarray(codes, np.float32), factors, 500, 1_000, 32, np.random.default_rng(seed))


def dci_of(codes, factors, num_trees=4):
  codes = np.asarray(codes, np.float32)
  return dci(codes, factors, codes, factors, num_trees)


def sap(codes, factors):
  codes = np.asarray(codes, np.float32)
  return separated_attribute_predictability(codes, factors, codes, factors)['sap']


@pytest.fixture(scope='module')
def noisy():
  """Codes float32 [600, 4] that mix three factors of 2, 3 and 5 values with noise, and the factors."""
  random, factors = np.random.default_rng(0), grid(2, 3, 5, times=20)
  mixing = np.array([[2, .3, .1], [.2, 1, .2], [.1, .6, 1], [.5, .5, .5]])
  return (factors @ mixing.T + .3 * random.normal(size=(600, 4))).astype(np.float32), factors


def test_one_latent_a_factor_is_perfect():
  factors = grid(3, 4, 5, times=4)
  assert mig(factors, factors) == pytest.approx(1)
  assert factor_vae(factors, factors)['factor_vae_score'] == 1
  assert beta_vae(factors, factors)['beta_vae_score'] == 1
  scores = dci_of(factors, factors, num_trees=20)
  assert scores['dci_disentanglement'] == pytest.approx(1, abs=1e-3)
  assert scores['dci_completeness'] == pytest.approx(1, abs=1e-3)
  assert scores['dci_informativeness'] == 1
  np.testing.assert_allclose(scores['dci_importances'], np.eye(3), atol=1e-3)
  # Of a factor of two values, the right latent tells all and any other one, being independent, half.
  assert sap(grid(2, 2, 2, times=10), grid(2, 2, 2, times=10)) == pytest.approx(.5)


def test_order_and_signs_of_the_latents_change_nothing(noisy):
  codes, factors = noisy
  order, signs = [2, 0, 3, 1], np.array([1, -1, -1, 1])
  other = codes[:, order] * signs
  assert mig(other, factors) == pytest.approx(mig(codes, factors), abs=1e-6)
  assert sap(other, factors) == pytest.approx(sap(codes, factors), abs=1e-6)
  for name, score in (('factor_vae_score', factor_vae), ('beta_vae_score', beta_vae)):
    assert score(other, factors)[name] == pytest.approx(score(codes, factors)[name], abs=2e-3)
  one, another = dci_of(codes, factors), dci_of(other, factors)
  for name in ('dci_disentanglement', 'dci_completeness', 'dci_informativeness'):
    assert another[name] == pytest.approx(one[name], abs=.02)
  np.testing.assert_allclose(np.array(another['dci_importances']), np.array(one['dci_importances'])[order], atol=.03)


def test_turned_latents_score_by_chance():
  """Both latents hold both of two factors alike, so that nothing tells the factors apart."""
  factors = grid(4, 4, times=25)
  codes = (factors - 1.5) @ TURN
  assert mig(codes, factors) == pytest.approx(0, abs=1e-6)
  assert sap(codes, factors) == pytest.approx(0, abs=1e-6)
  assert factor_vae(codes, factors)['factor_vae_score'] == pytest.approx(.5, abs=.05)
  assert beta_vae(codes, factors)['beta_vae_score'] == pytest.approx(.5, abs=.06)
  scores = dci_of(codes, factors, num_trees=20)
  assert scores['dci_disentanglement'] < .1 and scores['dci_completeness'] < .1 and scores['dci_informativeness'] == 1


def test_doubled_latents_leave_no_gap_but_stay_pure():
  factors = grid(2, 3, 4, times=10)
  codes = np.tile(factors, 2)
  assert mig(codes, factors) == pytest.approx(0) and sap(codes, factors) == pytest.approx(0)
  assert factor_vae(codes, factors)['factor_vae_score'] == beta_vae(codes, factors)['beta_vae_score'] == 1
  scores = dci_of(codes, factors, num_trees=50)
  assert scores['dci_disentanglement'] == pytest.approx(1, abs=1e-2)
  assert scores['dci_completeness'] == pytest.approx(1 - np.log(2) / np.log(6), abs=.05)   # each in two latents of six


def test_constant_codes_score_nothing():
  factors = grid(4, 4, times=10)
  codes = np.full((160, 3), .1, np.float32)
  assert mig(codes, factors) == sap(codes, factors) == 0
  voted = factor_vae(codes, factors)
  assert voted['factor_vae_score'] == voted['factor_vae_train_accuracy'] == voted['active_latents'] == 0
  assert beta_vae(codes, factors)['beta_vae_score'] == pytest.approx(.5, abs=.05)
  scores = dci_of(codes, factors)
  assert scores['dci_disentanglement'] == scores['dci_completeness'] == 0
  assert scores['dci_informativeness'] == .25 and scores['dci_importances'] == [[0, 0]] * 3


def test_mig_is_the_gap_of_binned_mutual_informations(noisy):
  codes, factors = noisy
  low, high = codes.min(axis=0).astype(float), codes.max(axis=0).astype(float)
  bins = np.minimum((codes - low) / (high - low) * 20, 19).astype(int)
  information = np.array([[mutual_info_score(f, z) for f in factors.T] for z in bins.T])
  top = -np.sort(-information, axis=0)
  expected = (top[0] - top[1]) / np.log([2, 3, 5])
  scores = mutual_information_gap(codes, factors, 20)
  np.testing.assert_allclose(scores['mig_per_factor'], expected, rtol=1e-6)
  assert scores['mig'] == pytest.approx(expected.mean()) and .05 < scores['mig'] < .7


def test_twenty_bins_bound_the_mig_of_finer_factors():
  """40 values fall by twos into 20 bins; of 32 values, 12 pairs share one and 8 values have one of their own."""
  factors = grid(40, 32)
  expected = [np.log(20) / np.log(40), 1 - 24 / 32 * np.log(2) / np.log(32)]
  np.testing.assert_allclose(mutual_information_gap(factors / 1., factors, 20)['mig_per_factor'], expected, rtol=1e-6)


def test_factor_vae_counts_variances_relative_to_those_of_all_codes():
  """Latents of the first and of an unknown factor: with the second one fixed, either varies least in half the batches,
  whatever the units of the latents; so three quarters are told right."""
  all_factors = grid(6, 6, 6)
  codes, factors = all_factors[:, [0, 2]], all_factors[:, :2]
  score = factor_vae(codes, factors, num_test=4_000)['factor_vae_score']
  assert score == pytest.approx(.75, abs=.03)
  assert factor_vae(codes * [100, 1], factors, num_test=4_000)['factor_vae_score'] == pytest.approx(score, abs=.005)


def test_factor_vae_leaves_dead_latents_out():
  """Below a standard deviation of 0.05. Above it, noise takes the votes of a factor that no latent shows."""
  all_factors, noise = grid(6, 6, 6), np.random.default_rng(1).normal(size=(216, 3))
  codes, factors = all_factors[:, [0, 2]], all_factors[:, :2]
  alone = factor_vae(codes, factors)
  assert factor_vae(np.concatenate([.03 * noise, codes], axis=1), factors) == alone and alone['active_latents'] == 2
  beside = factor_vae(np.concatenate([.07 * noise, codes], axis=1), factors)
  assert beside['active_latents'] == 5 and beside['factor_vae_score'] > alone['factor_vae_score'] + .1


def test_a_factor_without_latent_escapes_the_beta_vae_score_alone():
  """Its known flaw (Kim and Mnih 2018, section 4): what no latent shows is told from what the others do not."""
  factors = grid(4, 4, 4)
  codes = np.concatenate([factors[:, :2], np.zeros((64, 1))], axis=1)
  assert beta_vae(codes, factors)['beta_vae_score'] > .99
  assert factor_vae(codes, factors)['factor_vae_score'] < .75
  scores = mutual_information_gap(codes, factors, 20)['mig_per_factor']
  np.testing.assert_allclose(scores, [1, 1, 0], atol=1e-12)


def test_beta_vae_pairs_share_one_factor_and_differ_in_the_others():
  factors = grid(4, 6, times=2)
  differences, shared = _differences(factors.astype(np.float32), factors, 400, 50, np.random.default_rng(0))
  for factor, values in enumerate((4, 6)):
    own, others = differences[shared == factor, factor], differences[shared != factor, factor]
    assert not own.any() and len(own) > 100
    # The mean |a - b| of two even draws from 0 to V - 1 is (V^2 - 1) / 3V.
    assert others.mean() == pytest.approx((values**2 - 1) / (3 * values), rel=.02)


def test_partners_are_drawn_evenly_from_all_that_share_the_value():
  column = np.array([3, 0, 3, 1, 3, 0])
  images = np.repeat(np.arange(6), 6_000).reshape(-1, 3)
  partners = draw_sharing(column, images, np.random.default_rng(0))
  assert partners.shape == images.shape
  for image in range(6):
    counts = np.bincount(partners[images == image], minlength=6) / 6_000
    same = column == column[image]
    np.testing.assert_allclose(counts, same / same.sum(), atol=.03)


def test_a_part_of_the_grid_serves():
  """3,000 sprites, of which a value of a position has about 94."""
  factors = sprites.classes(sprites.subset(3_000))[:, 1:]
  codes = factors / factors.std(axis=0)
  assert factor_vae(codes, factors)['factor_vae_score'] == 1
  assert beta_vae(codes, factors)['beta_vae_score'] > .99


@pytest.mark.parametrize('importances, expected', [
    (np.eye(3), (1, 1)),
    (np.ones((4, 3)), (0, 0)),
    (np.zeros((4, 3)), (0, 0)),
    ([[1, 0], [0, .5], [0, .5]], (1, 1 - .5 * np.log(2) / np.log(3))),
    ([[.75, 0], [.25, 1]], (1 - 1.25 / 2 * (np.log(5) - .8 * np.log(4)) / np.log(2),
                            1 - .5 * (np.log(4) - .75 * np.log(3)) / np.log(2))),
])
def test_dci_is_one_minus_the_weighted_entropy(importances, expected):
  importances = np.array(importances, float)
  got = dci_lib.disentanglement(importances), dci_lib.disentanglement(importances.T)
  np.testing.assert_allclose(got, expected, atol=1e-12)


def test_dci_accuracy_is_that_on_the_codes_held_out():
  random = np.random.default_rng(0)
  codes, factors = random.normal(size=(80, 3)).astype(np.float32), random.integers(2, size=(80, 2))
  scores = dci(codes, factors, -codes, 1 - factors, 40)
  assert dci_of(codes, factors, 40)['dci_informativeness'] > .95
  assert .25 < scores['dci_informativeness'] < .75
  assert scores['dci_informativeness'] == np.mean(scores['dci_informativeness_per_factor'])


def test_sap_is_the_gap_of_linear_classifiers(noisy):
  """Against the squared hinge losses, each value against the rest, minimised by scipy."""
  rare = (noisy[1][:, 1:] == 0).any(axis=1)       # so that balancing the values changes the lines
  kept = ~rare | (np.arange(600) % 4 == 0)
  (codes, held_out), (factors, answers) = (np.array_split(array[kept], 2) for array in noisy)

  def accuracy(latent, factor):
    values, counts = np.unique(factors[:, factor], return_counts=True)
    lines = [_line(codes[:, latent], factors[:, factor] == value, len(codes) / (len(values) * count))
             for value, count in zip(values, counts, strict=True)]
    told = np.argmax([slope * held_out[:, latent] + offset for slope, offset in lines], axis=0)
    return np.mean(values[told] == answers[:, factor])

  ascending = np.sort([[accuracy(latent, factor) for latent in range(4)] for factor in (1, 2)])
  scores = separated_attribute_predictability(codes, factors[:, 1:], held_out, answers[:, 1:])
  np.testing.assert_allclose(scores['sap_per_factor'], ascending[:, -1] - ascending[:, -2], atol=.007)
  assert scores['sap'] == pytest.approx(np.mean(scores['sap_per_factor'])) and scores['sap'] > .05


def _line(x, positive, weight):
  """(slope, offset) that minimise half their squares plus 0.01 times the squared hinges, `positive` ones weighed."""
  def objective(line):
    hinges = np.maximum(0, 1 - np.where(positive, 1, -1) * (line[0] * x + line[1]))
    return (line**2).sum() / 2 + .01 * (np.where(positive, weight, 1) * hinges**2).sum()
  return minimize(objective, np.zeros(2), method='BFGS').x


class Encoder:
  """Plays a model: reads the codes of images out of their pixels, and counts them."""

  def __init__(self, noise=0, latent_size=4):
    self.noise, self.latent_size, self.seen = noise, latent_size, []

  def encode(self, images):
    self.seen += [image.tobytes() for image in images]
    pixels = images.reshape(len(images), -1).astype(np.float32)
    # The noise is a function of the image, as a network's errors are.
    return pixels[:, :4] + self.noise * np.sin(1e3 * (pixels @ np.arange(1, 7)))[:, None], np.zeros((len(images), 4))


@pytest.fixture(scope='module')
def dataset():
  """Images whose first four pixels are their factors, of which the first never changes, and the last two a number."""
  factors = grid(1, 2, 3, 4, times=50)
  numbers = np.stack(np.divmod(np.arange(1_200), 256), axis=1)
  spec = Spec('made', (1, 6, 1), has_factors=True, annotations=tuple(
      Annotation(name, tuple(map(str, range(size)))) for name, size in zip('abcd', (1, 2, 3, 4), strict=True)))
  images = np.concatenate([factors, numbers], axis=1).astype(np.uint8).reshape(-1, 1, 6, 1)
  return Dataset(spec, images, np.zeros(1_200, np.int32), 'made in a test', factors.astype(np.int32))


def measure(dataset, model, seed=0, **changes):
  evaluator = create({'disentanglement': SMALL | changes}, dataset.spec, model)['disentanglement']
  numbers = evaluator.measure(model, Splits(dataset), seed).numbers
  declared.check('disentanglement', evaluator, numbers)
  return numbers


def test_the_evaluator_encodes_each_image_once_and_says_what_it_measured(dataset):
  model = Encoder()
  numbers = measure(dataset, model)
  assert len(model.seen) == len(set(model.seen)) == 1_200 == numbers['num_images']
  assert numbers['factors'] == ['b', 'c', 'd'] and numbers['factors_left_out'] == ['a']
  assert np.shape(numbers['dci_importances']) == (4, 3)
  for name in ('mig', 'factor_vae_score', 'beta_vae_score', 'dci_disentanglement', 'dci_completeness'):
    assert numbers[name] == pytest.approx(1, abs=.01)
  assert numbers['active_latents'] == 3
  assert json.loads(json.dumps(numbers)) == numbers
  assert {type(value) for value in numbers.values()} == {float, int, str, list}
  for name, words in {
      'mig': ['400 codes', '20 bins'], 'factor_vae': ['300 + 200 batches of 16 of 1200', 'chance 0.333'],
      'beta_vae': ['300 + 200 batches of 16 pairs', 'scikit-learn'], 'dci': ['3 stages', '400 codes', '200 to test'],
      'sap': ['400 codes', '200 to test', 'scikit-learn']}.items():
    assert all(word in numbers[f'{name}_protocol'] for word in words)


def test_the_evaluator_is_a_function_of_the_seed(dataset):
  first = measure(dataset, Encoder(noise=1), seed=3)
  assert measure(dataset, Encoder(noise=1), seed=3) == first
  other = measure(dataset, Encoder(noise=1), seed=4)
  for name in ('mig', 'dci_disentanglement', 'sap'):
    assert 0 < first[name] < 1 and other[name] != first[name] and other[name] == pytest.approx(first[name], abs=.2)
  for name in ('factor_vae_score', 'beta_vae_score'):
    assert 0 < first[name] < 1 and other[name] == pytest.approx(first[name], abs=.2)


def test_the_evaluator_encodes_as_many_images_as_it_may(dataset):
  model = Encoder()
  assert measure(dataset, model, num_images=700)['num_images'] == len(model.seen) == 700
  few = dataclasses.replace(dataset, images=dataset.images[:150], annotations=dataset.annotations[:150])
  numbers = measure(few, Encoder())
  assert '100 codes to train, 50 to test' in numbers['sap_protocol']   # in the proportion of 400 to 200


def test_training_and_test_images_are_others(dataset):
  evaluator = create({'disentanglement': SMALL}, dataset.spec, Encoder())['disentanglement']
  for num_images, expected in ((1_200, (1_200, 400, 200)), (150, (150, 100, 50)), (2, (2, 1, 1))):
    images, train, test = evaluator.draw(num_images, np.random.default_rng(0))
    assert (len(images), len(train), len(test)) == expected and (np.diff(images) > 0).all()
    both = np.concatenate([train, test])
    assert len(set(both)) == len(both) and both.min() >= 0 and both.max() < len(images)
  some = dataclasses.replace(evaluator, num_images=700).draw(1_200, np.random.default_rng(0))[0]
  assert len(some) == 700 and np.histogram(some, 4, (0, 1_200))[0].min() > 140   # from all over the data set


def test_data_sets_are_marked_where_their_factors_are_known():
  for name in ('dsprites', 'sprites'):
    config = recipes.base().data
    config.name = name
    spec = data.describe(config)
    assert spec.has_factors
    create({'disentanglement': recipes.evaluator('disentanglement')}, spec, Encoder())
    config.label = 'scale'
    assert data.describe(config).has_factors
  for name in ('celeba', 'digits'):
    assert not data.describe(section(name)).has_factors


@pytest.mark.parametrize('spec_changes, changes, words', [
    ({'has_factors': False}, {}, ["'made'", 'factors', "use 'sprites'"]),
    ({'annotations': (Annotation('a', ('x',)), Annotation('b', ('x', 'y')))}, {}, ['at least 2 that vary']),
    ({}, {'num_train': 99}, ['num_train is 99', 'at least 100']),
    ({}, {'num_images': 599}, ['num_images is 599', '600', '0 for all']),
    ({}, {'latent_size': 1}, ['config.model.latent_size is 1', 'raise it or remove']),
])
def test_what_cannot_be_measured_is_refused_before_training(dataset, spec_changes, changes, words):
  model = Encoder(latent_size=changes.get('latent_size', 4))
  spec = dataclasses.replace(dataset.spec, **spec_changes)
  settings = SMALL | {key: value for key, value in changes.items() if key != 'latent_size'}   # a model's
  line = refusal(create, {'disentanglement': settings}, spec, model)
  assert all(word in line for word in words)


def test_codes_and_images_that_say_too_little_are_refused(dataset):
  alike = dataclasses.replace(dataset, annotations=dataset.annotations * np.int32([0, 0, 0, 1]))
  assert '1 vary' in refusal(measure, alike, Encoder())
  evaluator = create({'disentanglement': SMALL}, dataset.spec, Encoder())['disentanglement']
  assert '1 vary among 1,200 images' in refusal(evaluator.check_data, Splits(alike))
  one = dataclasses.replace(dataset, annotations=dataset.annotations[:1])
  assert '0 vary among 1 images' in refusal(evaluator.check_data, Splits(one))
  evaluator.check_data(Splits(dataset))


def test_a_signal_does_not_wait_for_the_trees_of_dci():
  rng = np.random.default_rng(0)
  codes, factors = rng.normal(size=(300, 4)), rng.integers(2, size=(300, 2))
  with StopRequest() as stop:
    threading.Timer(2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    begin = time.monotonic()
    assert stop.interruptible(lambda: dci_of(codes, factors, num_trees=200_000), 'stopped') == 'stopped'
    assert 2 <= time.monotonic() - begin < 30   # all trees take minutes
