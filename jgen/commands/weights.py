"""--mode=weights: converts published Inception weights, or a folder of layers, to one file of plain arrays."""

from collections.abc import Sequence
from pathlib import Path

from jgen.errors import UserError
from jgen.evaluation.features.feature_spaces import default_weights
from jgen.host import terminal
from jgen.networks.inception import weights as inception_weights


def run(paths: Sequence[Path], workdir: Path | None = None) -> None:
  """Checks the weights at the first path and writes them to the second, by default to where evaluators expect them.

  Raises:
    UserError: not one or two paths; the weights are missing, damaged, or not the published ones.
  """
  del workdir
  if len(paths) not in (1, 2):
    raise UserError('--mode=weights takes a file or folder of weights and, optionally, a target other than the data '
                    f'cache; {inception_weights.FETCH}')
  source, target = paths[0], paths[-1] if len(paths) > 1 else default_weights()
  if target.suffix != '.npz':
    raise UserError(f'{target}: weights are written as .npz; name a file with this suffix')
  weights = inception_weights.load(source)
  inception_weights.save(weights, target)
  terminal.say(f"Inception as far as '{weights.depth}', sha256 {weights.sha256}\nwritten to {target}")
