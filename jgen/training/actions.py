"""What happens between steps: draw, evaluate, save.

An action is called with (step, replicated state, scores of this step so far) and returns new scores.
"""

from collections.abc import Callable, Mapping
import dataclasses
from pathlib import Path
from typing import Any, ClassVar

from flax import jax_utils
import jax
from matplotlib.image import imread
import numpy as np

from jgen.data.spec import Dataset, Splits
from jgen.errors import UserError
from jgen.evaluation import scores_of
from jgen.model import Compiled, Model
from jgen.report.grids import rows_that_fit, save_grid, spread
from jgen.run import receipt
from jgen.run import scores as scores_lib
from jgen.run.checkpoints import Checkpoints


class NoWriter:
  """In the place of a clu metric writer, where nothing goes to TensorBoard."""

  def write_scalars(self, step, scalars):
    pass

  def write_images(self, step, images):
    pass


@dataclasses.dataclass
class Action:
  """Due every so many steps (0: never) and at the last one."""

  every_steps: int
  saves: ClassVar[bool] = False         # whether it saves the state, which no signal interrupts

  def due(self, step, last, stopping):
    """Whether to act after `step`, the `last` of the run or one after which it is `stopping` for now."""
    del stopping
    return last or bool(self.every_steps) and step % self.every_steps == 0

  def complete(self, step, state):
    """Acts where what it leaves behind of this step is not there."""


@dataclasses.dataclass
class DrawSamples(Action):
  """Draws a grid of samples, one row a class, from the same latents each time."""

  compiled: Compiled
  folder: Path
  row_names: tuple[str, ...]            # one a class; empty where the labels are ignored
  columns: int
  seed: int
  writer: Any                           # a clu metric writer
  dataset: Dataset                      # the training images

  def __call__(self, step, state, scores):
    count = len(self.row_names) or self.columns
    classes = spread(count, rows_that_fit(*self.dataset.spec.image_shape[:2]))   # of thousands of classes some
    images = Model(self.compiled, state, self.dataset).sample(np.repeat(classes, self.columns), self.seed)
    path = self.path(step)
    save_grid(path, images, self.columns, tuple(self.row_names[label] for label in classes) if self.row_names else (),
              f'{len(classes)} of {count} classes, evenly spread' if len(classes) < count else '')
    self.writer.write_images(step, {'samples': imread(path)[None, :, :, :3]})
    return {}

  def path(self, step):
    """The picture of a step."""
    return self.folder / 'samples' / f'step_{step:08d}.png'

  def complete(self, step, state):
    if not self.path(step).exists():
      self(step, state, {})


@dataclasses.dataclass
class Evaluate(Action):
  """Runs the evaluators and stores what they measured: a JSON file each, with its receipt, and their pictures."""

  evaluators: Mapping[str, Any]         # {name: evaluator}
  compiled: Compiled
  splits: Splits
  folder: Path
  seed: int
  writer: Any                           # a clu metric writer
  show: Callable = lambda step, scores: None   # called with the scores, {name: number}, of a step

  def __call__(self, step, state, scores):
    scores = {}
    for name, evaluator in self.evaluators.items():
      measured = evaluator.measure(Model(self.compiled, state, self.splits.train), self.splits, self.seed)
      self.draw(step, measured.grids)   # first: the file of numbers says that all is done
      scores.update(self.store(step, name, measured, dataclasses.asdict(evaluator), state).numbers())
    self.writer.write_scalars(step, scores)
    self.show(step, scores)
    return scores

  def complete(self, step, state):
    """Runs those whose numbers or pictures of this step are not there, as where a run was killed while it measured."""
    left = {name: evaluator for name, evaluator in self.evaluators.items() if not self.is_there(name, step)}
    if left:
      dataclasses.replace(self, evaluators=left)(step, state, {})

  def is_there(self, name, step):
    """Whether what the evaluator `name` measured after a step is stored, with all its pictures."""
    path = scores_lib.path_of(self.folder, name, step)
    return path.exists() and all(
        self.picture(picture, step).exists() for picture in scores_lib.Evaluation.read(path).about.get('pictures', ()))

  def picture(self, name, step):
    """The file of a picture that is drawn after a step."""
    return self.folder / 'evaluation' / f'{name}_step_{step:08d}.png'

  def store(self, step, name, measured, settings, state):
    """Writes what the evaluator `name` measured, with its receipt; returns the Evaluation."""
    model = receipt.of_state(state, self.seed, step)
    about = {'seed': self.seed, 'averaged_parameters': model['averaged_parameters'],
             'data': self.splits.train.source, 'test_data': self.splits.test and self.splits.test.source,
             'settings': settings, 'pictures': list(measured.grids)}
    whole = {**measured.receipt, **model, **receipt.of_versions()} if measured.receipt else {}
    evaluation = scores_lib.Evaluation(step, name, measured.numbers, about, whole)
    evaluation.write(self.folder)
    return evaluation

  def draw(self, step, grids):
    """Writes the pictures {name: Grid}."""
    for name, grid in grids.items():
      path = self.picture(name, step)
      save_grid(path, grid.images, grid.columns, grid.row_names, grid.title)
      self.writer.write_images(step, {name: imread(path)[None, :, :, :3]})


@dataclasses.dataclass
class Save(Action):
  """Saves a checkpoint, also where a run is interrupted."""

  checkpoints: Checkpoints
  saves: ClassVar[bool] = True

  def due(self, step, last, stopping):
    return stopping or super().due(step, last, stopping)

  def complete(self, step, state):
    self.checkpoints.recall(step)       # the evaluation before may have been made up for

  def __call__(self, step, state, scores):
    # A copy: on CPU the arrays' memory is the devices', which the next step reuses while Orbax still writes.
    self.checkpoints.save(step, jax.tree.map(lambda x: np.array(jax_utils.unreplicate(x)), state), scores)
    return {}


def check_evaluators(config, evaluators, spec, family):
  """Raises UserError if an evaluator that is to run at the end, or the score of the best checkpoint, is not known."""
  for name in config.evaluators_at_end:
    if name not in evaluators:
      raise UserError(f"config.evaluators_at_end names '{name}', which is none of config.evaluators; known: "
                      f"{', '.join(evaluators) or 'none'}")
  if config.checkpoints.best_metric:
    all_along = {name: evaluator for name, evaluator in evaluators.items() if name not in config.evaluators_at_end}
    scores_lib.check_metric(config.checkpoints.best_metric, scores_of(all_along, spec, family))
