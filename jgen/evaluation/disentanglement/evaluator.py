"""The evaluator: encodes images with known factors once and computes all five scores from the codes."""

import dataclasses
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from jgen.data.spec import Spec, Splits
from jgen.errors import UserError
from jgen.evaluation.base import Evaluator
from jgen.evaluation.disentanglement.beta_vae_score import beta_vae_score
from jgen.evaluation.disentanglement.dci import dci
from jgen.evaluation.disentanglement.factor_vae_score import factor_vae_score
from jgen.evaluation.disentanglement.mutual_information_gap import mutual_information_gap
from jgen.evaluation.disentanglement.sap import separated_attribute_predictability
from jgen.evaluation.measured import Measured
from jgen.families.base import Family
from jgen.families.contracts import Encodes
from jgen.families.model import Model
from jgen.keys import key

_PART = 8_192                           # images gathered at a time


@dataclasses.dataclass(frozen=True)
class Disentanglement(Evaluator):
  """MIG, FactorVAE score, beta-VAE score, DCI and SAP of the posterior means of training images."""

  num_images: int = key(50_000, 'largest number of encoded training images; 0 for all, as published', at_least=0)
  num_train: int = key(10_000, 'those of them used for MIG and to train the classifiers of DCI and SAP', at_least=100)
  num_test: int = key(5_000, 'others of them, used to test DCI and SAP', at_least=1)
  num_bins: int = key(20, 'MIG: bins of each latent', at_least=2)
  num_train_batches: int = key(10_000, 'FactorVAE and beta-VAE score: training batches with one factor fixed',
                               at_least=100)
  num_test_batches: int = key(5_000, 'FactorVAE and beta-VAE score: test batches', at_least=1)
  batch_size: int = key(64, 'images, or pairs of images, per such batch', at_least=2)
  num_trees: int = key(100, 'DCI: boosting stages', at_least=1)

  needs = (Encodes,)

  def check(self, spec: Spec, family: Any) -> None:
    """Raises UserError if the factors of the images are not known, or there are too few images or latents."""
    where = 'config.evaluators.disentanglement'
    if not spec.has_factors or sum(len(annotation.values) > 1 for annotation in spec.annotations) < 2:
      raise UserError(f"{where}: the factors of the images of data set '{spec.name}' are not known; "
                      "at least 2 that vary are needed; use 'sprites' or 'dsprites', or remove the evaluator")
    if family.latent_size < 2:
      raise UserError(f'{where}: compares latents, but config.model.latent_size is {family.latent_size}; raise it or '
                      'remove the evaluator')
    if 0 != self.num_images < self.num_train + self.num_test:
      raise UserError(f'{where}.num_images is {self.num_images}, fewer than num_train + num_test = '
                      f'{self.num_train + self.num_test}; set that or more, or 0 for all images')

  def check_data(self, splits: Splits) -> None:
    """Raises UserError if fewer than 2 factors vary among the images."""
    _varying(splits.train.spec, splits.train.annotations)

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of the numbers by which models can be ranked."""
    del spec, family
    return ('mig', 'factor_vae_score', 'beta_vae_score', 'dci_disentanglement', 'dci_completeness',
            'dci_informativeness', 'sap')

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the numbers of each score, the factors, and the numbers of images.

    Raises UserError as `check_data` does, for the selected images.
    """
    dataset = splits.train
    assert dataset.annotations is not None   # ensured by `check_data`
    drawing, voting, pairing = np.random.default_rng(seed).spawn(3)
    images, train, test = self.draw(len(dataset.images), drawing)
    names, factors, left_out = _varying(dataset.spec, dataset.annotations[images], train)
    codes = _encode(model, dataset.images, images)
    fitting = codes[train], factors[train], codes[test], factors[test]
    batches = self.num_train_batches, self.num_test_batches, self.batch_size
    # DCI already uses one thread per core; linear algebra must not start more.
    with threadpool_limits(1):
      return Measured(
          {'factors': names, 'factors_left_out': left_out, 'num_images': len(images)}
          | mutual_information_gap(codes[train], factors[train], self.num_bins)
          | factor_vae_score(codes, factors, *batches, voting)
          | beta_vae_score(codes, factors, *batches, pairing)
          | dci(*fitting, self.num_trees)
          | separated_attribute_predictability(*fitting))

  def draw(self, num_images: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three int arrays: sorted indices of the images to encode, and which of these train and test.

    If a data set is too small for `num_train` and `num_test`, all images are used, in the same proportion.
    """
    count = min(self.num_images or num_images, num_images)
    images = np.sort(random.permutation(num_images)[:count])
    share = min(1, count / (self.num_train + self.num_test))
    num_test = max(1, int(share * self.num_test))
    num_train = min(self.num_train, count - num_test)
    order = random.permutation(count)
    return images, order[:num_train], order[num_train:num_train + num_test]


def _varying(spec, annotations, among=slice(None)):
  """Names of the factors that vary among the given images, their columns [n, F] for all, and the other names."""
  varies = np.ptp(annotations[among], axis=0) > 0
  names = np.array([annotation.name for annotation in spec.annotations])
  if varies.sum() < 2:
    raise UserError(f'config.evaluators.disentanglement: of the factors of {spec.name}, {varies.sum()} vary among '
                    f'{len(annotations[among]):,} images; at least 2 are needed; use more images')
  return names[varies].tolist(), annotations[:, varies], names[~varies].tolist()


def _encode(model, images, chosen):
  """Posterior means float32 [n, Z] of the selected images."""
  parts = [chosen[start:start + _PART] for start in range(0, len(chosen), _PART)]
  return np.concatenate([model.encode(images[part])[0] for part in parts])
