"""What happens between steps: draw, evaluate, save.

An action is called with (step, replicated state, scores of this step so far) and returns new scores.
"""

from collections.abc import Callable, Mapping
import dataclasses
from pathlib import Path
import threading
from typing import Any, ClassVar

from flax import jax_utils
import jax
from matplotlib.image import imread
from ml_collections import ConfigDict
import numpy as np

from jgen.data.spec import Dataset, Spec, Splits
from jgen.errors import UserError
from jgen.evaluation import scores_of
from jgen.evaluation.base import Evaluator
from jgen.evaluation.measured import Measured
from jgen.families.base import Family
from jgen.families.train_state import TrainState
from jgen.host import terminal
from jgen.model import Compiled, Model
from jgen.report.figures import draw_figures
from jgen.report.fonts import legible
from jgen.report.grids import SEPARATOR_COLOR, Grid, rows_that_fit, save_grid, spread
from jgen.run import receipt
from jgen.run import scores as scores_lib
from jgen.run.checkpoints import Checkpoints


class NoWriter:
  """In the place of a clu metric writer, where nothing goes to TensorBoard."""

  def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
    pass

  def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
    pass


EARLY = (0, 1, 3, 10, 30, 100, 300)     # steps after which samples are drawn, or after the dispatch that they are in
MAX_COLUMNS = 10                        # of a sheet of samples without classes


@dataclasses.dataclass
class Action:
  """Due every so many steps (0: never) and at the last one."""

  every_steps: int
  saves: ClassVar[bool] = False         # whether it saves the state, which no signal interrupts

  @property
  def part(self) -> str:
    """What its time is spent on."""
    return 'drawing'

  def due(self, step: int, last: bool, stopping: bool) -> bool:
    """Whether to act after `step`, the `last` of the run or one after which it is `stopping` for now."""
    del stopping
    return last or bool(self.every_steps) and step % self.every_steps == 0

  def complete(self, step: int, state: TrainState) -> None:
    """Acts where what it leaves behind of this step is not there."""

  def __call__(self, step: int, state: TrainState, scores: Mapping[str, float]) -> dict[str, float]:
    """Acts; returns {name: number} of what it measured."""
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Sheet:
  """Which samples stand where on a sheet."""

  labels: tuple[int, ...]               # one an image, row by row
  columns: int
  row_names: tuple[str, ...] = ()
  title: str = ''


def sheet_of(family: Family, spec: Spec, per_class: int, count: int) -> Sheet:
  """The Sheet of a family's samples: a row a class, of `per_class`; or of `count` images where labels are ignored.

  Of thousands of classes, evenly spread ones are shown.
  """
  if not family.num_classes:
    columns = next((width for width in range(MAX_COLUMNS, 4, -1) if count % width == 0), MAX_COLUMNS)
    return Sheet((0,) * count, min(columns, count), title=family.samples_note)
  classes = spread(family.num_classes, rows_that_fit(*spec.image_shape[:2]))
  names = legible(spec.label_names or tuple(map(str, range(family.num_classes))))
  some = f'{len(classes)} of {family.num_classes} classes, evenly spread' if len(classes) < family.num_classes else ''
  return Sheet(tuple(np.repeat(classes, per_class).tolist()), per_class, tuple(names[label] for label in classes),
               ', '.join(filter(None, (some, family.samples_note))))


@dataclasses.dataclass
class DrawSamples(Action):
  """Draws a sheet of samples from the same latents each time, at the steps EARLY as well."""

  compiled: Compiled
  folder: Path
  sheet: Sheet
  seed: int
  writer: Any                           # a clu metric writer
  dataset: Dataset                      # the training images
  steps_per_dispatch: int = 1

  def due(self, step: int, last: bool, stopping: bool) -> bool:
    early = any(step - self.steps_per_dispatch < each <= step for each in EARLY)
    return early or super().due(step, last, stopping)

  def __call__(self, step: int, state: TrainState, scores: Mapping[str, float]) -> dict[str, float]:
    self.draw(step, state)
    self.show(step)
    return {}

  def draw(self, step: int, state: TrainState) -> None:
    """Writes the picture of a step."""
    sheet = self.sheet
    try:
      images = Model(self.compiled, state, self.dataset).sample(np.array(sheet.labels), self.seed)
    except UserError:
      if step % self.every_steps == 0 and step:
        raise
      return                            # the metrics of the next step tell best that a run has just diverged
    blank = np.full((-len(images) % sheet.columns, *images.shape[1:]), SEPARATOR_COLOR, np.uint8)
    save_grid(self.path(step), np.concatenate([images, blank]), sheet.columns, sheet.row_names, sheet.title)

  def show(self, step: int) -> None:
    """Gives the picture of a step, if there is one, to the writer."""
    if self.path(step).exists():
      self.writer.write_images(step, {'samples': imread(self.path(step))[None, :, :, :3]})

  def path(self, step: int) -> Path:
    """The picture of a step."""
    return self.folder / 'samples' / f'step_{step:08d}.png'

  def complete(self, step: int, state: TrainState) -> None:
    if not self.path(step).exists():
      self(step, state, {})


