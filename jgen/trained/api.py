"""The Python API: a trained run as an object, training, and the configs. `import jgen` exports these names.

  run = jgen.load('runs/quickstart')
  images = run.sample(64, labels=3, seed=0)        # uint8 [64, H, W, C]
  jgen.grid(images, columns=8)                     # a picture, shown in a notebook
"""

from collections.abc import Sequence
import functools
from pathlib import Path
import sys
import tempfile
from typing import Any

from jaxtyping import UInt8
from ml_collections import ConfigDict
import numpy as np
from PIL import Image

from jgen.data import own_pictures
from jgen.errors import UserError, nearest
from jgen.host import files, terminal
from jgen.run import config as config_lib
from jgen.run import config_file, records
from jgen.trained.restored import NEWEST
from jgen.trained.run import Trained

# {usual name of a score: the evaluator that measures it}.
_SCORES = {'fid': 'inception_features', 'kid': 'inception_features', 'inception_score': 'inception_features',
           'precision': 'inception_features', 'recall': 'inception_features', 'elbo': 'ledger',
           'psnr': 'reconstruction_quality', 'ssim': 'reconstruction_quality'}


class Run(Trained):
  """A run folder: its model, as `jgen.trained.run.Trained`, and its stored results.

  `config` is its ConfigDict, `spec` describes the images, `step` is the training step of the parameters.
  """

  def __repr__(self):
    shape = 'x'.join(map(str, self.image_shape))
    classes = f', {self.num_classes} classes' if self.num_classes else ''
    return f'<jgen run {self.folder}: {self.config.family} of {self.spec.name} at {shape}{classes}>'

  @property
  def metrics(self) -> dict[str, np.ndarray]:
    """{column: float64 [R]} of metrics.csv, a row per logged step; 'step' is one of the columns. {} for none."""
    return records.read_metrics(self.folder)

  @property
  def scores(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{'<evaluator>/<entry>': (steps [E], values [E])} of all stored evaluations."""
    metrics = self.metrics
    return {name: series for name, series in records.read_record(self.folder).series.items() if name not in metrics}

  @property
  def figures(self) -> dict[str, Path]:
    """{name: path} of the figures, redrawn from the stored numbers: curves, histograms, and a film of samples."""
    from jgen.report.figures import draw_figures  # here, because it imports Matplotlib
    return {path.stem: path for path in draw_figures(self.folder)}

  def report(self) -> Path:
    """Writes report.html of the run, one page with embedded pictures, and its figures as PNG and PDF.

    Returns:
      The page's path.

    Raises:
      UserError: a file of the folder is damaged; the error names it.
    """
    from jgen.report.report import write_report  # here, because it imports Matplotlib
    return write_report(self.folder)

  @functools.cached_property
  def priors(self) -> dict[str, 'Run']:
    """{name: Run} for the priors fitted to this VQ-VAE."""
    return {path.parent.name: Run(path.parent) for path in sorted(self.folder.glob('priors/*/config.json'))}

  def images_of(self, paths: Any) -> UInt8[np.ndarray, 'n H W C']:
    """Reads image files and fits them to the model: cropped to the centre, resized, grey if the model's images are.

    Args:
      paths: a file, a folder, or a sequence of them.

    Returns:
      uint8 [n, H, W, C].

    Raises:
      UserError: a file is missing or is not an image.
    """
    return own_pictures.read(paths, self.image_shape)[0]

  def evaluate(self, name: str, **settings: Any) -> dict[str, Any]:
    """Measures a score on the run's data set, which must be available; stores it with its receipt in the run folder.

    Nothing is stored for a run loaded without its averaged parameters (`averaged=False`).

    Args:
      name: an evaluator, such as 'class_consistency' (docs/scores.md), or a score, such as 'fid', 'kid', 'elbo'.
      **settings: keys of the evaluator's section in a config (docs/config.md), such as num_generated=1_000; by default
        those of the run.

    Returns:
      {entry: number}; for a score, the entries whose names start with it, such as {'fid@10000': 12.3}.

    Raises:
      UserError: no such evaluator; it is not applicable to this model; its data or weights are missing.
    """
    from jgen.trained import measuring  # here, because it imports TensorFlow
    evaluator = _SCORES.get(name, name)
    with tempfile.TemporaryDirectory() as passing:
      folder = self.folder if self.averaged else Path(passing)
      numbers = measuring.measure(self, measuring.with_evaluator(self.config, evaluator, settings), folder)
    numbers = {entry.partition('/')[2]: value for entry, value in numbers.items()}
    return {entry: value for entry, value in numbers.items() if name == evaluator or entry.startswith(name)}


def load(folder: str | Path, step: str | int = NEWEST, averaged: bool = True, of_seed: int | None = None) -> Run:
  """The Run in a folder, on any devices; its data set is not needed.

  Args:
    folder: the run folder, such as 'runs/quickstart'.
    step: 'newest', 'best', or the number of a saved step.
    averaged: whether the moving average of the parameters is used, if the run has one.
    of_seed: the seed, for a run that trains several seeds (config.num_seeds); None for the first.

  Raises:
    UserError: the folder holds no run, or not that seed. When the model is first used: there is no checkpoint, or not
      the requested one.
  """
  return Run(folder, step, averaged, of_seed)


def train(config: ConfigDict, workdir: str | Path) -> Run:
  """Trains a config in a run folder, resuming from its newest checkpoint if there is one; Ctrl-C saves.

  Args:
    config: a ConfigDict, as returned by `jgen.config`.
    workdir: the run folder.

  Returns:
    The Run.

  Raises:
    UserError: the config is invalid, the folder holds another run, or the training diverged.
  """
  from jgen.host import runtime
  from jgen.training import runner  # here, because it imports TensorFlow
  runtime.start_jax()
  runner.run(config, files.folder(workdir), _command(workdir))
  return load(workdir)


def _command(workdir):
  """The command line that repeats this training; in a notebook or at a prompt, the one for the stored config."""
  script = sys.argv[0] if sys.argv else ''
  if script not in ('', '-c', '-') and Path(script).stem != 'ipykernel_launcher':
    return terminal.command_line(['python', *sys.argv])
  return terminal.command_line(['python', 'launch.py', f'--config=jgen/recipes/stored.py:{workdir}',
                                f'--workdir={workdir}'])


def compare(*runs: 'Run | str | Path', folder: str | Path = 'runs/comparison') -> Path:
  """Compares runs on one page: curves, samples, scores and the keys in which their configs differ.

  Args:
    *runs: two or more, each a Run or a run folder.
    folder: for the page and its figures, PNG and PDF; new, empty, or one with an earlier comparison, which is replaced.

  Returns:
    The path of comparison.html; its figures are in `figures/` in the same folder.

  Raises:
    UserError: fewer than two runs; one of them is not a run; the folder holds something else.
  """
  from jgen.report import comparison  # here, because it imports Matplotlib
  folders = [run.folder if isinstance(run, Run) else files.expanded(run) for run in runs]
  if len(folders) < 2:
    raise UserError(f'a comparison needs at least two runs, but got {len(folders)}')
  return comparison.compare(folders, files.folder(folder))


def config(name: str | Path, evaluators: str = '', **overrides: Any) -> ConfigDict:
  """A config of `configs/`, to modify, train or read.

  Args:
    name: name of a file in `configs/`, such as 'wgan_svhn', or the path of a config file.
    evaluators: names, separated by commas, of evaluators that replace the config's own; with a + before the first,
      they are added to them.
    **overrides: keys and their values, such as num_steps=100 or **{'model.latent_size': 32}.

  Returns:
    A locked ConfigDict: keys can be set, but not added.

  Raises:
    UserError: there is no such config, evaluator or key, or a value has the wrong type.
  """
  result = config_file.load(config_file.with_evaluators(str(name), evaluators))
  defaults = config_lib.flatten(result)
  for key, value in overrides.items():
    if key not in defaults:
      raise UserError(f"config key '{key}' is not known; {nearest(key, defaults)}")
    try:
      result.update_from_flattened_dict({key: value})
    except (TypeError, ValueError) as error:
      raise UserError(f'config.{key} is {value!r}, of another type than {defaults[key]!r}') from error
  config_file.one_length(result, overrides)
  return result


def grid(images: Any, columns: int = 10, row_names: Sequence[str] = ()) -> Image.Image:
  """Images in rows and columns as one `PIL.Image`, which notebooks display.

  Args:
    images: uint8 [n, H, W, C] or [rows, columns, H, W, C], C 1 or 3.
    columns: for images [n, H, W, C]; the last row is filled up with grey.
    row_names: one per row, or none.
  """
  from jgen.images.grids import SEPARATOR_COLOR, compose_grid  # here, because it imports Matplotlib
  images = np.asarray(images)
  if images.ndim == 5:
    columns, images = images.shape[1], images.reshape(-1, *images.shape[2:])
  columns = min(columns, len(images))
  missing = np.full((-len(images) % columns, *images.shape[1:]), SEPARATOR_COLOR, np.uint8)
  return Image.fromarray(compose_grid(np.concatenate([images, missing]), columns, tuple(row_names)))
