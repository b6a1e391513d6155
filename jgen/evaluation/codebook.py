"""Use of a codebook over whole data sets, bits per image, and quality of reconstructions."""

import dataclasses

from jaxtyping import Int
import numpy as np
import scipy

from jgen.data.spec import Spec, Splits
from jgen.evaluation import reconstruction_quality
from jgen.evaluation.base import Evaluator
from jgen.evaluation.measured import Measured
from jgen.evaluation.shared import per_image_scores
from jgen.families.base import Family
from jgen.families.contracts import HasCodes, MeasuresImages, Reconstructs
from jgen.families.model import Model
from jgen.keys import key

_SMALLEST_FOR_SSIM = 11                 # pixels of a side


@dataclasses.dataclass(frozen=True)
class Codebook(Evaluator):
  """Use of the codes by training and by test images, bits per image, and the error of reconstructed test images."""

  num_images: int = key(0, 'test images, the first ones; 0 for all', at_least=0)
  num_train_images: int = key(10_000, 'training images, at most, evenly spread; 0 for all: an epoch', at_least=0)

  needs = (HasCodes, Reconstructs, MeasuresImages)
  needs_test = True

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of the numbers by which models can be ranked."""
    of_images = per_image_scores('codebook', spec, family)
    return (*of_images, 'psnr', *(['ssim'] if min(spec.image_shape[:2]) >= _SMALLEST_FOR_SSIM else []))

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured on test images: the means of the model's `eval_step`, `psnr` in dB and `ssim`.

    `mse` is per pixel in [-1, 1]. Codes of test images, and of training images as `train_...`, are counted by `use`.
    """
    images, labels = splits.test_set.images, splits.test_set.labels
    if self.num_images:
      images, labels = images[:self.num_images], labels[:self.num_images]
    table = model.eval_step(images, labels, seed)
    reconstructions, size = model.reconstruct(images), model.family.codebook_size
    numbers = {name: float(values.mean(dtype=np.float64)) for name, values in table.items()}
    numbers['psnr'] = float(reconstruction_quality.psnr(images, reconstructions).mean())
    if min(images.shape[1:3]) >= _SMALLEST_FOR_SSIM:
      numbers['ssim'] = float(reconstruction_quality.ssim(images, reconstructions).mean())
    train = use(model.codes(self._of_training(splits.train.images)), size)
    return Measured({
        **numbers, **use(model.codes(images), size), **{f'train_{name}': value for name, value in train.items()},
        'codes_per_image': model.family.codes_per_image, 'codebook_size': size,
        'bits_per_image': model.family.codes_per_image * float(np.log2(size))})

  def _of_training(self, images):
    count = min(self.num_train_images or len(images), len(images))
    return images[np.arange(count) * len(images) // count]


def use(codes: Int[np.ndarray, 'n N'], size: int) -> dict[str, float]:
  """How codes int [n, N] use a codebook of `size`, over all n images, not averaged over batches.

  Returns:
    perplexity: exp of the entropy of the codes, from 1, a single code, to `size`, uniform use.
    dead_share: the share of codes that no image has.
    entropy_bits_per_image: N times that entropy: the bits of an ideal code for independent symbols with these
      frequencies.
    usage: how many times each code occurs.
    num_images: n.
  """
  counts = np.bincount(codes.ravel(), minlength=size)
  entropy = float(scipy.stats.entropy(counts))
  return {'perplexity': float(np.exp(entropy)), 'dead_share': float((counts == 0).mean()),
          'entropy_bits_per_image': codes.shape[1] * entropy / float(np.log(2)), 'usage': counts.tolist(),
          'num_images': len(codes)}
