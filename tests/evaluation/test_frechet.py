"""Moments and the Frechet distance against closed forms, numpy, scipy and torch-fidelity."""

from helpers.published import refusal
import jax
import numpy as np
import pytest
from scipy import linalg

from jgen.evaluation.features import frechet, moments


def features_of(count, size, seed=0, offset=0.):
  """Correlated, far from isotropic: [N, F]."""
  random = np.random.default_rng(seed)
  mixing = random.normal(size=(size, size)) * np.geomspace(1, 1e-2, size)
  return random.normal(size=(count, size)) @ mixing + offset


def moments_of(mean, covariance, count=100):
  return moments.Moments(count, np.asarray(mean, float), np.asarray(covariance, float) * (count - 1))


def distance_of(first, second):
  return frechet.distance(frechet.of_features(first), frechet.of_features(second))


def test_gaussians_in_one_dimension():
  """(m1 - m2)^2 + (s1 - s2)^2."""
  first, second = moments_of([1.], [[4.]]), moments_of([4.], [[25.]])
  assert frechet.distance(frechet.of_moments(first), frechet.of_moments(second)) == pytest.approx(9 + 9, rel=1e-12)


def test_gaussians_in_two_dimensions_that_do_not_commute():
  """tr (A B)^(1/2) = (tr AB + 2 (det AB)^(1/2))^(1/2) for two positive 2x2 matrices."""
  a, b = np.array([[2., .7], [.7, 1.]]), np.array([[1., -.4], [-.4, 3.]])
  assert not np.allclose(a @ b, b @ a)
  overlap = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
  found = frechet.distance(frechet.of_moments(moments_of([0, 0], a)), frechet.of_moments(moments_of([1, 2], b)))
  assert found == pytest.approx(5 + np.trace(a + b) - 2 * overlap, rel=1e-12)


@pytest.mark.parametrize('first, second', [((300, 24), (200, 24)), ((10, 24), (300, 24)), ((10, 24), (15, 24))])
def test_it_is_scipys_square_root_where_that_can_be_had(first, second):
  """Covariances of few features get a hundred-millionth of the identity there, without which sqrtm fails."""
  x, y = features_of(*first), features_of(*second, seed=1, offset=0.1)
  a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
  root = linalg.sqrtm((a + 1e-8 * np.eye(24)) @ (b + 1e-8 * np.eye(24))).real
  expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * root)
  assert distance_of(x, y) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('counts', [(500, 400), (500, 20), (20, 30)])
def test_the_low_rank_way_is_the_general_one(counts):
  x, y = features_of(counts[0], 48), features_of(counts[1], 48, seed=1)
  general = frechet.distance(*(frechet.of_moments(moments.of_features(f)) for f in (x, y)))
  assert distance_of(x, y) == pytest.approx(general, rel=1e-9)
  assert len(frechet.of_features(y).factor) == min(counts[1], 48)


@pytest.mark.parametrize('count', [20, 500])
def test_a_set_has_no_distance_to_itself_in_any_order(count):
  x = features_of(count, 64, offset=3.)
  assert 0 <= distance_of(x, x) < 1e-9
  assert distance_of(x, np.random.default_rng(0).permutation(x)) < 1e-9
  y = features_of(count, 64, seed=1)
  assert distance_of(x, y) == pytest.approx(distance_of(y, x), rel=1e-12)


def test_features_without_variance_are_at_a_distance_too():
  flat, x = np.ones((50, 8)), features_of(300, 8)
  expected = np.square(x.mean(0) - 1).sum() + np.trace(np.cov(x, rowvar=False))
  assert distance_of(flat, x) == pytest.approx(expected, rel=1e-12)
  assert distance_of(flat, flat) == 0


@pytest.mark.parametrize('counts', [(400, 300), (300, 40)])
def test_it_is_torch_fidelitys(counts):
  torch = pytest.importorskip('torch')
  metric = pytest.importorskip('torch_fidelity.metric_fid', reason='the reference: pip install torch-fidelity')
  x, y = features_of(counts[0], 64), features_of(counts[1], 64, seed=1)
  statistics = [metric.fid_features_to_statistics(torch.tensor(features)) for features in (x, y)]
  expected = metric.fid_statistics_to_metric(*statistics, verbose=False)['frechet_inception_distance']
  assert distance_of(x, y) == pytest.approx(expected, rel=1e-4)


def test_what_has_no_distance_is_refused():
  x = features_of(30, 8)
  assert 'there are 1' in refusal(frechet.of_features, x[:1])
  assert 'there are 1' in refusal(frechet.of_moments, moments.of_features(x[:1]))
  assert 'NaN' in refusal(frechet.of_features, np.where(x == x[3, 3], np.nan, x))
  assert 'NaN' in refusal(frechet.of_moments, moments.of_features(np.where(x == x[3, 3], np.nan, x)))
  assert '8 and 7 dimensions' in refusal(distance_of, x, x[:, :7])


