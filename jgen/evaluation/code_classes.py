"""How well a code that was learned without labels matches the classes of the images."""

import dataclasses
import functools
from typing import Any

import numpy as np

from jgen.data.spec import Spec, Splits
from jgen.errors import UserError
from jgen.evaluation.base import Evaluator
from jgen.evaluation.class_consistency import ClassConsistency
from jgen.evaluation.measured import Measured
from jgen.evaluation.pictures.code_grid import random_codes
from jgen.evaluation.shared import check_at_least
from jgen.families.base import Family
from jgen.families.contracts import SamplesCodes
from jgen.families.model import Model
from jgen.keys import key


@dataclasses.dataclass(frozen=True)
class CodeClasses(Evaluator):
  """Normalised mutual information of each categorical code with the classes predicted by a classifier."""

  num_real: int = key(5_000, 'labelled real images, at most; 4/5 train the classifier, 1/5 test it', at_least=1)
  num_generated: int = key(1_000, 'images generated from random codes', at_least=1)

  needs = (SamplesCodes,)

  def check(self, spec: Spec, family: Any) -> None:
    """Raises UserError if there are no classes, no categorical code, or too few images."""
    check_at_least('code_classes', self, num_real=2 * max(spec.num_classes, 1))
    if spec.num_classes < 2:
      raise UserError(f"config.evaluators.code_classes: data set '{spec.name}' has no labels to compare codes with; "
                      'remove the evaluator or use labelled images')
    if not family.latent_codes.categorical:
      raise UserError('config.evaluators.code_classes: the model has no categorical code; set '
                      'config.model.codes.categorical to 1 or more, or remove the evaluator')

  def check_data(self, splits: Splits) -> None:
    """Raises UserError if a class has too few images."""
    self.classes.check_data(splits)

  @functools.cached_property
  def classes(self) -> ClassConsistency:
    """The evaluator whose classifier is used."""
    return ClassConsistency(self.num_real, self.num_generated)

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of the numbers by which models can be ranked."""
    del spec, family
    return ('nmi',)

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the information in [0, 1] of the most informative code, and of each code; 1 means one class per value.

    It is normalised by the mean of the two entropies (scikit-learn's). `class_shares` refer to the generated images.
    """
    from sklearn.metrics import normalized_mutual_info_score
    classifier, codes = self.classes.classifier(splits.train), model.family.latent_codes
    codes_drawn = random_codes(codes, self.num_generated)
    predicted = classifier.classify(model.sample_codes(codes_drawn, seed))
    scores = [float(normalized_mutual_info_score(codes_drawn[:, k], predicted)) for k in range(codes.categorical)]
    return Measured({
        'nmi': max(scores), 'nmi_per_code': scores, 'best_code': int(np.argmax(scores)),
        'class_shares': (np.bincount(predicted, minlength=splits.train.spec.num_classes) / len(predicted)).tolist(),
        'classifier_accuracy': classifier.accuracy, 'num_generated': len(predicted),
        'classifier': classifier.description})
