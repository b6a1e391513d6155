"""Orbax checkpoints, each with a digest; the latest ones and the best one are kept."""

from collections.abc import Mapping, Sequence
import contextlib
import dataclasses
import hashlib
import json
import math
from pathlib import Path
import shutil
from typing import Any

from absl import logging
import jax
from ml_collections import ConfigDict
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jgen.errors import UserError, choose
from jgen.host import terminal
from jgen.host.files import write_text
from jgen.host.processes import gathered
from jgen.keys import completed, key
from jgen.run import folder as run_folder
from jgen.run import scores as scores_lib

State = Any                             # a TrainState, of arrays or of their shapes
_MARK = 'saved.json'                    # the last step whose checkpoint is certainly complete
_OTHER_ARRAYS = 'its arrays do not match this model: another version of jgen wrote it, or config.json was changed'


def digest(state: Any) -> str:
  """sha256 over the names, types, shapes and bytes of all arrays, in hexadecimal.

  Orbax restores flipped bytes silently as wrong numbers; the digest detects them.
  """
  hashed = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    hashed.update(f'{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}'.encode())
    hashed.update(np.ascontiguousarray(leaf).data)
  return hashed.hexdigest()


@dataclasses.dataclass(frozen=True)
class BestMetric:
  """The score that selects the best checkpoint; stored with each checkpoint, so that it survives a restart.

  Orbax's own metrics are not used: they rank NaN, and checkpoints of older versions lack them.
  """

  name: str                             # '' for no best checkpoint
  folder: Path                          # the run folder
  values: dict[int, float] = dataclasses.field(default_factory=dict)   # {step: value} of checkpoints with a value

  def best(self, steps: Sequence[int]) -> int | None:
    """The best of the steps; None if none of them has a value."""
    return scores_lib.best({step: self.values[step] for step in steps if step in self.values},
                           scores_lib.kind(self.name).better)

  def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
    """Implements Orbax's PreservationPolicy: one bool per checkpoint."""
    del context
    best = self.best([checkpoint.step for checkpoint in checkpoints])
    return [checkpoint.step == best for checkpoint in checkpoints]

  def sealed(self, step: int) -> dict[str, Any]:
    """The metadata to store with the checkpoint of a step, JSON values; {} if the step has no value."""
    if step not in self.values:
      return {}
    return {'best_metric': self.name, 'value': self.values[step], 'sha256': _seal(self.name, self.values[step])}

  def recall(self, step: int, meta: Mapping[str, Any]) -> None:
    """Reads the value of a step from its checkpoint's metadata, else from the evaluation of that step."""
    value: Any = meta.get('value')
    if meta.get('best_metric') == self.name and meta.get('sha256') == _seal(self.name, value):
      self.values[step] = value
    else:
      path = scores_lib.path_of(self.folder, self.name.partition('/')[0], step)
      numbers = scores_lib.Evaluation.read(path).numbers() if path.exists() else {}
      if self.name in numbers:
        self.values[step] = float(numbers[self.name])


