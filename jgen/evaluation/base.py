"""The interface of evaluators."""

import typing

from jgen.data.spec import Spec, Splits
from jgen.evaluation.measured import Measured
from jgen.families.base import Family
from jgen.families.model import Model


class Evaluator:
  """Measures a model. A subclass is a frozen dataclass whose fields are the keys of its section of a config.

  The keys are declared as in `jgen.keys`. Every result is stored with a receipt (`jgen.run.receipt`), by which runs are
  comparable or not: the one that `measure` returns, else the values of all keys and the hashes of all images.
  """

  needs: typing.ClassVar[tuple[type, ...]] = ()   # protocols of `jgen.families.contracts` that the family must follow
  of_images: typing.ClassVar[bool] = False   # whether it calls only `sample_parts`, so that it can measure any images

  @property
  def needs_test(self) -> bool:
    """Whether it needs test images; a subclass that always does sets `needs_test = True`."""
    return False

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError if it is not applicable to the data set or the family; called before training."""

  def check_data(self, splits: Splits) -> None:
    """Raises UserError if it is not applicable to the images; called before training."""

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of its numbers by which models can be ranked: the entries of `jgen.run.scores.KINDS` that it measures."""
    del spec, family
    return ()

  def stand_ins(self) -> 'dict[str, Evaluator]':
    """{name: evaluator} that replace it if it cannot measure; {} if it can, or if there is no replacement."""
    return {}

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measures a model: its numbers, pictures and receipt."""
    raise NotImplementedError
