"""The training loop, for any Family."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import functools
from pathlib import Path
from typing import Any

from flax import jax_utils
import jax
from ml_collections import ConfigDict

from jgen.data.host import importing_tensorflow
from jgen.data.spec import Splits
from jgen.evaluation.base import Evaluator
from jgen.families import description
from jgen.families.base import Family
from jgen.families.model import Compiled
from jgen.families.train_state import TrainState
from jgen.host.progress import Progress
from jgen.host.signals import StopRequest
from jgen.parallel import INIT
from jgen.report import seeds as seeds_report
from jgen.run import environment
from jgen.run import seeds as seeds_lib
from jgen.run.checkpoints import Checkpoints
from jgen.run.metrics import MetricsFile, last_step
from jgen.run.tensorboard import mark_restart
from jgen.training import actions, cost, feed, loggers, seeds
from jgen.training.actions import Action, DrawFigures, DrawSamples
from jgen.training.doctor import Doctor
from jgen.training.monitor import Monitor, Watcher
from jgen.training.profile import Profiler
from jgen.training.seeds import Picker
from jgen.training.speed import Parts, Speed
from jgen.training.step import compiled_dispatch, make_dispatch


@dataclasses.dataclass(frozen=True)
class Trainer:
  """A training run: family, data, evaluators and folder."""

  config: ConfigDict
  family: Family
  augment: Callable                     # an augmentation, see jgen.augmentation.images.create
  splits: Splits
  evaluators: Mapping[str, Evaluator]   # {name: evaluator}
  folder: Path                          # which this process writes to
  checkpoints: Checkpoints

  @property
  def seeds(self) -> tuple[int, ...]:
    return seeds_lib.of(self.config)

  def folder_of(self, seed: int) -> Path:
    """The folder for everything that depends on the seed."""
    return seeds_lib.folder_of(self.folder, self.config, seed)

  def run(self, stop: StopRequest) -> int:
    """Trains until `config.num_steps` or until `stop` is requested; returns the last completed step."""
    with importing_tensorflow():
      state, first_step = self.begin()
      images_per_step = self.config.batch_size * self.family.batches_per_step * len(self.seeds)
      progress = Progress(self.config.num_steps, images_per_step,
                          quiet=jax.process_index() > 0 or first_step == self.config.num_steps)
      for folder in {self.folder, *map(self.folder_of, self.seeds)}:
        environment.record_start(folder, first_step, self.splits.train.source, self.config.matrix_precision)
        description.store_model(folder, self.family)
      compiled, pick = Compiled(self.family), seeds.Picker(len(self.seeds))
      for index, seed in enumerate(() if first_step else self.seeds):   # before the step is compiled: it may take long
        self.sheets(compiled, seed, loggers.NoWriter()).draw(0, pick(state, index))
      dispatch, flops = self.dispatch(state, progress.say) if first_step < self.config.num_steps else (None, 0)
    with contextlib.ExitStack() as stack:
      opened = lambda closable: stack.enter_context(contextlib.closing(closable))
      watchers = {seed: self.watcher(seed, opened, first_step, progress.say) for seed in self.seeds}
      speed = opened(Speed(self.folder, first_step, images_per_step))
      figures = opened(actions.DrawFigures(self.config.evaluate_every_steps or self.config.sample_every_steps,
                                           self.folder, draw=seeds_report.draw_figures))
      epochs_per_step = images_per_step / len(self.seeds) / len(self.splits.train.images)
      every = min(self.config.log_every_steps, self.config.num_steps or 1)   # a shorter run logs its last step
      monitor = Monitor(every, epochs_per_step, list(watchers.values()), progress, speed)
      sheets = [self.sheets(compiled, seed, watcher.writer) for seed, watcher in watchers.items()]
      for sheet in () if first_step else sheets:
        sheet.show(0)
      todo = self.actions(compiled, pick, watchers, sheets, figures)
      self.complete(first_step, state, todo, stop)
      parts = Parts()
      step = self.loop(dispatch, state, first_step, monitor, todo, stop, parts)
      monitor.flush()
      if step > first_step:
        progress.say(parts.line(step - first_step, images_per_step, flops))
    return step

  def begin(self) -> tuple[TrainState, int]:
    """(replicated state, its step), from the newest undamaged checkpoint, or newly initialised."""
    init, key = jax.jit(self.family.init), lambda seed: jax.random.fold_in(jax.random.key(seed), INIT)
    shapes = seeds.shapes(jax.eval_shape(self.family.init, key(self.config.seed)), len(self.seeds))
    state, damaged = self.checkpoints.restore(shapes)
    _, damaged_best = self.checkpoints.best(shapes, [step for step, _ in damaged])
    self.checkpoints.set_aside(damaged + damaged_best)
    if state is None:
      logged = last_step(self.folder_of(self.config.seed) / 'metrics.csv')
      self.checkpoints.check_not_lost(logged, self.config.checkpoint_every_steps)
      state = seeds.stacked([self.family.init_from_data(init(key(seed)), self.splits.train) for seed in self.seeds])
    return jax_utils.replicate(state), seeds.step_of(state)

  def watcher(self, seed: int, opened: Callable[[Any], Any], first_step: int, say: Callable[[str], None]) -> Watcher:
    """The Watcher of a seed; `opened` registers each writer to be closed at the end."""
    folder, name = self.folder_of(seed), f'seed {seed}' if len(self.seeds) > 1 else ''
    mark_restart(folder / 'tensorboard', first_step)
    writer = opened(loggers.create(self.config.loggers, folder, self.config))
    # The folders of other processes are new at each start; a run that ended before its first row may be extended.
    whole = jax.process_index() == 0 and self.config.log_every_steps <= self.config.num_steps
    every = self.config.log_every_steps if whole else 0
    metrics_file = opened(MetricsFile(folder / 'metrics.csv', first_step, every))
    of_seed = (lambda line: say(f'{name}: {line}')) if name else say
    return Watcher(metrics_file, writer, opened(Doctor(self.config.doctor, folder, first_step, writer, of_seed)), name)

  def dispatch(self, state: TrainState, say: Callable[[str], None]) -> tuple[Callable, float]:
    """(compiled training steps of one dispatch, operations per step on a device); prints their cost.

    Raises UserError if a step does not fit into memory.
    """
    config = self.config
    dispatch = make_dispatch(self.family, self.augment, (config.precision, config.matrix_precision),
                             config.microbatch_size // jax.device_count(), len(self.seeds))
    if jax.process_count() > 1:         # which compile together, at the first call
      return dispatch, 0
    shapes = feed.shapes(self.splits.train, config.steps_per_dispatch, self.family.batches_per_step, config.batch_size,
                         len(self.seeds))
    arguments = state, shapes, seeds.keys_of(self.seeds)
    compiled = compiled_dispatch(dispatch, *arguments)
    step_cost = cost.of(dispatch, compiled, *arguments, len(self.seeds))
    cost.check_room(step_cost, config.batch_size, config.microbatch_size or config.batch_size)
    say(str(step_cost))
    return compiled, step_cost.flops

  def sheets(self, compiled: Compiled, seed: int, writer: Any) -> DrawSamples:
    """The action that draws sheets of samples of a seed."""
    config = self.config
    sheet = actions.sheet_of(self.family, self.splits.train.spec, config.samples_per_class, config.num_samples)
    return actions.DrawSamples(config.sample_every_steps, compiled, self.folder_of(seed), sheet, seed, writer,
                               self.splits.train, config.steps_per_dispatch)

  def actions(self, compiled: Compiled, pick: Picker, watchers: Mapping[int, Watcher],
              sheets: Sequence[DrawSamples], figures: DrawFigures) -> list[Action]:
    """The actions between steps, in order; evaluations that run only at the end follow the save."""
    all_along, at_end = (
        [actions.Evaluate(every_steps, evaluators, compiled, self.splits, self.folder_of(seed), seed, watcher.writer,
                          watcher.doctor.add) for seed, watcher in watchers.items()]
        for every_steps, evaluators in self.evaluations())
    save = actions.Save(self.config.checkpoint_every_steps, self.checkpoints)
    of_seeds = functools.partial(seeds.actions_of, pick)
    return [*of_seeds(sheets), *of_seeds(all_along), figures, save, *of_seeds(at_end)]

  def evaluations(self) -> tuple[tuple[int, dict[str, Evaluator]], tuple[int, dict[str, Evaluator]]]:
    """(interval in steps, evaluators) during training, and the same pair for the end."""
    at_end = {name: self.evaluators[name] for name in self.config.evaluators_at_end}
    during = {name: evaluator for name, evaluator in self.evaluators.items() if name not in at_end}
    return (self.config.evaluate_every_steps, during), (0, at_end)

  def loop(self, dispatch: Callable | None, state: TrainState, first_step: int, monitor: Monitor,
           todo: Sequence[Action], stop: StopRequest, parts: Parts) -> int:
    """Runs the steps after `first_step`; returns the last completed step. Records times in `parts`."""
    config, key = self.config, seeds.keys_of(self.seeds)
    step, profiler = first_step, Profiler(tuple(config.profile_steps), str(self.folder / 'tensorboard'))
    profiler.after(step, state)
    for batches in parts.waiting(iter(self.batches(first_step)), 'input'):
      if step == first_step and stop.requested:   # while the step was compiled
        break
      assert dispatch is not None       # it is compiled if there are steps left
      state, metrics = dispatch(state, batches, key)
      step += config.steps_per_dispatch
      monitor.add(step, metrics)
      profiler.after(step, metrics)
      stopping = stop.requested_at(step // config.steps_per_dispatch)
      if any(action.due(step, step == config.num_steps, stopping) for action in todo):
        monitor.flush()                 # raises here if the run has diverged, before anything is drawn or saved
        stopping |= self.act(step, state, todo, stop, stopping, parts) and stop.requested
      if stopping:
        break
    profiler.close()
    return step

  def act(self, step: int, state: TrainState, todo: Sequence[Action], stop: StopRequest, stopping: bool,
          parts: Parts) -> bool:
    """Runs the actions due after a step; only the save if a stop is requested. Returns whether it saved."""
    scores: dict[str, float] = {}
    nothing: dict[str, float] = {}
    saved = False
    for action in todo:
      if action.due(step, step == self.config.num_steps, stopping or stop.requested):
        call = functools.partial(action, step, state, scores)
        with parts.of(action.part):
          scores.update(call() if action.saves else stop.interruptible(call, nothing))
        saved |= action.saves
    return saved

  def complete(self, step: int, state: TrainState, todo: Sequence[Action], stop: StopRequest) -> None:
    """Completes actions that were due after the step of the checkpoint but were interrupted."""
    if step and jax.process_count() == 1:   # with several processes, only one sees the files
      for action in todo:
        if action.due(step, step >= self.config.num_steps, stopping=False):
          stop.interruptible(functools.partial(action.complete, step, state), None)

  def batches(self, first_step: int) -> Iterator[Any]:
    """The batches of the steps after `first_step`, {name: [D, S, K, B, ...]} per dispatch."""
    config = self.config
    return feed.batches(
        self.splits.train, on_device=config.data.on_device, seeds=self.seeds, first_step=first_step,
        num_steps=config.num_steps, steps_per_dispatch=config.steps_per_dispatch,
        batches_per_step=self.family.batches_per_step, batch_size=config.batch_size)
