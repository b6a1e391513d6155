"""The contract of evaluators."""

import typing

from jgen.data.spec import Spec, Splits
from jgen.evaluation.measured import Measured
from jgen.families.base import Family
from jgen.families.model import Model


class Evaluator:
  """Measures a model. A subclass is a frozen dataclass whose fields are the keys of its section of a config.

  The keys are declared as in `jgen.keys`. Numbers of an evaluator can be ranked among runs where `measure` gives them a
  receipt (`jgen.run.receipt`).
  """

  needs: typing.ClassVar[tuple[type, ...]] = ()   # protocols of `jgen.families.contracts` that the family must follow
  of_images: typing.ClassVar[bool] = False   # whether it calls nothing but `sample_parts`, so can measure any images

  @property
  def needs_test(self) -> bool:
    """Whether it measures on test images; a subclass that always does says `needs_test = True`."""
    return False

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError where it cannot serve the data set or the family; called before anything is trained."""

  def check_data(self, splits: Splits) -> None:
    """Raises UserError where it cannot serve the images; called before anything is trained."""

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of its numbers that rank models: the entries of `jgen.run.scores.KINDS` that it measures."""
    del spec, family
    return ()

  def stand_ins(self) -> 'dict[str, Evaluator]':
    """{name: evaluator} that measure in its place where it cannot; {} where it can, or where nothing can."""
    return {}

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """The numbers, pictures and receipt of a model."""
    raise NotImplementedError
