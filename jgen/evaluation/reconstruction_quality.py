"""Quality of reconstructions: an evaluator, and its measures for single images.

Each measure takes uint8 [N, H, W, C] twice and gives float64 [N].
"""

import dataclasses

from jaxtyping import Float
import numpy as np

from jgen.data.spec import Spec, Splits
from jgen.errors import UserError
from jgen.evaluation.base import Evaluator
from jgen.evaluation.measured import Measured
from jgen.families.base import Family
from jgen.families.contracts import Reconstructs
from jgen.families.model import Model
from jgen.keys import key
from jgen.run.receipt import digest_of
from jgen.shapes import Pixels

_PEAK = 255.                            # the largest pixel
_WINDOW, _SIGMA = 11, 1.5               # pixels: side and standard deviation of the Gaussian window
_K1, _K2 = 0.01, 0.03
_CHUNK = 64                             # images in float64 at a time
_PART = 1_024                           # images reconstructed at a time


@dataclasses.dataclass(frozen=True)
class ReconstructionQuality(Evaluator):
  """Mean squared error, PSNR and SSIM of the test images' reconstructions."""

  num_images: int = key(0, 'test images, the first ones; 0 for all', at_least=0)

  needs = (Reconstructs,)
  needs_test = True

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of the numbers by which models can be ranked."""
    del family
    return ('mse', 'psnr', *(['ssim'] if min(spec.image_shape[:2]) >= _WINDOW else []))

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: means over the test images, pixels in [0, 1], and the receipt; no `ssim` for images below 11 pixels."""
    images = splits.test_set.images[:self.num_images or None]
    measures = {'mse': mean_squared_error, 'psnr': psnr} | (
        {'ssim': ssim} if min(images.shape[1:3]) >= _WINDOW else {})
    totals = dict.fromkeys(measures, 0.)
    for start in range(0, len(images), _PART):
      part = images[start:start + _PART]
      reconstructions = model.reconstruct(part)
      for name, measure in measures.items():
        totals[name] += float(measure(part, reconstructions).sum())
    numbers = {name: total / len(images) for name, total in totals.items()} | {'num_images': len(images)}
    return Measured(numbers, receipt={
        'reference': splits.test_set.spec.name, 'reference_split': 'test', 'reference_sha256': digest_of(images),
        'num_reference': len(images), 'image_shape': list(splits.test_set.spec.image_shape)})


def mean_squared_error(first: Pixels, second: Pixels) -> Float[np.ndarray, ' n']:
  """Mean over pixels and channels of the squared difference of values in [0, 1]."""
  return _by_chunk(lambda a, b: np.square(a - b).mean(axis=(1, 2, 3)) / _PEAK**2, first, second)


def psnr(first: Pixels, second: Pixels) -> Float[np.ndarray, ' n']:
  """Peak signal-to-noise ratio in dB, 10 log10(1 / mean squared error); infinite for equal images."""
  with np.errstate(divide='ignore'):
    return -10 * np.log10(mean_squared_error(first, second))


def ssim(first: Pixels, second: Pixels) -> Float[np.ndarray, ' n']:
  """Structural similarity, at most 1: Wang et al. 2004, eq. 13 to 17, with their Gaussian window and constants.

  Averaged over the positions where the 11x11 window fits, and over the channels.

  Raises UserError if the window does not fit into the image.
  """
  if min(first.shape[1:3]) < _WINDOW:
    raise UserError(f'SSIM needs a window of {_WINDOW} x {_WINDOW} pixels; images have '
                    f'{first.shape[1]} x {first.shape[2]}')
  return _by_chunk(_ssim, first, second)


def _ssim(a, b):
  mean_a, mean_b = _window_mean(a), _window_mean(b)
  variances = _window_mean(a * a) - mean_a**2 + _window_mean(b * b) - mean_b**2
  covariance = _window_mean(a * b) - mean_a * mean_b
  c1, c2 = (_K1 * _PEAK)**2, (_K2 * _PEAK)**2
  similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (variances + c2)))
  return similarity.mean(axis=(1, 2, 3))


def _window_mean(x):
  """Means of [N, H, W, C] under the Gaussian window, [N, H - 10, W - 10, C]."""
  weights = np.exp(-np.square(np.arange(_WINDOW) - _WINDOW // 2) / (2 * _SIGMA**2))
  weights /= weights.sum()
  height, width = (side - _WINDOW + 1 for side in x.shape[1:3])
  x = sum(weight * x[:, i:i + height] for i, weight in enumerate(weights))
  return sum(weight * x[:, :, i:i + width] for i, weight in enumerate(weights))


def _by_chunk(measure, first, second):
  """`measure` of both in float64, chunk by chunk. Raises UserError if the images differ in type or shape."""
  if first.shape != second.shape or first.dtype != np.uint8 or second.dtype != np.uint8:
    raise UserError(f'images are {first.dtype} {list(first.shape)} and {second.dtype} {list(second.shape)}; '
                    'expected uint8 and the same shape')
  starts = range(0, len(first), _CHUNK)
  return np.concatenate([measure(first[i:i + _CHUNK].astype(np.float64), second[i:i + _CHUNK].astype(np.float64))
                         for i in starts])