def test_few_images_are_warned_of():
  assert '9,999 images' in frechet.warning(9_999) and frechet.warning(10_000) == ''


@pytest.mark.parametrize('count', [5_000, 12_000])
def test_extrapolation_takes_most_of_the_bias_away(count):
  """Of features from the reference itself: the true distance is 0, that of N features about F (F + 5) / 4 N."""
  reference = frechet.Gaussian(10**9, np.zeros(30), np.eye(30))
  random = np.random.default_rng(0)
  plain, extrapolated = [], []
  for seed in range(3):
    features = random.normal(size=(count, 30))
    plain.append(frechet.distance(frechet.of_features(features), reference))
    extrapolated.append(frechet.extrapolated(features, reference, seed))
  assert np.mean(plain) == pytest.approx(30 * 35 / (4 * count), rel=0.15)
  assert abs(np.mean(extrapolated)) < 0.25 * np.mean(plain)
  assert frechet.extrapolated(features, reference, 2) == extrapolated[-1] != frechet.extrapolated(
      features, reference, 3)


def test_extrapolation_starts_from_5_000():
  reference = frechet.of_features(features_of(100, 4))
  assert '4,999' in refusal(frechet.extrapolated, np.zeros((4_999, 4)), reference, 0)


class TestMoments:
  """Batch by batch, as the devices compute them."""

  COMPILED = staticmethod(jax.jit(moments.of_batch))

  def collected(self, features, size, junk=np.nan):
    """In batches of `size`, the last one filled up with what must not count."""
    total = moments.none(features.shape[1])
    for start in range(0, len(features), size):
      batch = np.full((size, features.shape[1]), junk, np.float32)
      part = features[start:start + size]
      batch[:len(part)] = part
      total = moments.collect(total, self.COMPILED(batch, (np.arange(size) < len(part)).astype(np.float32)))
    return total

  @pytest.mark.parametrize('size', [4, 100, 511, 2047, 3000])
  def test_any_batches_give_numpys_mean_and_covariance(self, size):
    """2,047 in batches of 4 and 511: a last one of 3."""
    features = features_of(2_047, 24, offset=5.).astype(np.float32)
    found = self.collected(features, size)
    covariance = np.cov(features.astype(np.float64), rowvar=False)
    assert found.count == 2_047 and found.mean.dtype == found.scatter.dtype == np.float64
    deviation = np.sqrt(np.diag(covariance))
    assert np.all(np.abs(found.mean - features.astype(np.float64).mean(axis=0)) < 1e-6 * deviation)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-6 * np.abs(covariance).max())

  def test_a_mean_far_from_zero_costs_no_digits(self):
    features = (features_of(500, 6) + 3_000).astype(np.float32)
    covariance = np.cov(features.astype(np.float64), rowvar=False)
    found = self.collected(features, 64)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-6 * np.abs(covariance).max())

  def test_batch_size_and_order_do_not_move_the_distance(self):
    features = features_of(600, 32, offset=1.).astype(np.float32)
    shuffled = np.random.default_rng(0).permutation(features)
    reference = frechet.of_features(features_of(900, 32, seed=1))
    distances = [frechet.distance(frechet.of_moments(self.collected(f, size)), reference)
                 for f, size in [(features, 7), (features, 64), (features, 600), (shuffled, 64)]]
    assert np.ptp(distances) < 1e-6 * distances[0]
    assert frechet.distance(*(frechet.of_moments(self.collected(f, size))
                              for f, size in [(features, 7), (shuffled, 64)])) < 1e-6

  def test_devices_and_hosts_add_up(self):
    features = features_of(48, 5).astype(np.float32)
    on_devices = jax.vmap(moments.of_batch)(features.reshape(4, 12, 5), np.ones((4, 12), np.float32))
    found = moments.collect(moments.none(5), on_devices)
    halves = moments.of_features(features[:30]) + moments.of_features(features[30:])
    whole = moments.of_features(features)
    for other in (found, halves):
      assert other.count == 48
      np.testing.assert_allclose(other.mean, whole.mean, rtol=1e-6, atol=1e-7)
      np.testing.assert_allclose(other.scatter, whole.scatter, atol=1e-6 * np.abs(whole.scatter).max())
    assert (whole + moments.none(5)).count == (moments.none(5) + whole).count == 48
    np.testing.assert_allclose((moments.none(5) + whole).scatter, whole.scatter)

  def test_a_nan_that_counts_is_not_hidden(self):
    features = features_of(20, 3).astype(np.float32)
    features[7, 1] = np.nan
    assert 'NaN' in refusal(frechet.of_moments, self.collected(features, 8, junk=0.))
