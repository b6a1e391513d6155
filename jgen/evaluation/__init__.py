"""The evaluators of a model, used during training and on checkpoints.

Their interface is `jgen.evaluation.base.Evaluator`.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from jgen import keys
from jgen.data.spec import Spec, Splits
from jgen.errors import UserError, choose
from jgen.evaluation.base import Evaluator
from jgen.evaluation.class_consistency import ClassConsistency
from jgen.evaluation.code_classes import CodeClasses
from jgen.evaluation.codebook import Codebook
from jgen.evaluation.critic_outputs import CriticOutputs
from jgen.evaluation.disentanglement import Disentanglement
from jgen.evaluation.diversity import Diversity
from jgen.evaluation.features.feature_scores import ClassifierFeatures, InceptionFeatures, RandomFeatures
from jgen.evaluation.ledger import Ledger
from jgen.evaluation.pictures.attribute_pairs import AttributePairs
from jgen.evaluation.pictures.code_grid import CodeGrid
from jgen.evaluation.pictures.interpolations import Interpolations
from jgen.evaluation.pictures.latent_interpolations import LatentInterpolations
from jgen.evaluation.pictures.nearest_images import NearestImages
from jgen.evaluation.pictures.reconstructions import Reconstructions
from jgen.evaluation.pictures.traversals import Traversals
from jgen.evaluation.reconstruction_quality import ReconstructionQuality
from jgen.evaluation.test_loss import TestLoss
from jgen.evaluation.tsne import Tsne
from jgen.families import contracts
from jgen.families.base import Family

EVALUATORS: dict[str, type[Evaluator]] = {
    'attribute_pairs': AttributePairs,
    'class_consistency': ClassConsistency,
    'code_classes': CodeClasses,
    'code_grid': CodeGrid,
    'classifier_features': ClassifierFeatures,
    'codebook': Codebook,
    'critic_outputs': CriticOutputs,
    'disentanglement': Disentanglement,
    'diversity': Diversity,
    'inception_features': InceptionFeatures,
    'interpolations': Interpolations,
    'latent_interpolations': LatentInterpolations,
    'ledger': Ledger,
    'nearest_images': NearestImages,
    'random_features': RandomFeatures,
    'reconstruction_quality': ReconstructionQuality,
    'reconstructions': Reconstructions,
    'test_loss': TestLoss,
    'traversals': Traversals,
    'tsne': Tsne,
}


def default_section(name: str) -> ConfigDict:
  """The section `config.evaluators.<name>` of an evaluator, with the defaults of its keys."""
  return keys.default(choose('evaluators', name, EVALUATORS))


def create(sections: Mapping[str, Any], spec: Spec, family: Family,
           has_test: bool = False) -> dict[str, Evaluator]:
  """The evaluators {name: evaluator} of the config `sections` {name: section} for a data set and a model.

  Raises UserError for an unknown evaluator, for unknown keys, and if an evaluator is not applicable
  to the data set of `spec`, with or without test images, or to the Family.
  """
  evaluators: dict[str, Evaluator] = {}
  for name, section in sections.items():
    evaluator = _build(name, section)
    evaluators |= evaluator.stand_ins() or {name: evaluator}
  for name, evaluator in evaluators.items():
    _check_needs(name, evaluator, family, has_test)
    evaluator.check(spec, family)
  return evaluators


def scores_of(evaluators: Mapping[str, Evaluator], spec: Spec, family: Family) -> list[str]:
  """The scores '<evaluator>/<entry>' of the evaluators {name: evaluator} by which models can be ranked."""
  return [f'{name}/{entry}' for name, evaluator in evaluators.items()
          for entry in evaluator.scores(spec, family)]


def check_data(evaluators: Mapping[str, Evaluator], splits: Splits) -> None:
  """Raises UserError if one of the evaluators {name: evaluator} is not applicable to the images."""
  for evaluator in evaluators.values():
    evaluator.check_data(splits)


def _check_needs(name, evaluator, family, has_test):
  missing = [method for need in evaluator.needs for method in contracts.missing(family, need)]
  if missing:
    raise UserError(f"config.evaluators.{name}: needs a model that can {' and '.join(missing)}, which a "
                    f'{type(family).__name__} cannot; remove the evaluator or use another model')
  if evaluator.needs_test and not has_test:
    raise UserError(f'config.evaluators.{name}: needs test images, but config.data.test_splits names none; '
                    "name some, for example --config.data.test_splits='(\"test\",)', or remove the evaluator")


def _build(name, section):
  return keys.read(choose('evaluators', name, EVALUATORS), section, f'config.evaluators.{name}')
