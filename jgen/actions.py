"""What happens between steps: draw, evaluate, save.

An action is called with (step, replicated state, scores of this step so far) and returns new scores.
"""

from collections.abc import Mapping
import dataclasses
import json
from pathlib import Path
from typing import Any

from flax import jax_utils
import jax
from matplotlib.image import imread
import numpy as np

from jgen.checkpoints import Checkpoints
from jgen.data.spec import Dataset
from jgen.errors import UserError
from jgen.files import write_text
from jgen.report.grids import save_grid
from jgen.sampler import Sampler


@dataclasses.dataclass
class Action:
  """Due every so many steps (0: never) and at the last one."""

  every_steps: int

  def due(self, step, last, stopping):
    """Whether to act after `step`, the `last` of the run or one after which it is `stopping` for now."""
    del stopping
    return last or bool(self.every_steps) and step % self.every_steps == 0


@dataclasses.dataclass
class DrawSamples(Action):
  """Draws a grid of samples, one row a class, from the same latents each time."""

  sampler: Sampler
  folder: Path
  row_names: tuple[str, ...]            # one a class; empty where the labels are ignored
  columns: int
  seed: int
  writer: Any                           # a clu metric writer

  def __call__(self, step, state, scores):
    rows = len(self.row_names) or self.columns
    images = self.sampler(state, np.repeat(np.arange(rows), self.columns), self.seed)
    path = self.folder / 'samples' / f'step_{step:08d}.png'
    save_grid(path, images, self.columns, self.row_names)
    self.writer.write_images(step, {'samples': imread(path)[None, :, :, :3]})
    return {}


@dataclasses.dataclass
class Evaluate(Action):
  """Runs the evaluators and stores what they measured, one JSON file each, with its receipt."""

  evaluators: Mapping[str, Any]         # {name: evaluator}
  sampler: Sampler
  dataset: Dataset
  folder: Path
  seed: int
  writer: Any                           # a clu metric writer

  def __call__(self, step, state, scores):
    scores = {}
    for name, evaluator in self.evaluators.items():
      results = evaluator.measure(lambda labels, seed: self.sampler(state, labels, seed), self.dataset, self.seed)
      record = {'step': step, 'evaluator': name, 'results': results, 'seed': self.seed,
                'averaged_parameters': bool(state.ema_params), 'data': self.dataset.source,
                'settings': dataclasses.asdict(evaluator)}
      write_text(self.folder / 'evaluation' / f'{name}_step_{step:08d}.json', json.dumps(record, indent=2) + '\n')
      scores.update({f'{name}/{key}': value for key, value in results.items() if isinstance(value, (int, float))})
    self.writer.write_scalars(step, scores)
    return scores


@dataclasses.dataclass
class Save(Action):
  """Saves a checkpoint, also where a run is interrupted."""

  checkpoints: Checkpoints

  def due(self, step, last, stopping):
    return stopping or super().due(step, last, stopping)

  def __call__(self, step, state, scores):
    # A copy: on CPU the arrays' memory is the devices', which the next step reuses while Orbax still writes.
    self.checkpoints.save(step, jax.tree.map(lambda x: np.array(jax_utils.unreplicate(x)), state), scores)
    return {}


def check_best(metric, evaluators):
  """Raises UserError if the number by which the best is kept belongs to no evaluator of the run."""
  if metric and metric.split('/')[0] not in evaluators:
    raise UserError(f"config.checkpoints.best_metric is '{metric}', but no such evaluator runs; known: "
                    f"{', '.join(evaluators) or 'none'}")
