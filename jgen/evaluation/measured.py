"""What an evaluator gives back."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from jgen.images.grids import Grid


@dataclasses.dataclass(frozen=True)
class Measured:
  """Numbers, and where there are any pictures and a receipt."""

  numbers: Mapping[str, Any]            # plain numbers, strings and lists, ready for JSON
  grids: Mapping[str, Grid] = dataclasses.field(default_factory=dict)
  receipt: Mapping[str, Any] = dataclasses.field(default_factory=dict)   # how was measured, see jgen.run.receipt