def _seal(name, value):
  return hashlib.sha256(f'{name} {value!r}'.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Keys:
  """The keys of config.checkpoints."""

  keep_last: int = key(3, 'number of newest checkpoints to keep', at_least=1)
  best_metric: str = key('', "score whose best checkpoint is kept in addition: `<evaluator>/<entry>`, such "
                             "as inception_features/fid@10000 or ledger/elbo; '' for none")


class Checkpoints:
  """The checkpoints of one run folder."""

  def __init__(self, folder: Path, section: ConfigDict, read_only: bool = False) -> None:
    """`section` is `config.checkpoints`."""
    self._folder = folder / 'checkpoints'
    self._mark, self._unmarked = folder / _MARK, None
    self._metric = BestMetric(section.best_metric, folder)
    policies = [checkpoint_managers.LatestN(section.keep_last), *([self._metric] if section.best_metric else [])]
    self._manager = _opened(self._folder, read_only, checkpoint_managers.AnyPreservationPolicy(policies))
    if not read_only:                   # an earlier process may have been killed between save and mark
      self._unmarked = self._manager.latest_step()
    for step in self._manager.all_steps():
      self.recall(step)

  def recall(self, step: int) -> None:
    """Reads the score of a step's checkpoint, which may have been measured after the checkpoint was saved."""
    if self._metric.name:
      self._metric.recall(step, self._meta(step))

  def _meta(self, step):
    """The metadata stored with the checkpoint of a step; {} if it is damaged."""
    try:
      meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))['meta']
      return meta if isinstance(meta, dict) else {}
    except Exception:  # Orbax raises bare Exceptions for damaged files
      return {}

  def save(self, step: int, state: State, scores: Mapping[str, float]) -> None:
    """Starts writing a checkpoint of `state`, numpy arrays that must not change, unless this step is saved already.

    `scores` is {name: number} of this step's evaluation, empty if there was none.

    Raises:
      UserError: not enough disk space; `scores` lacks config.checkpoints.best_metric.
    """
    if scores and self._metric.name:
      value = choose('checkpoints.best_metric', self._metric.name, scores)
    if step in self._manager.all_steps():
      return
    if scores and self._metric.name and not math.isnan(value):
      self._metric.values[step] = float(value)
    self._wait()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    free = shutil.disk_usage(self._folder).free
    if free < 1.1 * size + 2**20:
      raise UserError(f'not enough disk space for the checkpoint of step {step}: {size / 1e6:.1f} MB are needed and '
                      f'{free / 1e6:.1f} MB free in {self._folder}; the earlier checkpoints are kept, free some space '
                      'and run the same command again')
    self._unmarked = step
    self._manager.save(step, args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        meta=ocp.args.JsonSave({'digest': digest(state), **self._metric.sealed(step)})))

  def restore(self, like: State) -> tuple[State | None, list[tuple[int, str]]]:
    """The newest undamaged checkpoint as numpy arrays, or None if there is no checkpoint.

    Args:
      like: a TrainState of shapes.

    Returns:
      (state, [(step, why) of newer checkpoints that are damaged])

    Raises:
      UserError: there are checkpoints, but none can be read.
    """
    damaged: list[tuple[int, str]] = []
    for step in sorted(self._manager.all_steps(), reverse=True):
      state, why = None, ''
      try:
        state = self.read(step, like)
      except Exception as error:  # Orbax raises bare Exceptions for damaged files
        why = _why(error) or 'unreadable'
      why = next(filter(None, gathered(why)), '')   # damaged for one process is damaged for all
      if not why:
        return state, damaged
      damaged.append((step, why))
    if damaged:
      raise UserError(f'none of the checkpoints in {self._folder} can be read (step {damaged[0][0]}: {damaged[0][1]}); '
                      'name another --workdir to start a new run')
    return None, damaged

  def newest_and_best(self, like: State) -> tuple[dict[str, State], list[tuple[int, str]]]:
    """({'newest': state, 'best': state}, [(step, why) of damaged checkpoints that were skipped]).

    'best' is missing if it is the newest checkpoint or no score is known; without any checkpoint the dict is empty.

    Raises:
      UserError: there are checkpoints, but none can be read.
    """
    state, damaged = self.restore(like)
    best, damaged_best = self.best(like, [step for step, _ in damaged])
    if state is None:
      return {}, damaged + damaged_best
    states = {'newest': state}
    if best is not None and int(best.step) != int(state.step):
      states['best'] = best
    return states, damaged + damaged_best

  def best(self, like: State, passed_over: Sequence[int] = ()) -> tuple[State | None, list[tuple[int, str]]]:
    """(state of the best undamaged checkpoint, None if no score is known; [(step, why) of damaged better ones])."""
    damaged: list[tuple[int, str]] = []
    while True:
      bad = (*passed_over, *(step for step, _ in damaged))
      best = self._metric.best([step for step in self._manager.all_steps() if step not in bad])
      if best is None:
        return None, damaged
      try:
        return self.read(best, like), damaged
      except Exception as error:  # Orbax raises bare Exceptions for damaged files
        damaged.append((best, _why(error)))

  def read(self, step: int, like: State) -> State:
    """The state saved at `step`; raises an Exception if it is damaged."""
    empty = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
    restored = self._manager.restore(step, args=ocp.args.Composite(
        state=ocp.args.StandardRestore(empty), meta=ocp.args.JsonRestore()))
    if digest(restored['state']) != restored['meta']['digest']:
      raise ValueError('its arrays do not match their digest')
    # Orbax restores arrays in their stored shapes.
    if [leaf.shape for leaf in jax.tree.leaves(restored['state'])] != [leaf.shape for leaf in jax.tree.leaves(empty)]:
      raise ValueError(_OTHER_ARRAYS)
    return restored['state']

  def of_step(self, step: Any, like: State) -> State:
    """The state saved at `step`; raises UserError if there is none, or it is damaged."""
    steps = sorted(self._manager.all_steps())
    if step not in steps:
      raise UserError(f'{self._folder} holds no checkpoint of step {step}; it holds: '
                      f'{", ".join(map(str, steps)) or "none"}')
    try:
      return self.read(step, like)
    except Exception as error:  # Orbax raises bare Exceptions for damaged files
      raise UserError(f'the checkpoint of step {step} in {self._folder} cannot be read: {_why(error)}; choose '
                      f'another of: {", ".join(map(str, steps))}') from error

  def set_aside(self, damaged: Sequence[tuple[int, str]]) -> None:
    """Moves damaged checkpoints to `checkpoints_damaged/`, with a warning; only process 0 does it."""
    for step, why in damaged if jax.process_index() == 0 else ():
      aside = self._folder.with_name('checkpoints_damaged') / str(step)
      aside.parent.mkdir(exist_ok=True)
      shutil.rmtree(aside, ignore_errors=True)
      shutil.move(self._folder / str(step), aside)
      terminal.warn(f'the checkpoint of step {step} is damaged ({why}); it was moved to {aside} and another is used')
    if damaged:
      gathered('')                      # a barrier, so that no process reads the folder before
      self._manager.reload()

  def _wait(self):
    try:
      self._manager.wait_until_finished()
    except Exception as error:   # disk errors, of a different type in each layer
      raise UserError(
          f'a checkpoint could not be written to {self._folder}: {error}; the earlier ones are kept') from error
    if self._unmarked is not None and jax.process_index() == 0:
      write_text(self._mark, json.dumps({'step': self._unmarked}) + '\n')
    self._unmarked = None

  def check_not_lost(self, last_logged: int, every_steps: int) -> None:
    """Raises UserError if checkpoints were saved but none is left, since training would restart at step 0.

    Args:
      last_logged: the last step in metrics.csv, which detects this for runs of older versions: the second save waits
        until the first is complete, so later steps are logged only if there was a checkpoint.
      every_steps: steps between checkpoints.
    """
    if not self._manager.all_steps() and (self._mark.exists() or last_logged > 2 * every_steps):
      folder = self._mark.parent
      raise UserError(f'{folder} holds a run of {last_logged:,} logged steps, but its checkpoints are gone; put '
                      f'{self._folder} back, or start a new run: name another --workdir, or move {folder} away')

  def close(self) -> None:
    self._wait()
    self._manager.close()


