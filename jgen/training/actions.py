"""Actions between training steps: draw, evaluate, save.

An action is called with (step, replicated state, scores of this step so far) and returns new scores.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from pathlib import Path
import threading
from typing import Any, ClassVar

from flax import jax_utils
import jax
from matplotlib.image import imread
from ml_collections import ConfigDict
import numpy as np

from jgen.data import cache
from jgen.data.spec import Dataset, Spec, Splits
from jgen.errors import UserError
from jgen.evaluation import scores_of
from jgen.evaluation.base import Evaluator
from jgen.evaluation.measured import Measured
from jgen.families.base import Family
from jgen.families.model import Compiled, Model
from jgen.families.train_state import TrainState
from jgen.host import processes, progress, terminal
from jgen.images.fonts import legible
from jgen.images.grids import SEPARATOR_COLOR, Grid, rows_that_fit, save_grid, spread
from jgen.report.figures import draw_figures
from jgen.run import receipt
from jgen.run import scores as scores_lib
from jgen.run.checkpoints import Checkpoints

EARLY = (0, 1, 3, 10, 30, 100, 300)     # further steps with samples, drawn after the dispatch that contains them
MAX_COLUMNS = 10                        # columns of a sheet of samples without classes


@dataclasses.dataclass
class Action:
  """An action that is due every k-th step (0: never) and after the last step."""

  every_steps: int
  saves: ClassVar[bool] = False         # whether it saves the state, which signals do not interrupt

  @property
  def part(self) -> str:
    """The name under which the action's time is reported."""
    return 'drawing'

  def due(self, step: int, last: bool, stopping: bool) -> bool:
    """Whether to act after `step`; `last` for the last step of the run, `stopping` if the run stops after this step."""
    del stopping
    return last or bool(self.every_steps) and step % self.every_steps == 0

  def complete(self, step: int, state: TrainState) -> None:
    """Performs the action if its output for this step is missing."""

  def __call__(self, step: int, state: TrainState, scores: Mapping[str, float]) -> dict[str, float]:
    """Performs the action; returns the measured scores {name: number}."""
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Sheet:
  """The layout of a sheet of samples."""

  labels: tuple[int, ...]               # one per image, row by row
  columns: int
  row_names: tuple[str, ...] = ()
  title: str = ''


