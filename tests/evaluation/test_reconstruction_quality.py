"""MSE, PSNR and SSIM against closed forms and scipy's Gaussian filter."""

import types

from helpers import declared
from helpers.published import refusal
import numpy as np
import pytest
from scipy import ndimage

from jgen.data.spec import Dataset, Spec, Splits
from jgen.evaluation import EVALUATORS
from jgen.evaluation import reconstruction_quality as quality
from jgen.run import receipt


@pytest.fixture(scope='module')
def pairs():
  """Smooth images and noisy copies: uint8 [70, 24, 31, 3] twice."""
  random = np.random.default_rng(0)
  smooth = ndimage.gaussian_filter(random.normal(size=(70, 24, 31, 3)), (0, 2, 2, 0))
  first = np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8)
  noise = random.normal(size=first.shape) * np.linspace(2, 60, 70)[:, None, None, None]
  return first, np.clip(first + noise, 0, 255).astype(np.uint8)


def scipy_ssim(a, b):
  """Wang et al. 2004 for one channel, by scipy's filter: its window ends at 3.5 standard deviations, 11 pixels."""
  a, b = a.astype(np.float64), b.astype(np.float64)
  blur = lambda x: ndimage.gaussian_filter(x, 1.5, truncate=3.5)[5:-5, 5:-5]
  ma, mb = blur(a), blur(b)
  va, vb, vab = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
  c1, c2 = 2.55**2, 7.65**2
  return np.mean((2 * ma * mb + c1) * (2 * vab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))


def test_ssim_is_the_reference(pairs):
  found = quality.ssim(*pairs)
  expected = [np.mean([scipy_ssim(a[..., c], b[..., c]) for c in range(3)]) for a, b in zip(*pairs, strict=True)]
  assert found.shape == (70,) and found.dtype == np.float64
  np.testing.assert_allclose(found, expected, rtol=1e-9)
  assert found[0] > 0.9 > 0.5 > found[-1]


def test_ssim_of_equal_and_of_flat_images(pairs):
  np.testing.assert_allclose(quality.ssim(pairs[0], pairs[0]), 1, rtol=1e-12)
  dark, light = np.full((1, 11, 11, 1), 50, np.uint8), np.full((1, 11, 11, 1), 100, np.uint8)
  # Without variance the luminance is all there is.
  assert quality.ssim(dark, light)[0] == pytest.approx((2 * 50 * 100 + 2.55**2) / (50**2 + 100**2 + 2.55**2))


def test_errors_are_those_of_numpy(pairs):
  first, second = (images.astype(np.float64) / 255 for images in pairs)
  expected = ((first - second)**2).reshape(70, -1).mean(axis=1)
  np.testing.assert_allclose(quality.mean_squared_error(*pairs), expected, rtol=1e-12)
  np.testing.assert_allclose(quality.psnr(*pairs), 10 * np.log10(1 / expected), rtol=1e-12)


def test_psnr_in_closed_form():
  first = np.zeros((2, 4, 4, 3), np.uint8)
  second = np.full((2, 4, 4, 3), 255, np.uint8)
  second[1] = 0
  assert quality.mean_squared_error(first, second).tolist() == [1, 0]
  assert quality.psnr(first, second).tolist() == [0, np.inf]


def test_images_that_are_not_alike_are_refused(pairs):
  first, second = pairs
  for measure in (quality.mean_squared_error, quality.psnr, quality.ssim):
    assert 'the same shape' in refusal(measure, first, second[:, :-1])
    assert 'the same shape' in refusal(measure, first, second[..., :1])
    assert 'expected uint8' in refusal(measure, first, second / 255.)
  assert '11 x 11' in refusal(quality.ssim, first[:, :10], second[:, :10])


def test_reconstruction_quality_is_the_mean_over_the_test_images(monkeypatch):
  random = np.random.default_rng(0)
  images, made = random.integers(0, 256, (2, 70, 12, 12, 1), np.uint8)
  monkeypatch.setattr('jgen.evaluation.reconstruction_quality._PART', 32)
  place = {image.tobytes(): n for n, image in enumerate(images)}
  model = types.SimpleNamespace(reconstruct=lambda part: made[[place[image.tobytes()] for image in part]])
  dataset = Dataset(Spec('made', (12, 12, 1)), images, np.zeros(70, np.int32), 'made in a test')
  splits = Splits(dataset, dataset)
  measured = EVALUATORS['reconstruction_quality'](0).measure(model, splits, 0)
  declared.check('reconstruction_quality', EVALUATORS['reconstruction_quality'](0), measured.numbers, dataset.spec)
  squares = np.square((images.astype(float) - made) / 255).mean(axis=(1, 2, 3))
  assert measured.numbers['mse'] == pytest.approx(squares.mean())
  assert measured.numbers['psnr'] == pytest.approx((-10 * np.log10(squares)).mean())
  assert -1 < measured.numbers['ssim'] < 0.5 and measured.numbers['num_images'] == 70
  assert measured.receipt['num_reference'] == 70 and measured.receipt['reference_split'] == 'test'
  few = EVALUATORS['reconstruction_quality'](10).measure(model, splits, 0)
  assert few.numbers['mse'] == pytest.approx(squares[:10].mean())
  assert receipt.differing(few.receipt, measured.receipt) == 'reference_sha256'
