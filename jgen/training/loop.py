"""The training loop. It knows a Family, and no model by name."""

from collections.abc import Callable, Mapping
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
from jgen.families.base import Family
from jgen.host.progress import Progress
from jgen.model import Compiled
from jgen.parallel import INIT
from jgen.run import description, environment
from jgen.run.checkpoints import Checkpoints
from jgen.run.metrics import MetricsFile, last_step
from jgen.run.tensorboard import mark_restart
from jgen.training import actions, cost, feed, loggers
from jgen.training.doctor import Doctor
from jgen.training.monitor import Monitor
from jgen.training.profile import Profiler
from jgen.training.speed import Speed
from jgen.training.step import compiled_dispatch, make_dispatch


@dataclasses.dataclass(frozen=True)
class Trainer:
  """A run: what is trained, on what, and where it is kept."""

  config: ConfigDict
  family: Family
  augment: Callable                     # an augmentation, see jgen.augmentation.images.create
  splits: Splits
  evaluators: Mapping[str, Any]         # {name: evaluator}
  folder: Path                          # that this process writes to
  checkpoints: Checkpoints

  def run(self, stop):
    """Trains until `config.num_steps` or until `stop` asks to; returns the last step done."""
    with importing_tensorflow():
      state, first_step = self.begin()
      images_per_step = self.config.batch_size * self.family.batches_per_step
      progress = Progress(self.config.num_steps, images_per_step,
                          quiet=jax.process_index() > 0 or first_step == self.config.num_steps)
      environment.record_start(self.folder, first_step, self.splits.train.source)
      description.store_model(self.folder, self.family)
      compiled = Compiled(self.family)
      if not first_step:                # before the step is compiled, which may take a minute
        self.sheets(compiled, actions.NoWriter()).draw(0, state)
      dispatch = self.dispatch(state, progress.say) if first_step < self.config.num_steps else None
    with contextlib.ExitStack() as stack:
      opened = lambda closable: stack.enter_context(contextlib.closing(closable))
      mark_restart(self.folder / 'tensorboard', first_step)
      writer = opened(loggers.create(self.config.loggers, self.folder, self.config))
      # The folders of other processes are new at each start.
      every = self.config.log_every_steps if jax.process_index() == 0 else 0
      metrics_file = opened(MetricsFile(self.folder / 'metrics.csv', first_step, every))
      doctor = opened(Doctor(self.config.doctor, self.folder, first_step, writer, progress.say))
      speed = opened(Speed(self.folder, first_step, images_per_step))
      figures = opened(actions.DrawFigures(
          self.config.evaluate_every_steps or self.config.sample_every_steps, self.folder))
      epochs_per_step = images_per_step / len(self.splits.train.images)
      monitor = Monitor(
          self.config.log_every_steps, epochs_per_step, metrics_file, writer, progress, doctor, speed)
      todo = self.actions(compiled, writer, doctor, figures)
      if not first_step:
        todo[0].show(0)
      self.complete(first_step, state, todo, stop)
      step = self.loop(dispatch, state, first_step, monitor, todo, stop)
      monitor.flush()
    return step

  def begin(self):
    """(replicated state, its step): the newest sound checkpoint's, or a new one."""
    init_key = jax.random.fold_in(jax.random.key(self.config.seed), INIT)
    like = jax.eval_shape(self.family.init, init_key)
    state, damaged = self.checkpoints.restore(like)
    _, damaged_best = self.checkpoints.best(like, [step for step, _ in damaged])
    self.checkpoints.set_aside(damaged + damaged_best)
    if state is None:
      self.checkpoints.check_not_lost(last_step(self.folder / 'metrics.csv'), self.config.checkpoint_every_steps)
      state = self.family.init_from_data(jax.jit(self.family.init)(init_key), self.splits.train)
    return jax_utils.replicate(state), int(state.step)

  def dispatch(self, state, say):
    """The compiled training steps of a dispatch; says what they cost, and raises UserError where they cannot fit."""
    dispatch = make_dispatch(self.family, self.augment, self.config.precision)
    if jax.process_count() > 1:         # which compile together, at the first call
      return dispatch
    config = self.config
    shapes = feed.shapes(self.splits.train, config.steps_per_dispatch, self.family.batches_per_step, config.batch_size)
    arguments = state, shapes, jax.random.key(config.seed)
    compiled = compiled_dispatch(dispatch, *arguments)
    step_cost = cost.of(dispatch, compiled, *arguments)
    cost.check_room(step_cost, config.batch_size)
    say(str(step_cost))
    return compiled

  def sheets(self, compiled, writer):
    """The action that draws sheets of samples."""
    config = self.config
    sheet = actions.sheet_of(self.family, self.splits.train.spec, config.samples_per_class, config.num_samples)
    return actions.DrawSamples(config.sample_every_steps, compiled, self.folder, sheet, config.seed, writer,
                               self.splits.train, config.steps_per_dispatch)

  def actions(self, compiled, writer, doctor, figures):
    """What is done between steps, in this order: what takes long at the end comes after the state is saved."""
    config = self.config
    all_along, at_end = (
        actions.Evaluate(every_steps, evaluators, compiled, self.splits, self.folder, config.seed, writer, doctor.add)
        for every_steps, evaluators in self.evaluations())
    return (
        self.sheets(compiled, writer), all_along, figures,
        actions.Save(config.checkpoint_every_steps, self.checkpoints), at_end)

  def evaluations(self):
    """(every how many steps, evaluators) of those that run all along and of those that run at the end."""
    at_end = {name: self.evaluators[name] for name in self.config.evaluators_at_end}
    others = {name: evaluator for name, evaluator in self.evaluators.items() if name not in at_end}
    return (self.config.evaluate_every_steps, others), (0, at_end)

  def loop(self, dispatch, state, first_step, monitor, todo, stop):
    """The steps after `first_step`; returns the last one done."""
    config, key = self.config, jax.random.key(self.config.seed)
    step, profiler = first_step, Profiler(tuple(config.profile_steps), str(self.folder / 'tensorboard'))
    profiler.after(step, state)
    for batches in self.batches(first_step):
      if step == first_step and stop.requested:   # while the step was compiled
        break
      state, metrics = dispatch(state, batches, key)
      step += config.steps_per_dispatch
      monitor.add(step, metrics)
      profiler.after(step, metrics)
      stopping = stop.requested_at(step // config.steps_per_dispatch)
      if any(action.due(step, step == config.num_steps, stopping) for action in todo):
        monitor.flush()                 # so that nothing is drawn from, or saved of, a run that has diverged
        stopping |= self.act(step, state, todo, stop, stopping) and stop.requested
      if stopping:
        break
    profiler.close()
    return step

  def act(self, step, state, todo, stop, stopping):
    """Does what is due after a step: where a stop is requested meanwhile, only the saving. Returns whether it saved."""
    scores: dict[str, float] = {}
    saved = False
    for action in todo:
      if action.due(step, step == self.config.num_steps, stopping or stop.requested):
        call = functools.partial(action, step, state, scores)
        scores.update(call() if action.saves else stop.interruptible(call, {}))
        saved |= action.saves
    return saved

  def complete(self, step, state, todo, stop):
    """Does what was due after the step that a run is continued from, and is not there: it was stopped or killed."""
    if step and jax.process_count() == 1:   # of several, one alone sees what is there
      for action in todo:
        if action.due(step, step >= self.config.num_steps, stopping=False):
          stop.interruptible(functools.partial(action.complete, step, state), None)

  def batches(self, first_step):
    """The batches of the steps after `first_step`, {name: [D, S, K, B, ...]} a dispatch."""
    config = self.config
    return feed.batches(
        self.splits.train, on_device=config.data.on_device, seed=config.seed, first_step=first_step,
        num_steps=config.num_steps, steps_per_dispatch=config.steps_per_dispatch,
        batches_per_step=self.family.batches_per_step, batch_size=config.batch_size)
