"""Prepares the images that a config names, and says what they are."""

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

_MAX_LINES = 50                         # annotations, and values of one, that are listed one by one


def run(config: ConfigDict, workdir: Path, command: str) -> None:
  """Reads, checks, crops, resizes and keeps `config.data`: what is trained on, and what is measured on.

  Prints counts, rates, what was skipped, and where it is; reads what is kept once more and compares it with the
  checksums of when it was made.

  Ctrl-C and kills lose little: the same command goes on where it stopped. Training does the same by itself where
  nothing is prepared.

  Raises:
    UserError: as `data.load`; it was stopped.
  """
  del workdir
  start = time.monotonic()
  try:
    splits = data.load_splits(config.data)
  except KeyboardInterrupt as error:
    raise UserError(f'stopped; what is prepared is kept, go on with: {command}') from error
  for dataset in filter(None, (splits.train, splits.test)):
    terminal.say('\n'.join([summary(dataset), *verified(cache.folder_of(dataset.images))]))
  terminal.say(f'done in {duration(time.monotonic() - start)}')


def verified(folder: Path | None) -> list[str]:
  """[a line about the comparison of a prepared folder with its checksums], [] where nothing is kept."""
  if folder is None:
    return []
  start = time.monotonic()
  num_bytes = cache.verify(folder)
  return [f'verified: {num_bytes / 1e9:.2f} GB in {duration(time.monotonic() - start)}']


def summary(dataset: Dataset) -> str:
  """What was prepared, line by line."""
  spec = dataset.spec
  size = ' x '.join(map(str, spec.image_shape))
  lines = [f'{spec.name}: {len(dataset.images):,} images of {size} from {dataset.source}']
  lines += [f'  {note}' for note in dataset.notes]
  for column, annotation in enumerate(spec.annotations[:_MAX_LINES]):
    assert dataset.annotations is not None   # they have a column for each of the Spec's
    counts = np.bincount(dataset.annotations[:, column], minlength=len(annotation.values))
    lines.append(f'  {annotation.name}: {_rates(annotation.values, counts)}')
  if len(spec.annotations) > _MAX_LINES:
    lines.append(f'  and {len(spec.annotations) - _MAX_LINES} annotations more')
  lines.append(f'labels: {spec.num_classes} classes' if spec.num_classes else
               'labels: none' + ('; --config.data.label=NAME takes an annotation' if spec.annotations else ''))
  folder = cache.folder_of(dataset.images)
  if folder is None:
    return '\n'.join([*lines, 'it is small enough to be made in memory each time: nothing is kept'])
  skipped = json.loads((folder / 'manifest.json').read_text())['skipped']
  lines += [f'skipped: {len(skipped):,}' + (', all in manifest.json' if len(skipped) > _MAX_LINES else '')]
  lines += [f"  {entry['file']}: {entry['why']}" for entry in skipped[:_MAX_LINES]]
  return '\n'.join([*lines, f'kept in {folder}'])


def _rates(values, counts):
  """'no 51.9 %, yes 48.1 %', or for many values how many images they have."""
  if len(values) > _MAX_LINES:
    return f'{len(values)} values of {counts.min():,} to {counts.max():,} images'
  return ', '.join(f'{value} {share:.1%}' for value, share in zip(values, counts / counts.sum(), strict=True))