def _opened(folder, read_only, policy):
  """Orbax's manager of a folder; raises UserError if its metadata cannot be read."""
  verbosity = logging.get_verbosity()
  if read_only:                         # hides Orbax's warning that it is read-only, which is intended
    logging.set_verbosity(logging.ERROR)
  try:
    return ocp.CheckpointManager(folder, options=ocp.CheckpointManagerOptions(
        create=not read_only, read_only=read_only, cleanup_tmp_directories=not read_only, preservation_policy=policy))
  except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
    raise UserError(f'{folder} cannot be read ({_why(error)}): a file _CHECKPOINT_METADATA in it is damaged; delete '
                    'that file, checkpoints can be read without it') from error
  finally:
    logging.set_verbosity(verbosity)


def _why(error):
  """The message of an Orbax error, shortened."""
  text = ' '.join(str(error).split())
  return _OTHER_ARRAYS if 'tree structures do not match' in text else text[:120]


NEWEST, BEST = 'newest', 'best'


def newest(folder: str | Path, like: State) -> State:
  """The newest undamaged checkpoint of a run folder, for a TrainState of shapes; does not change the folder.

  Raises:
    UserError: the folder holds no run, or no checkpoint, or none that can be read.
  """
  return chosen(folder, like, NEWEST)


def chosen(folder: str | Path, like: State, which: str | int) -> State:
  """A checkpoint of a run folder as numpy arrays; does not change the folder.

  Args:
    folder: the run folder.
    like: a TrainState of shapes.
    which: NEWEST for the newest undamaged one, BEST for the best by `config.checkpoints.best_metric`, or a step.

  Raises:
    UserError: the folder holds no run or no checkpoint; the checkpoint is missing or cannot be read.
  """
  folder = Path(folder).absolute()
  section = ConfigDict(completed(Keys, run_folder.read_config(folder).get('checkpoints', {})))
  if not (folder / 'checkpoints').is_dir():
    raise UserError(f'{folder} holds no checkpoint yet; train first')
  with contextlib.closing(Checkpoints(folder, section, read_only=True)) as checkpoints:
    if which == NEWEST:
      state, damaged = checkpoints.restore(like)
    elif which == BEST:
      states, damaged = checkpoints.newest_and_best(like)
      state = states.get(BEST, states.get(NEWEST))
    else:
      state, damaged = checkpoints.of_step(which, like), []
  if state is None:
    raise UserError(f'{folder} holds no checkpoint yet; train first')
  report_passed_over(folder, damaged)
  return state


def report_passed_over(folder: str | Path, damaged: Sequence[tuple[int, str]]) -> None:
  """Warns about each damaged checkpoint, [(step, why)], that another one is used instead."""
  for step, why in damaged:
    terminal.warn(f'the checkpoint of step {step} in {folder} is damaged ({why}); another is used')
