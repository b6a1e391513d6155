"""What a model's images are measured by, during training and on a checkpoint.

The contract of an evaluator, a frozen dataclass whose fields are the keys of the section of its name
in `configs/common.py`:
  `check(spec, num_classes)` raises UserError where it cannot serve the data set, or a model whose samples follow
  `num_classes` labels, before anything is trained;
  `measure(generate, dataset, seed) -> dict` of plain numbers, strings and lists, ready for JSON, where
  `generate(labels int32 [n], seed) -> uint8 [n, H, W, C]` draws images of those classes from the model
  and `dataset` is a `jgen.data.spec.Dataset`.
"""

import dataclasses

from jgen.errors import UserError, choose, nearest
from jgen.evaluation.class_consistency import ClassConsistency

EVALUATORS = {'class_consistency': ClassConsistency}


def create(sections, spec, num_classes):
  """The evaluators {name: evaluator} of the config `sections` {name: section} for the data set of `spec`
  and a model whose samples follow `num_classes` labels (0: none).

  Raises UserError on an unknown evaluator, on keys that are not the evaluator's, and where an evaluator
  cannot serve the data set or the model.
  """
  evaluators = {name: _build(name, section) for name, section in sections.items()}
  for evaluator in evaluators.values():
    evaluator.check(spec, num_classes)
  return evaluators


def _build(name, section):
  evaluator = choose('evaluators', name, EVALUATORS)
  keys = [field.name for field in dataclasses.fields(evaluator)]
  for key in section:
    if key not in keys:
      raise UserError(f"config.evaluators.{name}: key '{key}' is not known; {nearest(key, keys)}")
  for key in keys:
    if key not in section:
      raise UserError(f"config.evaluators.{name}: key '{key}' is missing; start from common.{name}()")
  return evaluator(**section)
