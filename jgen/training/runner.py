"""Trains a config in a run folder: from the checks of the config to the report and the summary at the end."""

import contextlib
from pathlib import Path
import time
from typing import Any

import jax
from ml_collections import ConfigDict

from jgen.data import stored_spec
from jgen.evaluation import scores_of
from jgen.host import terminal
from jgen.host.processes import check_agreement, together
from jgen.host.progress import duration
from jgen.host.runtime import tell_devices
from jgen.host.signals import StopRequest
from jgen.report.seeds import draw_figures, write_report
from jgen.run import config as config_lib
from jgen.run import description, outputs, scores, seeds
from jgen.run.checkpoints import Checkpoints
from jgen.run.folder import own_folder
from jgen.run.images import check_images, store_images
from jgen.run.records import read_record
from jgen.training import length, profile
from jgen.training.config import completed
from jgen.training.loop import Trainer
from jgen.training.setup import build, identities, load

_OF_A_HOST = ('data.dir', 'data.cache_dir')


def run(config: ConfigDict, workdir: Path, command: str) -> bool:
  """Trains to the last step of a config, from the newest checkpoint in `workdir` if there is one.

  A signal makes it save and return (see `StopRequest`); it then shows `command`, which continues the run.

  Returns:
    Whether a signal requested a stop.

  Raises:
    UserError: the config is invalid, the folder holds another or a longer run, or the training diverged.
  """
  seeds.check_whole(workdir.absolute())
  check_agreement(facts(config, workdir))
  family, evaluators, augment = together(lambda: build(config))
  splits = together(lambda: load(config, family, evaluators))
  # The hosts may hold different weights.
  check_agreement({'the list of measured scores': sorted(scores_of(evaluators, splits.train.spec, family))})
  of_run = len(splits.train.images), family.batches_per_step
  config = length.resolved(config, *of_run)
  together(lambda: length.check_not_passed(workdir, config))
  profile.check(config)
  start = time.monotonic()
  tell_devices()
  if jax.process_index() == 0:
    terminal.say(length.text(config, *of_run))
  images = identities(splits)
  check_agreement({f'the digest of the images to {part}': entry['sha256'] for part, entry in images.items()})
  with contextlib.ExitStack() as stack:
    together(lambda: check_images(workdir, images))
    folder = together(lambda: stack.enter_context(own_folder(workdir, config, completed)))
    stop = stack.enter_context(StopRequest())
    store_images(folder, images)
    for seed in seeds.of(config):
      seeds.make_folder(folder, config, seed)
    for run_folder in {folder, *seeds.folders(folder)}:
      stored_spec.store(run_folder, splits)
      description.store_origin(run_folder, config, command)
    with contextlib.closing(Checkpoints(workdir.absolute(), config.checkpoints)) as checkpoints:
      step = Trainer(config, family, augment, splits, evaluators, folder, checkpoints).run(stop)
    stopped = stop.requested or step < config.num_steps   # by a signal to this or to another process
    stop.saved()
    (write_report if config.report else draw_figures)(folder)
    if not stopped:                     # else the last evaluation may have been interrupted
      outputs.store(folder, step)
    if jax.process_index() == 0:
      terminal.say(summary(folder, step, config, time.monotonic() - start, command if stopped else ''))
  return stop.requested


def facts(config: ConfigDict, workdir: Path) -> dict[str, Any]:
  """The settings {name: value} that all processes of a run must share; folders of images may differ."""
  flat = {f'config.{key}': value for key, value in config_lib.flatten(config.to_dict()).items()
          if key not in _OF_A_HOST}
  return flat | {'--workdir': str(workdir), 'the version of JAX': jax.__version__}


def summary(folder: Path, step: int, config: ConfigDict, seconds: float, command: str) -> str:
  """The final summary of a run: steps, last and best scores, paths, and the command that continues a stopped run.

  `command` is '' for a run that was not stopped.
  """
  lines = [f'step {step:,} of {config.num_steps:,}, {duration(seconds)} in this start']
  measured = {seed: scores.read_all(seeds.folder_of(folder, config, seed)) for seed in seeds.of(config)}
  for seed, evaluation in ((seed, evaluation) for seed, evaluations in measured.items() for evaluation in evaluations):
    values = {name: value for name, value in evaluation.numbers().items() if not scores.is_setting(name)}
    if evaluation.step == step and values:
      of_seed = f'seed {seed}, ' if len(measured) > 1 else ''
      lines += [f'{of_seed}{evaluation.evaluator}: ' + ', '.join(
          f'{name.partition("/")[2]} {value:.4g}' for name, value in values.items())]
  lines += best_line(folder, config.checkpoints)
  entries = {'report': 'report.html', 'comparison': 'comparison.html', 'seeds': 'seeds/',
             'checkpoints': 'checkpoints/', 'samples': 'samples/', 'figures': 'figures/', 'numbers': 'metrics.csv',
             'evaluations': 'evaluation/', 'TensorBoard': 'tensorboard/'}
  entries = {name: entry for name, entry in entries.items() if (folder / entry).exists()}
  doctor = folder / 'doctor.csv'
  if doctor.exists() and ',begins,' in doctor.read_text('utf-8'):
    entries['doctor'] = 'doctor.csv'
  lines += [f'{name:<12} {folder / entry}' for name, entry in entries.items()]
  if command:
    missing = '' if step < config.num_steps else '; the last evaluations and pictures may be missing'
    lines += [f'stopped and saved{missing}; continue with: {command}']
  return '\n'.join(lines)


def best_line(folder: Path, section: ConfigDict) -> list[str]:
  """[a line with the best value so far of the metric that selects the best checkpoint]; [] if there is none."""
  series = read_record(folder).series
  if section.best_metric not in series:
    return []
  values = dict(zip(*series[section.best_metric], strict=True))
  best = scores.best(values, scores.kind(section.best_metric).better)
  return [] if best is None else [f'best {section.best_metric}: {values[best]:.4g} at step {int(best):,}']
