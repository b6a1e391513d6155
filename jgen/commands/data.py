"""--mode=data: summarises a data set in numbers and one picture of images, unchanged and augmented."""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from jaxtyping import Int
from ml_collections import ConfigDict
import numpy as np
from PIL import Image

from jgen import data
from jgen.augmentation import images as augmentation
from jgen.data.spec import Dataset
from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import OUTPUT_MARK, expanded, mark_output, replacing
from jgen.images.fonts import legible
from jgen.images.grids import compose_grid, headed
from jgen.images.pixels import to_float, to_pixels
from jgen.parallel import AXIS
from jgen.shapes import PixelMap, Pixels

SIDE = 8                                # rows and columns of each half
GAP = 24                                # white pixels between the halves
MAX_LISTED = 20                         # classes whose counts are listed


def run(config: ConfigDict, workdir: Path, command: str) -> None:
  """Summarises the data set of `config.data` and writes data.png to `workdir`, which need not hold a run.

  Raises:
    UserError: the data set or the augmentation is not available.
  """
  del command
  augment = augmentation.create(config.augmentation)
  _check_folder(workdir, config.data.dir)
  dataset = data.load(config.data)
  terminal.say(table(dataset))
  mark_output(workdir)
  path = workdir / 'data.png'
  with replacing(path) as temporary:
    Image.fromarray(picture(dataset, augment, config.seed)).save(temporary, format='PNG')
  terminal.say(f'{SIDE * SIDE} images, and the same augmented ({settings_text(augment)}): {path}')


def _check_folder(workdir, data_dir):
  """Raises UserError if the picture would be written among the images of the data set."""
  if not data_dir or not workdir.is_dir() or (workdir / 'config.json').exists() or (workdir / OUTPUT_MARK).exists():
    return
  if workdir.resolve().is_relative_to(expanded(data_dir).resolve()) and next(workdir.iterdir(), None) is not None:
    raise UserError(f'{workdir} is inside the folder config.data.dir and holds files; data.png would become an '
                    'image of the data set: name another --workdir')


def settings_text(augment: Callable) -> str:
  """The settings of an augmentation as text."""
  return 'config.augmentation is off' if augment is augmentation.unchanged else ', '.join(
      f'{key.replace("_", " ")} {value:g}' for key, value in vars(augment).items())


# ------------------------------------------------------------------------------------------- numbers


def table(dataset: Dataset) -> str:
  """Lines about the number, shape and source of images, the classes, and each annotation."""
  spec = dataset.spec
  lines = [f'{spec.name}: {len(dataset.images):,} images of {"x".join(map(str, spec.image_shape))}',
           f'source: {dataset.source}',
           'classes: ' + (_counts(dataset.labels, spec.label_names) if spec.num_classes else 'none')]
  lines += dataset.notes
  if dataset.annotations is not None:
    lines += [f'{annotation.name}: {_distribution(column, annotation.values)}'
              for annotation, column in zip(spec.annotations, dataset.annotations.T, strict=True)]
  return '\n'.join(lines)


def _counts(column, values):
  if len(values) > MAX_LISTED:
    return _distribution(column, values)
  return ', '.join(f'{value} {count:,}' for value, count in zip(values, _bins(column, values), strict=True))


def _distribution(column, values):
  """The frequencies of values: the rate of the second of two values, the range of counts of three or more."""
  counts = _bins(column, values)
  if len(values) == 2:
    return f'{values[1]} {counts[1] / len(column):.1%}'
  images_each = f'{counts.min():,}' + (f' to {counts.max():,}' if counts.max() > counts.min() else '')
  ends = f' ({values[0]} to {values[-1]})' if len(values) > 1 else f' ({values[0]})'
  return f'{len(values)} value{"s" * (len(values) > 1)}{ends}, {images_each} images each'


def _bins(column, values):
  return np.bincount(column, minlength=len(values))


# ------------------------------------------------------------------------------------------- picture


def picture(dataset: Dataset, augment: Callable, seed: int) -> PixelMap:
  """Both halves, uint8 [height, width, 3], with headings; a row shows a single class if there are classes."""
  rows, names = choose(dataset, seed)
  plain = dataset.images[rows]
  original = headed(compose_grid(plain, SIDE, names), 'unchanged')
  changed = headed(compose_grid(augmented(plain, augment, seed), SIDE), settings_text(augment))
  return np.concatenate([original, np.full((len(original), GAP, 3), 255, np.uint8), changed], axis=1)


def choose(dataset: Dataset, seed: int) -> tuple[Int[np.ndarray, ' n'], Sequence[str]]:
  """Indices of the images to show, int64 [SIDE^2], row by row, and the rows' names: SIDE evenly spaced classes."""
  rng = np.random.default_rng(seed)
  if not dataset.spec.num_classes:
    return _sample(rng, np.arange(len(dataset.images)), SIDE * SIDE), ()
  present = np.unique(dataset.labels)
  classes = present[np.arange(SIDE) * len(present) // SIDE]
  rows = [_sample(rng, np.flatnonzero(dataset.labels == label), SIDE) for label in classes]
  names = legible(dataset.spec.label_names)
  return np.concatenate(rows), [names[label] for label in classes]


def _sample(rng, candidates, count):
  """`count` of the candidates in random order, repeated if there are fewer."""
  return np.resize(rng.permutation(candidates), count)


def augmented(pixels: Pixels, augment: Callable, seed: int) -> Pixels:
  """Images uint8 [n, H, W, C], augmented as in the training step 0."""
  def compute(batch):
    return to_pixels(augment(jax.random.key(seed), 0, to_float(batch)))
  mapped = jax.jit(jax.vmap(compute, axis_name=AXIS))
  return np.asarray(mapped(pixels[np.newaxis, np.newaxis]))[0, 0]
