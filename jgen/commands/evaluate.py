"""--mode=evaluate: runs a config's evaluators on the newest and the best checkpoint of a run folder."""

from collections.abc import Mapping
import contextlib
from pathlib import Path
from typing import Any

from flax import jax_utils
import jax
from ml_collections import ConfigDict

from jgen import data, evaluation, families
from jgen.errors import UserError
from jgen.families.model import Compiled
from jgen.host import terminal
from jgen.host.runtime import tell_devices
from jgen.report.seeds import draw_figures, write_report
from jgen.run import config as config_lib
from jgen.run import folder as run_folder
from jgen.run import scores, seeds
from jgen.run.checkpoints import Checkpoints, report_passed_over
from jgen.training import actions, loggers
from jgen.training import seeds as stacked
from jgen.training.config import completed


def run(config: ConfigDict, workdir: Path, command: str) -> None:
  """Evaluates the newest undamaged checkpoint, and the best one if it differs; prints and stores the results.

  Raises:
    UserError: the folder holds no run or no checkpoint, or the config differs from that of the run in more than
      its evaluators.
  """
  del command
  folder = workdir.absolute()
  seeds.check_whole(folder)
  check_same_model(run_folder.read_config(folder), config)
  spec = data.describe(config.data)
  family = families.create(config, spec)
  evaluators = evaluation.create(config.evaluators, spec, family, bool(config.data.test_splits))
  run_seeds = seeds.of(config)
  shapes = stacked.shapes(jax.eval_shape(family.init, jax.random.key(0)), len(run_seeds))
  with contextlib.closing(Checkpoints(folder, config.checkpoints, read_only=True)) as checkpoints:
    states, damaged = checkpoints.newest_and_best(shapes)
  if not states:
    raise UserError(f'{folder} holds no checkpoint yet; train first')
  report_passed_over(folder, damaged)
  splits = data.load_splits(config.data)
  evaluation.check_data(evaluators, splits)
  compiled = Compiled(family)
  tell_devices()
  for index, seed in enumerate(run_seeds):
    evaluate = actions.Evaluate(0, evaluators, compiled, splits, seeds.folder_of(folder, config, seed), seed,
                                loggers.NoWriter())
    of_seed = f'seed {seed}, ' if len(run_seeds) > 1 else ''
    for name, state in states.items():
      state = stacked.picked(state, index, len(run_seeds))
      for score, value in evaluate(int(state.step), jax_utils.replicate(state), {}).items():
        if not scores.is_setting(score):
          terminal.say(f'{of_seed}step {int(state.step):,} ({name})  {score} {value:.4g}')
  (write_report if config.report else draw_figures)(folder)


def check_same_model(stored: Mapping[str, Any], config: ConfigDict) -> None:
  """Raises UserError if the config describes another model or data set than the stored config of the run."""
  changed = [line for line in config_lib.differences(config_lib.flatten(completed(stored)), config_lib.flatten(config))
             if not line.startswith(('evaluators', 'data.test_splits'))]
  if changed:
    raise UserError(f'the run has another config ({"; ".join(changed)}); leave --config out to use that of the run')
