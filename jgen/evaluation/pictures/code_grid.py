"""The effect of each code of an InfoGAN on images."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from jaxtyping import Float, UInt8
import numpy as np

from jgen.data.spec import Splits
from jgen.evaluation.base import Evaluator
from jgen.evaluation.measured import Measured
from jgen.evaluation.pictures.attribute_pairs import change
from jgen.families.contracts import SamplesCodes
from jgen.families.model import Model
from jgen.images.grids import Grid
from jgen.keys import key
from jgen.losses.information import LatentCodes

_DRAW_SEED = 0            # the same values of all other codes at every step, so that pictures compare


@dataclasses.dataclass(frozen=True)
class CodeGrid(Evaluator):
  """One picture per code: its values vary along a row, while the noise and all other codes are fixed."""

  num_rows: int = key(10, 'rows: different noise and values of the other codes', at_least=1)
  num_values: int = key(11, 'columns for a continuous code, evenly from -1 to 1; categorical codes have one per value',
                        at_least=2)

  needs = (SamplesCodes,)

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the pictures, and the change by each code.

    `change_by_code` is a root mean square, in [-1, 1], of differences from the mean image of a row, one per code.
    """
    codes = model.family.latent_codes
    kinds = (('categorical', range(codes.categorical), np.arange(codes.values)),
             ('continuous', range(codes.categorical, codes.size), np.linspace(-1, 1, self.num_values)))
    grids, changes = {}, []
    for kind, numbers, values in kinds:
      for number, images in zip(numbers, self.varied(model, numbers, values, seed), strict=True):
        changes.append(change(images, axis=1))
        grids[f'code_grid_{number}'] = Grid(
            images.reshape(-1, *images.shape[2:]), len(values), column_names=tuple(f'{value:.3g}' for value in values),
            title=f'{kind} code {number} from {values[0]:g} to {values[-1]:g}; all else is fixed in a row')
    return Measured({'change_by_code': changes}, grids)

  def varied(self, model: Model, numbers: Sequence[int], values: Any,
             seed: int) -> UInt8[np.ndarray, 'codes rows values H W C']:
    """Images [codes, rows, values, H, W, C]: in each row the code with this number takes these values."""
    if not numbers:
      return np.zeros((0, 0, 0, 0, 0, 0), np.uint8)
    rows = np.tile(random_codes(model.family.latent_codes, self.num_rows), (len(numbers), 1, 1))
    columns = []
    for value in values:
      for i, number in enumerate(numbers):
        rows[i, :, number] = value
      # The noise depends on the seed and an image's position in a call: it is the same in every column.
      columns.append(model.sample_codes(rows.reshape(-1, rows.shape[-1]), seed))
    images = np.stack(columns, axis=1)
    return images.reshape(len(numbers), self.num_rows, *images.shape[1:])


def random_codes(codes: LatentCodes, count: int) -> Float[np.ndarray, 'count _']:
  """Codes float32 [count, M + N] of `LatentCodes`, drawn from their prior, the same at every call."""
  rng = np.random.default_rng(_DRAW_SEED)
  categorical = rng.integers(0, codes.values, (count, codes.categorical)) if codes.categorical else np.zeros((count, 0))
  return np.concatenate([categorical, rng.uniform(-1, 1, (count, codes.continuous))], axis=1).astype(np.float32)
