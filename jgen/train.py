"""The training loop. It knows a Family, and no model by name."""

from collections.abc import Callable, Mapping
import contextlib
import dataclasses
import functools
import json
from pathlib import Path
import tempfile
import time
from typing import Any

from clu import metric_writers
from flax import jax_utils
import jax
from jax import lax
from ml_collections import ConfigDict

from jgen import actions, augmentation, data, evaluation, families, feed, images, run_folder
from jgen.checkpoints import Checkpoints
from jgen.data.spec import Splits
from jgen.doctor import Doctor
from jgen.errors import UserError
from jgen.families.base import Family
from jgen.model import Compiled
from jgen.monitor import Monitor
from jgen.parallel import AXIS
from jgen.progress import Progress, duration
from jgen.report.figures import draw_figures
from jgen.report.records import read_record
from jgen.runtime import StopRequest

_INIT = 2**31                           # folded into the key for the initial values; no step has this number


def step_on_device(family, augment, key, state, batches):
  """One step on one device: (state, {name: [] mean over the devices}). Its key is a function of (seed, step)."""
  batches = {**batches, 'image': augment(key, state.step, images.to_float(batches['image']))}
  state, metrics = family.train_step(state, batches, jax.random.fold_in(key, state.step))
  return state.replace(step=state.step + 1), lax.pmean(metrics, AXIS)


def make_dispatch(family, augment=augmentation.unchanged, devices=None):
  """The compiled function (state, {name: [D, S, K, B, ...]}, key) -> (state, {name: [D, S]})."""
  def dispatch(state, batches, key):
    return lax.scan(functools.partial(step_on_device, family, augment, key), state, batches)
  return jax.pmap(dispatch, axis_name=AXIS, in_axes=(0, 0, None), donate_argnums=0, devices=devices)


def check_devices(config):
  """Raises UserError unless the batch divides evenly over all devices."""
  if config.batch_size % jax.device_count():
    raise UserError(f'config.batch_size is {config.batch_size}, which does not divide over {jax.device_count()} '
                    f'devices; use a multiple of {jax.device_count()}')


@contextlib.contextmanager
def own_folder(workdir, config):
  """The folder that this process writes to: the run folder for process 0, a passing one for the others."""
  if jax.process_index() == 0:
    with run_folder.opened(workdir, config) as folder:
      yield folder
  else:
    with tempfile.TemporaryDirectory() as scratch, run_folder.opened(scratch, config) as folder:
      yield folder


def build(config):
  """(family, evaluators, augmentation) of a config; raises UserError if it cannot work."""
  check_devices(config)
  spec = data.describe(config.data)
  family = families.create(config, spec)
  evaluators = evaluation.create(config.evaluators, spec, family, bool(config.data.test_splits))
  augment = augmentation.create(config.augmentation)
  actions.check_evaluators(config, evaluators)
  return family, evaluators, augment


def load(config, family, evaluators):
  """The images of a config, as Splits; raises UserError if it cannot work on them."""
  splits = data.load_splits(config.data)
  family.check_data(splits.train)
  evaluation.check_data(evaluators, splits)
  if config.data.on_device:
    feed.check_room(splits.train)
  return splits


def run(config, workdir, command):
  """Trains to `config.num_steps`, from the newest checkpoint in `workdir` if there is one.

  Ctrl-C and SIGTERM save and return; `command` is shown then, to go on with.

  Returns:
    Whether a signal asked to stop.

  Raises:
    UserError: the config cannot work, the folder holds another run, or the training diverged.
  """
  family, evaluators, augment = build(config)
  splits = load(config, family, evaluators)
  start = time.monotonic()
  with own_folder(workdir, config) as folder, StopRequest() as stop:
    with contextlib.closing(Checkpoints(workdir.absolute(), config.checkpoints)) as checkpoints:
      step = Trainer(config, family, augment, splits, evaluators, folder, checkpoints).run(stop)
    draw_figures(folder)
    if jax.process_index() == 0:
      print(summary(folder, step, config, time.monotonic() - start, command))
  return stop.requested


def summary(folder, step, config, seconds, command):
  """The last words of a run: what was done, measured, last and at best, and where it all lies."""
  lines = [f'step {step:,} of {config.num_steps:,}, {duration(seconds)} in this start']
  for path in sorted(folder.glob(f'evaluation/*_step_{step:08d}.json')):
    record = json.loads(path.read_text())
    lines += [f'{record["evaluator"]}: ' + ', '.join(
        f'{name} {value:.4g}' for name, value in record['results'].items() if isinstance(value, (int, float)))]
  lines += best_line(folder, config.checkpoints)
  entries = {'checkpoints': 'checkpoints/', 'samples': 'samples/', 'figures': 'figures/', 'numbers': 'metrics.csv',
             'evaluations': 'evaluation/', 'TensorBoard': 'tensorboard/'}
  if ',begins,' in (folder / 'doctor.csv').read_text('utf-8'):
    entries['doctor'] = 'doctor.csv'
  lines += [f'{name:<12} {folder / entry}' for name, entry in entries.items()]
  if step < config.num_steps:
    lines += [f'stopped and saved; go on with: {command}']
  return '\n'.join(lines)


