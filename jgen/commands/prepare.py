"""--mode=prepare: prepares the images of a config before training, and describes them."""

import json
from pathlib import Path
import time

from ml_collections import ConfigDict
import numpy as np

from jgen import data
from jgen.data import cache
from jgen.data.spec import Dataset
from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.progress import duration

_MAX_LINES = 50                         # annotations, and skipped files, that are listed


def run(config: ConfigDict, workdir: Path, command: str) -> None:
  """Reads, checks, crops, resizes and stores the images of `config.data`, training and test splits.

  Prints counts, rates, skipped files and the folder of the result; reads the stored images again and compares them
  with the checksums from when they were written.

  Ctrl-C and kills lose little: the same command continues where it stopped. Training prepares images itself if
  they are not prepared.

  Raises:
    UserError: as `data.load`; also if it is interrupted.
  """
  del workdir
  start = time.monotonic()
  try:
    splits = data.load_splits(config.data)
  except KeyboardInterrupt as error:
    raise UserError(f'stopped; what is prepared is kept, continue with: {command}') from error
  for dataset in filter(None, (splits.train, splits.test)):
    terminal.say('\n'.join([summary(dataset), *verified(cache.folder_of(dataset.images))]))
  terminal.say(f'done in {duration(time.monotonic() - start)}')


def verified(folder: Path | None) -> list[str]:
  """[a line about the comparison of a prepared folder with its checksums]; [] if nothing is stored."""
  if folder is None:
    return []
  start = time.monotonic()
  num_bytes = cache.verify(folder)
  return [f'verified: {num_bytes / 1e9:.2f} GB in {duration(time.monotonic() - start)}']


def summary(dataset: Dataset) -> str:
  """A description of the prepared images, line by line."""
  spec = dataset.spec
  size = ' x '.join(map(str, spec.image_shape))
  lines = [f'{spec.name}: {len(dataset.images):,} images of {size} from {dataset.source}']
  lines += [f'  {note}' for note in dataset.notes]
  for column, annotation in enumerate(spec.annotations[:_MAX_LINES]):
    assert dataset.annotations is not None   # they have one column for each annotation of the Spec
    counts = np.bincount(dataset.annotations[:, column], minlength=len(annotation.values))
    lines.append(f'  {annotation.name}: {_rates(annotation.values, counts)}')
  if len(spec.annotations) > _MAX_LINES:
    lines.append(f'  and {len(spec.annotations) - _MAX_LINES} more annotations')
  lines.append(f'labels: {spec.num_classes} classes' if spec.num_classes else
               'labels: none' + ('; --config.data.label=NAME selects an annotation' if spec.annotations else ''))
  folder = cache.folder_of(dataset.images)
  if folder is None:
    return '\n'.join([*lines, 'small enough to be prepared in memory each time: nothing is stored'])
  skipped = json.loads((folder / 'manifest.json').read_text())['skipped']
  lines += [f'skipped: {len(skipped):,}' + (', all in manifest.json' if len(skipped) > _MAX_LINES else '')]
  lines += [f"  {entry['file']}: {entry['why']}" for entry in skipped[:_MAX_LINES]]
  return '\n'.join([*lines, f'stored in {folder}'])


def _rates(values, counts):
  """'no 51.9 %, yes 48.1 %', or for many values the range of their counts."""
  if len(values) > _MAX_LINES:
    return f'{len(values)} values of {counts.min():,} to {counts.max():,} images'
  return ', '.join(f'{value} {share:.1%}' for value, share in zip(values, counts / counts.sum(), strict=True))