def sheet_of(family: Family, spec: Spec, per_class: int, count: int) -> Sheet:
  """The Sheet of a family's samples: one row of `per_class` images per class, or `count` images without classes.

  If the classes do not fit, an evenly spaced subset is shown.
  """
  most_rows = rows_that_fit(*spec.image_shape[:2])
  if not family.num_classes:
    widest = max(MAX_COLUMNS, -(-count // most_rows))
    columns = next((width for width in range(widest, widest // 2 - 1, -1) if count % width == 0
                    and count // width <= most_rows), widest)
    return Sheet((0,) * count, min(columns, count), title=family.samples_note)
  classes = spread(family.num_classes, most_rows)
  names = legible(spec.label_names or tuple(map(str, range(family.num_classes))))
  some = f'{len(classes)} of {family.num_classes} classes, evenly spread' if len(classes) < family.num_classes else ''
  return Sheet(tuple(np.repeat(classes, per_class).tolist()), per_class, tuple(names[label] for label in classes),
               ', '.join(filter(None, (some, family.samples_note))))


@dataclasses.dataclass
class DrawSamples(Action):
  """Draws a sheet of samples from the same latents each time, in addition at the steps in EARLY."""

  compiled: Compiled
  folder: Path
  sheet: Sheet
  seed: int
  writer: Any                           # a clu metric writer
  dataset: Dataset                      # the training images
  steps_per_dispatch: int = 1

  def due(self, step: int, last: bool, stopping: bool) -> bool:
    early = any(step - self.steps_per_dispatch < early_step <= step for early_step in EARLY)
    return early or super().due(step, last, stopping)

  def __call__(self, step: int, state: TrainState, scores: Mapping[str, float]) -> dict[str, float]:
    self.draw(step, state)
    self.show(step)
    return {}

  def draw(self, step: int, state: TrainState) -> None:
    """Writes the picture of a step to its file."""
    sheet = self.sheet
    try:
      images = Model(self.compiled, state, self.dataset).sample(np.array(sheet.labels), self.seed)
    except UserError:
      if step % self.every_steps == 0 and step:
        raise
      return                            # the check of the next metrics reports a divergence more clearly
    blank = np.full((-len(images) % sheet.columns, *images.shape[1:]), SEPARATOR_COLOR, np.uint8)
    save_grid(self.path(step), np.concatenate([images, blank]), sheet.columns, sheet.row_names, sheet.title)

  def show(self, step: int) -> None:
    """Passes the picture of a step, if it exists, to the writer."""
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
  """Runs the evaluators and stores their results: one JSON file each, with its receipt, and their pictures."""

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
      with processes.sharing(), progress.task(name):
        measured = evaluator.measure(Model(self.compiled, state, self.splits.train), self.splits, self.seed)
      self.draw(step, measured.grids)   # first: the file of scores marks the evaluation as complete
      scores.update(self.store(step, name, measured, dataclasses.asdict(evaluator), state).numbers())
    self.writer.write_scalars(step, scores)
    self.show(step, scores)
    return scores

  def complete(self, step: int, state: TrainState) -> None:
    """Runs evaluators whose scores or pictures of this step are missing, as after a kill during an evaluation."""
    missing = {name: evaluator for name, evaluator in self.evaluators.items() if not self.is_there(name, step)}
    if missing:
      dataclasses.replace(self, evaluators=missing)(step, state, {})

  def is_there(self, name: str, step: int) -> bool:
    """Whether the results of the evaluator `name` after a step are stored, with all pictures."""
    path = scores_lib.path_of(self.folder, name, step)
    return path.exists() and all(
        self.picture(picture, step).exists() for picture in scores_lib.Evaluation.read(path).about.get('pictures', ()))

  def picture(self, name: str, step: int) -> Path:
    """The file of the picture `name` drawn after a step."""
    return self.folder / 'evaluation' / f'{name}_step_{step:08d}.png'

  def store(self, step: int, name: str, measured: Measured, settings: Mapping[str, Any],
            state: TrainState) -> scores_lib.Evaluation:
    """Writes the results of the evaluator `name`, with the receipt; returns the Evaluation."""
    model = receipt.of_state(state, self.seed, step)
    about = {'seed': self.seed, 'averaged_parameters': model['averaged_parameters'],
             'data': self.splits.train.source, 'test_data': self.splits.test and self.splits.test.source,
             'settings': settings, 'pictures': list(measured.grids)}
    measurement = measured.receipt or {'settings': dict(settings), **self.images}
    evaluation = scores_lib.Evaluation(step, name, measured.numbers, about,
                                       {**measurement, **model, **receipt.of_versions()})
    evaluation.write(self.folder)
    return evaluation

  @functools.cached_property
  def images(self) -> dict[str, Any]:
    """The receipt fields of the images, for evaluators without a receipt of their own."""
    train, test = self.splits.train, self.splits.test
    return {'image_shape': list(train.spec.image_shape), 'reference': train.spec.name,
            'train_sha256': cache.digest(train), 'test_sha256': test and cache.digest(test)}

  def draw(self, step: int, grids: Mapping[str, Grid]) -> None:
    """Writes the pictures {name: Grid}."""
    for name, grid in grids.items():
      path = self.picture(name, step)
      save_grid(path, grid.images, grid.columns, grid.row_names, grid.title, grid.column_names)
      self.writer.write_images(step, {name: imread(path)[None, :, :, :3]})


@dataclasses.dataclass
class DrawFigures(Action):
  """Redraws the figures in a separate thread; skipped while the previous drawing is running and at the last step.

  The figures are redrawn at the end of a run, so a skipped drawing does no harm.
  """

  folder: Path
  draw: Callable = draw_figures         # of the folder
  say: Callable = terminal.tell         # called with one line if files are damaged
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
    """Waits for a running drawing."""
    if self._thread:
      self._thread.join()


@dataclasses.dataclass
class Save(Action):
  """Saves a checkpoint, also when a run is interrupted."""

  checkpoints: Checkpoints
  saves: ClassVar[bool] = True

  @property
  def part(self) -> str:
    return 'checkpoints'

  def due(self, step: int, last: bool, stopping: bool) -> bool:
    return stopping or super().due(step, last, stopping)

  def complete(self, step: int, state: TrainState) -> None:
    self.checkpoints.recall(step)       # its evaluation may have been completed after the save

  def __call__(self, step: int, state: TrainState, scores: Mapping[str, float]) -> dict[str, float]:
    # A copy: on CPU the arrays share the devices' memory, which the next step reuses while Orbax still writes.
    self.checkpoints.save(step, jax.tree.map(lambda x: np.array(jax_utils.unreplicate(x)), state), scores)
    return {}


def check_evaluators(config: ConfigDict, evaluators: Mapping[str, Evaluator], spec: Spec, family: Family) -> None:
  """Raises UserError if an entry of `evaluators_at_end`, or the score of the best checkpoint, is unknown."""
  for name in config.evaluators_at_end:
    if name not in evaluators:
      raise UserError(f"config.evaluators_at_end names '{name}', which is not in config.evaluators; available: "
                      f"{', '.join(evaluators) or 'none'}")
  if config.checkpoints.best_metric:
    all_along = {name: evaluator for name, evaluator in evaluators.items() if name not in config.evaluators_at_end}
    scores_lib.check_metric(config.checkpoints.best_metric, scores_of(all_along, spec, family))