def best_line(folder, section):
  """[the best value so far of the number by which the best checkpoint is kept], [] where there is none."""
  series = read_record(folder).series
  if section.best_metric not in series:
    return []
  steps, values = series[section.best_metric]
  best = int(values.argmax() if section.best_is_highest else values.argmin())
  return [f'best {section.best_metric}: {values[best]:.4g} at step {int(steps[best]):,}']


@dataclasses.dataclass(frozen=True)
class Trainer:
  """A run: what is trained, on what, and where it is kept."""

  config: ConfigDict
  family: Family
  augment: Callable                     # an augmentation, see jgen.augmentation.create
  splits: Splits
  evaluators: Mapping[str, Any]         # {name: evaluator}
  folder: Path                          # that this process writes to
  checkpoints: Checkpoints

  def run(self, stop):
    """Trains until `config.num_steps` or until `stop` asks to; returns the last step done."""
    state, first_step = self.begin()
    run_folder.record_start(self.folder, first_step, self.splits.train.source)
    progress = Progress(self.config.num_steps, self.config.batch_size * self.family.batches_per_step,
                        quiet=jax.process_index() > 0 or first_step == self.config.num_steps)
    writer = metric_writers.SummaryWriter(str(self.folder / 'tensorboard'))
    with (contextlib.closing(run_folder.MetricsFile(self.folder / 'metrics.csv', first_step)) as metrics_file,
          contextlib.closing(Doctor(self.config.doctor, self.folder, first_step, writer, progress.say)) as doctor):
      monitor = Monitor(self.config.log_every_steps, metrics_file, writer, progress, doctor)
      todo = self.actions(writer, doctor)
      step = self.loop(state, first_step, monitor, todo, stop)
      if first_step >= self.config.num_steps and jax.process_count() == 1:   # of several, one alone sees what is there
        todo[-1].complete(step, state)
      monitor.flush()
    writer.close()
    return step

  def begin(self):
    """(replicated state, its step): the newest sound checkpoint's, or a new one."""
    init_key = jax.random.fold_in(jax.random.key(self.config.seed), _INIT)
    state, damaged = self.checkpoints.restore(jax.eval_shape(self.family.init, init_key))
    self.checkpoints.set_aside(damaged)
    if state is None:
      state = self.family.adapt(jax.jit(self.family.init)(init_key), self.splits.train)
    return jax_utils.replicate(state), int(state.step)

  def actions(self, writer, doctor):
    """What is done between steps, in this order: what takes long at the end comes after the state is saved."""
    config, compiled = self.config, Compiled(self.family)
    row_names = self.splits.train.spec.label_names if self.family.num_classes else ()
    all_along, at_end = (
        actions.Evaluate(every_steps, evaluators, compiled, self.splits, self.folder, config.seed, writer, doctor.add)
        for every_steps, evaluators in self.evaluations())
    return (
        actions.DrawSamples(config.sample_every_steps, compiled, self.folder, row_names, config.samples_per_class,
                            config.seed, writer),
        all_along, actions.Save(config.checkpoint_every_steps, self.checkpoints), at_end)

  def evaluations(self):
    """(every how many steps, evaluators) of those that run all along and of those that run at the end."""
    at_end = {name: self.evaluators[name] for name in self.config.evaluators_at_end}
    others = {name: evaluator for name, evaluator in self.evaluators.items() if name not in at_end}
    return (self.config.evaluate_every_steps, others), (0, at_end)

  def loop(self, state, first_step, monitor, todo, stop):
    """The steps after `first_step`; returns the last one done."""
    config, key = self.config, jax.random.key(self.config.seed)
    dispatch = make_dispatch(self.family, self.augment)
    step = first_step
    for batches in self.batches(first_step):
      state, metrics = dispatch(state, batches, key)
      step += config.steps_per_dispatch
      monitor.add(step, metrics)
      stopping = stop.requested_at(step // config.steps_per_dispatch)
      due = [action for action in todo if action.due(step, step == config.num_steps, stopping)]
      if due:
        monitor.flush()                 # so that nothing is drawn from, or saved of, a run that has diverged
        scores = {}
        for action in due:
          scores.update(action(step, state, scores))
      if stopping:
        break
    return step

  def batches(self, first_step):
    """The batches of the steps after `first_step`, {name: [D, S, K, B, ...]} a dispatch."""
    config = self.config
    return feed.batches(
        self.splits.train, on_device=config.data.on_device, seed=config.seed, first_step=first_step,
        num_steps=config.num_steps, steps_per_dispatch=config.steps_per_dispatch,
        batches_per_step=self.family.batches_per_step, batch_size=config.batch_size)