@dataclasses.dataclass
class Evaluate(Action):
  """Runs the evaluators and stores what they measured: a JSON file each, with its receipt, and their pictures."""

  evaluators: Mapping[str, Any]         # {name: evaluator, a dataclass}
  compiled: Compiled
  splits: Splits
  folder: Path
  seed: int
  writer: Any                           # a clu metric writer
  show: Callable = lambda step, scores: None   # called with the scores, {name: number}, of a step

  @property
  def part(self) -> str:
    return 'evaluation'

  def __call__(self, step: int, state: TrainState, scores: Mapping[str, float]) -> dict[str, float]:
    scores = {}
    for name, evaluator in self.evaluators.items():
      measured = evaluator.measure(Model(self.compiled, state, self.splits.train), self.splits, self.seed)
      self.draw(step, measured.grids)   # first: the file of numbers says that all is done
      scores.update(self.store(step, name, measured, dataclasses.asdict(evaluator), state).numbers())
    self.writer.write_scalars(step, scores)
    self.show(step, scores)
    return scores

  def complete(self, step: int, state: TrainState) -> None:
    """Runs those whose numbers or pictures of this step are not there, as where a run was killed while it measured."""
    left = {name: evaluator for name, evaluator in self.evaluators.items() if not self.is_there(name, step)}
    if left:
      dataclasses.replace(self, evaluators=left)(step, state, {})

  def is_there(self, name: str, step: int) -> bool:
    """Whether what the evaluator `name` measured after a step is stored, with all its pictures."""
    path = scores_lib.path_of(self.folder, name, step)
    return path.exists() and all(
        self.picture(picture, step).exists() for picture in scores_lib.Evaluation.read(path).about.get('pictures', ()))

  def picture(self, name: str, step: int) -> Path:
    """The file of a picture that is drawn after a step."""
    return self.folder / 'evaluation' / f'{name}_step_{step:08d}.png'

  def store(self, step: int, name: str, measured: Measured, settings: Mapping[str, Any],
            state: TrainState) -> scores_lib.Evaluation:
    """Writes what the evaluator `name` measured, with its receipt; returns the Evaluation."""
    model = receipt.of_state(state, self.seed, step)
    about = {'seed': self.seed, 'averaged_parameters': model['averaged_parameters'],
             'data': self.splits.train.source, 'test_data': self.splits.test and self.splits.test.source,
             'settings': settings, 'pictures': list(measured.grids)}
    whole = {**measured.receipt, **model, **receipt.of_versions()} if measured.receipt else {}
    evaluation = scores_lib.Evaluation(step, name, measured.numbers, about, whole)
    evaluation.write(self.folder)
    return evaluation

  def draw(self, step: int, grids: Mapping[str, Grid]) -> None:
    """Writes the pictures {name: Grid}."""
    for name, grid in grids.items():
      path = self.picture(name, step)
      save_grid(path, grid.images, grid.columns, grid.row_names, grid.title, grid.column_names)
      self.writer.write_images(step, {name: imread(path)[None, :, :, :3]})


@dataclasses.dataclass
class DrawFigures(Action):
  """Draws the figures anew in a thread of its own; not where the last drawing still goes on, or at the last step.

  The end of a run draws them once more, so one that is left out is not missed.
  """

  folder: Path
  draw: Callable = draw_figures         # of the folder
  say: Callable = terminal.tell         # called with one line about what is damaged
  _thread: threading.Thread | None = None

  def due(self, step: int, last: bool, stopping: bool) -> bool:
    return not last and not stopping and super().due(step, last, stopping)

  def __call__(self, step: int, state: TrainState, scores: Mapping[str, float]) -> dict[str, float]:
    if not self._thread or not self._thread.is_alive():
      self._thread = threading.Thread(target=self._draw, name='figures', daemon=True)
      self._thread.start()
    return {}

  def _draw(self):
    try:
      self.draw(self.folder)
    except (UserError, OSError) as error:
      self.say(f'the figures could not be drawn: {error}')

  def close(self) -> None:
    """Waits for the drawing that goes on, if any."""
    if self._thread:
      self._thread.join()


@dataclasses.dataclass
class Save(Action):
  """Saves a checkpoint, also where a run is interrupted."""

  checkpoints: Checkpoints
  saves: ClassVar[bool] = True

  @property
  def part(self) -> str:
    return 'checkpoints'

  def due(self, step: int, last: bool, stopping: bool) -> bool:
    return stopping or super().due(step, last, stopping)

  def complete(self, step: int, state: TrainState) -> None:
    self.checkpoints.recall(step)       # the evaluation before may have been made up for

  def __call__(self, step: int, state: TrainState, scores: Mapping[str, float]) -> dict[str, float]:
    # A copy: on CPU the arrays' memory is the devices', which the next step reuses while Orbax still writes.
    self.checkpoints.save(step, jax.tree.map(lambda x: np.array(jax_utils.unreplicate(x)), state), scores)
    return {}


def check_evaluators(config: ConfigDict, evaluators: Mapping[str, Evaluator], spec: Spec, family: Family) -> None:
  """Raises UserError if an evaluator that is to run at the end, or the score of the best checkpoint, is not known."""
  for name in config.evaluators_at_end:
    if name not in evaluators:
      raise UserError(f"config.evaluators_at_end names '{name}', which is none of config.evaluators; known: "
                      f"{', '.join(evaluators) or 'none'}")
  if config.checkpoints.best_metric:
    all_along = {name: evaluator for name, evaluator in evaluators.items() if name not in config.evaluators_at_end}
    scores_lib.check_metric(config.checkpoints.best_metric, scores_of(all_along, spec, family))
