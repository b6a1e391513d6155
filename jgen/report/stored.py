"""Reads the contents of a run folder for the report."""

import csv
import dataclasses
import json
from pathlib import Path
import re

from jgen.errors import UserError
from jgen.run import scores
from jgen.run.description import MODEL, ORIGIN
from jgen.run.folder import read_config
from jgen.run.records import Record, read_record

# Pictures of evaluations, {name in an earlier version: current name}.
_RENAMED = {'trusted_most_and_least': 'best_and_worst_samples'}


@dataclasses.dataclass(frozen=True)
class Stored:
  """The stored contents of a run folder; fields that an earlier version did not store are empty."""

  folder: Path
  config: dict                          # nested
  record: Record
  evaluations: list[scores.Evaluation]  # in the order of their steps
  starts: list[dict]                    # of environment.json
  spec: dict                            # of spec.json
  model: dict                           # of model.json
  origin: dict                          # of origin.json
  findings: list[dict] | None           # rows of doctor.csv; None if there is no such file

  @classmethod
  def read(cls, folder: str | Path) -> 'Stored':
    """Reads a run folder; raises UserError if it holds no run, or if one of its files is damaged."""
    folder = Path(folder)
    config = read_config(folder)
    return cls(folder, config, read_record(folder), scores.read_all(folder),
               _json(folder / 'environment.json').get('starts', []), _json(folder / 'spec.json'),
               _json(folder / MODEL), _json(folder / ORIGIN), _findings(folder / 'doctor.csv'))

  @property
  def name(self) -> str:
    return self.folder.absolute().name

  @property
  def step(self) -> int:
    """The last step for which anything is stored."""
    logged = [int(steps[-1]) for steps, _ in self.record.series.values()]
    pictures = [step for step, _ in self.pictures().values()]
    return max([*logged, *pictures, *(evaluation.step for evaluation in self.evaluations)], default=0)

  def epochs(self, step: int) -> float | None:
    """How often each training image was seen up to `step`; None if that was not stored."""
    images, batches = self.spec.get('num_train_images'), self.model.get('batches_per_step')
    return step * batches * self.config['batch_size'] / images if images and batches else None

  def pictures(self) -> dict[str, tuple[int, Path]]:
    """{name: (step, path)} of the last picture of each kind: see `last_pictures`."""
    return last_pictures(self.folder)


def last_pictures(folder: Path) -> dict[str, tuple[int, Path]]:
  """{name: (step, path)} of the last 'samples' in a run folder, and of the last pictures of evaluations by name."""
  found: dict[str, tuple[int, Path]] = {}
  for path in [*folder.glob('samples/*.png'), *folder.glob('evaluation/*.png')]:
    match = re.fullmatch(r'(?:([^.].*)_)?step_(\d+)', path.stem)
    if match:
      name = _RENAMED.get(match[1], match[1] or 'samples')
      found[name] = max(found.get(name, (0, path)), (int(match[2]), path))
  return found


def _json(path):
  """The JSON object of a file, {} if there is none; raises UserError if it is damaged."""
  try:
    value = json.loads(path.read_text('utf-8'))
  except FileNotFoundError:
    return {}
  except ValueError:
    value = None
  if not isinstance(value, dict):
    raise UserError(f'{path}: damaged; delete it, and the report is written without it')
  return value


def _findings(path):
  """The rows of doctor.csv, without an incomplete last line."""
  if not path.exists():
    return None
  lines = path.read_text('utf-8', 'replace').split('\n')[:-1]
  return [row for row in csv.DictReader(lines) if None not in row and None not in row.values()]
