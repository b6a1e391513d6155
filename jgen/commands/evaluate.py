"""The same evaluators and samples as in training, on the checkpoints of a run folder."""

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
from jgen.training import actions
from jgen.training import seeds as stacked
from jgen.training.config import completed


def run(config: ConfigDict, workdir: Path, command: str) -> None:
  """Evaluates the newest sound checkpoint, and the best one if it is another; prints and stores the results.

  Raises:
    UserError: the folder holds no run, or one whose config differs in more than its evaluators, or no checkpoint.
  """
  del command
  folder = workdir.absolute()
  seeds.check_whole(folder)
  check_same_model(run_folder.read_config(folder), config)
  spec = data.describe(config.data)
  family = families.create(config, spec)
  evaluators = evaluation.create(config.evaluators, spec, family, bool(config.data.test_splits))
  known = seeds.of(config)
  like = stacked.shapes(jax.eval_shape(family.init, jax.random.key(0)), len(known))
  with contextlib.closing(Checkpoints(folder, config.checkpoints, read_only=True)) as checkpoints:
    states, damaged = checkpoints.newest_and_best(like)
  if not states:
    raise UserError(f'{folder} holds no checkpoint yet; train first')
  report_passed_over(folder, damaged)
  splits = data.load_splits(config.data)
  evaluation.check_data(evaluators, splits)
  compiled = Compiled(family)
  tell_devices()
  for index, seed in enumerate(known):
    evaluate = actions.Evaluate(0, evaluators, compiled, splits, seeds.folder_of(folder, config, seed), seed,
                                actions.NoWriter())
    of_seed = f'seed {seed}, ' if len(known) > 1 else ''
    for name, state in states.items():
      state = stacked.picked(state, index, len(known))
      for score, value in evaluate(int(state.step), jax_utils.replicate(state), {}).items():
        if not scores.is_setting(score):
          terminal.say(f'{of_seed}step {int(state.step):,} ({name})  {score} {value:.4g}')
  (write_report if config.report else draw_figures)(folder)


def check_same_model(stored: Mapping[str, Any], config: ConfigDict) -> None:
  """Raises UserError if what was trained is not what the config describes."""
  changed = [line for line in config_lib.differences(config_lib.flatten(completed(stored)), config_lib.flatten(config))
             if not line.startswith(('evaluators', 'data.test_splits'))]
  if changed:
    raise UserError(f'the run is of another config ({"; ".join(changed)}); leave --config out to take its own')
