"""--mode=score: compares two folders of images, for models that were trained elsewhere."""

from collections.abc import Iterator, Sequence
import copy
import dataclasses
from pathlib import Path

from ml_collections import ConfigDict
import numpy as np

from jgen import data, evaluation
from jgen.data import cache
from jgen.data.spec import Splits
from jgen.errors import UserError
from jgen.families.base import Family
from jgen.host import progress, terminal
from jgen.run import receipt
from jgen.run.scores import Evaluation
from jgen.shapes import Pixels


def run(config: ConfigDict, workdir: Path, command: str) -> None:
  """Scores `config.score.generated` against `config.score.real`; prints and stores the results.

  Both folders are read like the data set `folder`: cropped to a square and resized to `config.data.image_size`.

  Raises:
    UserError: a folder is not given or cannot be read; an evaluator is not applicable; `workdir` holds a run.
  """
  del command
  folder = workdir.absolute()
  if (folder / 'config.json').exists():
    raise UserError(f'{folder} holds a run, which --mode=evaluate scores; name another --workdir for '
                    'the scores of two folders')
  if 'score' not in config:
    raise UserError('the config has no section `score`; leave --config out, or start from jgen/recipes/score.py')
  generated = _load(config, 'generated', config.score.generated)
  real = _load(config, 'real', config.score.real)
  splits = Splits(real, cache_dir=cache.root_of(config.data.cache_dir))
  evaluators = _evaluators(config.evaluators, real.spec, len(generated.images))
  evaluation.check_data(evaluators, splits)
  for name, evaluator in evaluators.items():
    with progress.task(name):
      measured = evaluator.measure(Drawn(generated.images), splits, config.seed)
    scored = _evaluation(name, measured, evaluator, generated, real, config.seed)
    scored.write(folder)
    for number, value in scored.numbers().items():
      terminal.say(f'{number} {value:.4g}')
  terminal.say(f'stored in {folder / "evaluation"}')


@dataclasses.dataclass(frozen=True)
class Drawn:
  """Existing images with the interface of a Model, as far as evaluators of images use it."""

  images: np.ndarray                    # uint8 [N, H, W, C]

  def sample_parts(self, labels: Sequence[int] | np.ndarray, seed: int) -> Iterator[Pixels]:
    """The first images, as many as labels, or all if there are fewer; 128 at a time, with a progress line."""
    del seed
    images = self.images[:len(labels)]
    yield from progress.counted((images[i:i + 128] for i in range(0, len(images), 128)), len(images))


def _load(config, name, folder):
  """The Dataset of the folder that `config.score.<name>` names."""
  if not folder:
    raise UserError(f'config.score.{name} names no images; name a folder or zip: python launch.py --mode=score '
                    '--config.score.generated=FOLDER --config.score.real=FOLDER')
  section = copy.deepcopy(config.data)
  with section.unlocked():
    section.name, section.dir, section.splits = 'folder', folder, ('all',)
  return data.load(section)


def _evaluators(sections, spec, count):
  """{name: evaluator} of images; a `num_generated` of 0 is replaced by `count`, all images."""
  sections = {name: {**section, 'num_generated': section.get('num_generated') or count}
              for name, section in sections.items()}
  for name in sections:
    if not getattr(evaluation.EVALUATORS.get(name), 'of_images', False):
      of_images = [name for name, evaluator in evaluation.EVALUATORS.items() if evaluator.of_images]
      raise UserError(f'config.evaluators.{name} needs a model, not images alone; choose others: '
                      f'--evaluators={",".join(of_images)}')
  return evaluation.create(sections, spec, family=Family())   # a family without any ability


def _evaluation(name, measured, evaluator, generated, real, seed):
  about = {'data': real.source, 'generated': generated.source, 'settings': dataclasses.asdict(evaluator)}
  return Evaluation(0, name, measured.numbers, about, {
      **measured.receipt, 'generated_sha256': receipt.digest_of(generated.images), 'seed': seed,
      'step': None, 'averaged_parameters': None, 'batch_norm': None, **receipt.of_versions()})
