"""Scores of a trained run, measured by the evaluators of its config or by others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jgen import data, evaluation
from jgen.trained.run import Trained
from jgen.training import actions, loggers


def measure(run: Trained, config: ConfigDict, folder: Path) -> dict[str, float]:
  """Runs the evaluators of a config on a run and stores the results; returns {'<evaluator>/<entry>': number}.

  Args:
    run: the trained run.
    config: the run's config with the evaluators to run, as returned by `with_evaluator`.
    folder: the folder in which `evaluation/` is written.

  Raises:
    UserError: an evaluator is not applicable; the data is missing.
  """
  evaluators = evaluation.create(config.evaluators, run.spec, run.family, bool(config.data.test_splits))
  splits = data.load_splits(config.data)
  evaluation.check_data(evaluators, splits)
  evaluate = actions.Evaluate(0, evaluators, run.model.compiled, splits, folder, config.seed,
                              loggers.NoWriter())
  return evaluate(run.step, run.model.state, {})


def with_evaluator(config: ConfigDict, name: str, settings: Mapping[str, Any]) -> ConfigDict:
  """The config with the evaluator `name` alone: its keys are those of the config, or defaults, with `settings`."""
  section = ConfigDict(config.evaluators.get(name) or evaluation.default_section(name))
  section.update(settings)
  config = config.copy_and_resolve_references()
  with config.unlocked():
    config.evaluators = ConfigDict({name: section})
  return config
