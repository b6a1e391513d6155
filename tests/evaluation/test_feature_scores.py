"""KID, Inception Score, precision, recall, density and coverage against closed forms, torch-fidelity and prdc."""

import tracemalloc
from types import SimpleNamespace

from helpers.published import refusal
import numpy as np
import pytest

from jgen import evaluation, recipes
from jgen.data.spec import Spec
from jgen.errors import UserError
from jgen.evaluation.features import precision_recall as pr
from jgen.evaluation.features.inception_score import inception_score
from jgen.evaluation.features.kernel_distance import estimate, squared_mmd
from jgen.networks.inception import network as inception
from jgen.networks.inception import weights as inception_weights


def two_sets(first, second, size=16):
  """Features that overlap in part: [M, F] and [N, F]."""
  random = np.random.default_rng(0)
  return random.normal(size=(first, size)), random.normal(size=(second, size)) * 0.9 + 0.15


def test_squared_mmd_is_the_sum_over_pairs():
  x, y = two_sets(7, 5, size=3)
  kernel = lambda a, b: (a @ b / 3 + 1)**3
  within = [np.mean([kernel(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j]) for a in (x, y)]
  between = np.mean([kernel(a, b) for a in x for b in y])
  assert squared_mmd(x, y) == pytest.approx(sum(within) - 2 * between, rel=1e-12)


def test_squared_mmd_is_torch_fidelitys():
  torch = pytest.importorskip('torch')
  metric = pytest.importorskip('torch_fidelity.metric_kid', reason='the reference: pip install torch-fidelity')
  x, y = two_sets(200, 200)
  expected = metric.kid_features_to_metric(torch.tensor(x), torch.tensor(y), kid_subsets=1, kid_subset_size=200,
                                           verbose=False)
  assert squared_mmd(x, y) == pytest.approx(expected['kernel_inception_distance_mean'], rel=1e-4)


def test_kernel_estimate_is_unbiased_and_its_interval_holds():
  """Of 300 pairs of sets from one distribution, 95 % of the intervals hold the true value 0."""
  random = np.random.default_rng(0)
  estimates = [estimate(*random.normal(size=(2, 210, 4)), seed=i, block_size=20) for i in range(300)]
  assert {(found.num_blocks, found.block_size) for found in estimates} == {(10, 20)}
  means = np.array([found.mean for found in estimates])
  assert abs(means.mean()) < 4 * means.std() / np.sqrt(300)
  assert 0.91 < np.mean([found.low < 0 < found.high for found in estimates]) < 0.985


def test_kernel_estimate_tells_sets_apart_and_depends_on_the_seed_alone():
  x, y = two_sets(400, 300)
  found = estimate(x, y, seed=0, block_size=50)
  assert found.num_blocks == 6 and 0 < found.low < found.mean < found.high
  assert found.mean == pytest.approx(squared_mmd(x, y), rel=0.3)
  assert estimate(x, y, seed=0, block_size=50) == found != estimate(x, y, seed=1, block_size=50)


def test_kernel_estimate_of_too_few_is_refused():
  x, y = two_sets(400, 199)
  assert '2 blocks of 100' in refusal(estimate, x, y, 0, 100)
  assert '16 and 15 dimensions' in refusal(estimate, x, x[:, :15], 0, 100)


def test_inception_score_of_sure_answers_is_the_number_of_classes():
  sure = 100. * np.eye(5)[np.arange(400) % 5]
  mean, deviation = inception_score(sure, seed=0, num_splits=1)
  assert mean == pytest.approx(5, rel=1e-9) and deviation == 0
  assert inception_score(np.ones((50, 5)), seed=0) == pytest.approx((1, 0), abs=1e-12)


def test_inception_score_does_not_depend_on_the_classes_being_in_order():
  ordered = 100. * np.eye(10)[np.repeat(np.arange(10), 200)]
  mean, deviation = inception_score(ordered, seed=0)
  assert mean > 9.5 and 0 < deviation < 0.3   # unshuffled, each split would hold one class and score 1


def test_inception_score_is_torch_fidelitys():
  torch = pytest.importorskip('torch')
  metric = pytest.importorskip('torch_fidelity.metric_isc', reason='the reference: pip install torch-fidelity')
  logits = 2 * np.random.default_rng(0).normal(size=(500, 20))
  shuffled = torch.tensor(np.random.default_rng(3).permutation(logits))
  expected = metric.isc_features_to_metric(shuffled, splits=10, shuffle=False)
  assert inception_score(logits, seed=3) == pytest.approx(
      (expected['inception_score_mean'], expected['inception_score_std']), rel=1e-4)


def test_inception_score_of_too_few_is_refused():
  assert 'there are 9' in refusal(inception_score, np.zeros((9, 5)), 0)


def all_four(real, generated, k):
  return pr.precision_recall(real, generated, k) | pr.density_coverage(real, generated, k)


@pytest.mark.parametrize('k, counts', [(3, (200, 150)), (5, (150, 200))])
def test_balls_are_prdcs(k, counts, capsys):
  prdc = pytest.importorskip('prdc', reason='the reference: pip install prdc')
  real, generated = two_sets(*counts)
  expected = prdc.compute_prdc(real, generated, k)
  capsys.readouterr()
  found = all_four(real, generated, k)
  assert found == pytest.approx(expected, rel=1e-4)
  assert all(0.1 < found[name] < 1 for name in ('precision', 'recall', 'coverage')), found


def test_balls_on_a_line():
  """Points 0, 1, 3, 7 have radii 1, 1, 2, 4 at k = 1; 2 and 20 have 18 each."""
  real, generated = np.array([[0.], [1.], [3.], [7.]]), np.array([[2.], [20.]])
  np.testing.assert_allclose(pr.radii(real, 1), [1, 1, 2, 4])
  assert pr.precision_recall(real, generated, k=1) == {'precision': 0.5, 'recall': 1.}
  # 2 lies in the ball of 3 and on the edge of that of 1, which does not count; 20 in none; 7 - 4 = 3 is beyond 2.
  assert pr.density_coverage(real, generated, k=1) == {'density': 1 / 2, 'coverage': 1 / 4}


def test_a_set_covers_itself_and_nothing_that_is_far():
  real, _ = two_sets(120, 1)
  same, far = all_four(real, real, 5), all_four(real, real + 1e3, 5)
  assert same == pytest.approx({'precision': 1, 'recall': 1, 'density': 1, 'coverage': 1})
  assert set(far.values()) == {0}


def test_memory_is_that_of_a_few_rows(monkeypatch):
  real, generated = two_sets(1_500, 1_400, size=4)
  whole = all_four(real, generated, 3)
  monkeypatch.setattr(pr, '_TILE', 2**15)
  tracemalloc.start()
  assert all_four(real, generated, 3) == whole
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 1_500 * 1_400 * 8 / 8   # bytes: an eighth of one matrix of distances


def test_balls_of_too_few_are_refused():
  assert 'there are 3' in refusal(pr.precision_recall, np.zeros((3, 2)), np.zeros((9, 2)), 3)


def test_proxies_replace_the_fid_only_if_they_are_named_and_the_weights_are_missing(tmp_path, capsys):
  path, spec, family = tmp_path / 'inception.npz', Spec('made', (8, 8, 3)), SimpleNamespace(num_classes=0)
  section = recipes.evaluator('inception_features')
  section.update(weights=str(path), num_generated=50, num_real=20)
  with pytest.raises(UserError, match='no Inception weights there'):
    evaluation.create({'inception_features': section}, spec, family)
  section.instead = ('random_features',)
  (name, evaluator), = evaluation.create({'inception_features': section}, spec, family).items()
  assert name == evaluator.name == 'random_features' and (evaluator.num_generated, evaluator.num_real) == (50, 20)
  assert '--mode=weights' in capsys.readouterr().err
  path.write_bytes(b'cut short')
  with pytest.raises(UserError, match='inception.npz'):
    evaluation.create({'inception_features': section}, spec, family)
  for depth, words in (('768', 'end early, so the Frechet distance is not an FID; fetch it with: curl'), ('2048', '')):
    params = {name: {kind: np.zeros(shape, np.float32) for kind, shape in inception.parameter_shapes()[name].items()}
              for name in inception.parameter_names(depth)}
    inception_weights.save(inception_weights.Weights(params, depth, ''), path)
    (name, evaluator), = evaluation.create({'inception_features': section}, spec, family).items()
    assert name == evaluator.name == 'inception_features'
    printed = capsys.readouterr().err
    assert words in printed and bool(words) == ('curl' in printed)
