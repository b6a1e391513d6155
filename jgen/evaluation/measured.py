"""The result of an evaluator."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from jgen.images.grids import Grid


@dataclasses.dataclass(frozen=True)
class Measured:
  """Numbers, with optional pictures and, for some evaluators, a receipt of their own."""

  numbers: Mapping[str, Any]            # plain numbers, strings and lists, ready for JSON
  grids: Mapping[str, Grid] = dataclasses.field(default_factory=dict)
  receipt: Mapping[str, Any] = dataclasses.field(default_factory=dict)   # how it was measured: jgen.run.receipt
