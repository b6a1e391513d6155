"""jgen from Python: a trained run as an object, training, and the configs. `import jgen` gives these names.

  run = jgen.load('runs/quickstart')
  images = run.sample(64, labels=3, seed=0)        # uint8 [64, H, W, C]
  jgen.grid(images, columns=8)                     # a picture, which a notebook shows
"""

from collections.abc import Sequence
import functools
from pathlib import Path
import shlex
import sys
import tempfile
from typing import Any

from jaxtyping import UInt8
from ml_collections import ConfigDict
import numpy as np
from PIL import Image

from jgen.data import own_pictures
from jgen.errors import UserError, nearest
from jgen.host import files
from jgen.run import config as config_lib
from jgen.run import config_file, records
from jgen.trained.restored import NEWEST
from jgen.trained.run import Trained

# Scores by the name under which they are known, and the evaluator that measures them.
_SCORES = {'fid': 'inception_features', 'kid': 'inception_features', 'inception_score': 'inception_features',
           'precision': 'inception_features', 'recall': 'inception_features', 'elbo': 'ledger',
           'psnr': 'reconstruction_quality', 'ssim': 'reconstruction_quality'}


class Run(Trained):
  """A run folder: its model, as `jgen.trained.run.Trained`, and what it has stored.

  `config` is its ConfigDict, `spec` describes the images, `step` is that of the parameters.
  """

  def __repr__(self):
    shape = 'x'.join(map(str, self.image_shape))
    classes = f', {self.num_classes} classes' if self.num_classes else ''
    return f'<jgen run {self.folder}: {self.config.family} of {self.spec.name} at {shape}{classes}>'

  @property
  def metrics(self) -> dict[str, np.ndarray]:
    """{column: float64 [R]} of metrics.csv, a row per logged step; 'step' is one of the columns. {} without any."""
    return records.read_metrics(self.folder)

  @property
  def scores(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{'<evaluator>/<entry>': (steps [E], values [E])} of all stored evaluations."""
    metrics = self.metrics
    return {name: series for name, series in records.read_record(self.folder).series.items() if name not in metrics}

  @property
  def figures(self) -> dict[str, Path]:
    """{name: path} of the figures, redrawn from the stored numbers: curves, histograms, the samples as a film."""
    from jgen.report.figures import draw_figures  # here, for it imports Matplotlib
    return {path.stem: path for path in draw_figures(self.folder)}

  def report(self) -> Path:
    """Writes report.html of the run, one page with its pictures inside, and its figures as PNG and PDF.

    Returns:
      The page's path.

    Raises:
      UserError: a file of the folder is damaged; names the file.
    """
    from jgen.report.report import write_report  # here, for it imports Matplotlib
    return write_report(self.folder)

  @functools.cached_property
  def priors(self) -> dict[str, 'Run']:
    """{name: Run} of the priors that were fitted to this VQ-VAE."""
    return {path.parent.name: Run(path.parent) for path in sorted(self.folder.glob('priors/*/config.json'))}

  def images_of(self, paths: Any) -> UInt8[np.ndarray, 'n H W C']:
    """Pictures of image files as the model takes them: cropped to the middle, resized, grey where its are.

    Args:
      paths: a file, a folder, or a sequence of them.

    Returns:
      uint8 [n, H, W, C].

    Raises:
      UserError: a file is missing or is no picture.
    """
    return own_pictures.read(paths, self.image_shape)[0]

  def evaluate(self, name: str, **settings: Any) -> dict[str, Any]:
    """Measures a score on the run's data set, which has to be there, and stores it in the run folder with its receipt.

    Without the averaged parameters (`averaged=False`) nothing is stored.

    Args:
      name: an evaluator, as 'class_consistency' (docs/scores.md), or a score, as 'fid', 'kid', 'elbo'.
      **settings: keys of the evaluator's section of a config (docs/config.md), as num_generated=1_000; by default the
        run's own.

    Returns:
      {entry: number}; of a score those whose names begin with it, as {'fid@10000': 12.3}.

    Raises:
      UserError: no such evaluator; it cannot serve this model; its data or weights are missing.
    """
    from jgen.trained import measuring  # here, for it imports TensorFlow
    evaluator = _SCORES.get(name, name)
    with tempfile.TemporaryDirectory() as passing:
      folder = self.folder if self.averaged else Path(passing)
      numbers = measuring.measure(self, measuring.with_evaluator(self.config, evaluator, settings), folder)
    numbers = {entry.partition('/')[2]: value for entry, value in numbers.items()}
    return {entry: value for entry, value in numbers.items() if name == evaluator or entry.startswith(name)}


def load(folder: str | Path, step: str | int = NEWEST, averaged: bool = True, of_seed: int | None = None) -> Run:
  """The Run in a folder, whatever devices it was trained on; its data set is not needed.

  Args:
    folder: the run folder, as 'runs/quickstart'.
    step: 'newest', 'best', or the number of a step that is saved.
    averaged: whether the moving average of the parameters is used where the run has one.
    of_seed: of a run that trains several seeds (config.num_seeds), which; None for the first.

  Raises:
    UserError: the folder holds no run, or not that seed; later, where the model is first used, no checkpoint or not
      this one.
  """
  return Run(folder, step, averaged, of_seed)


def train(config: ConfigDict, workdir: str | Path) -> Run:
  """Trains a config in a run folder, resuming from its newest checkpoint if there is one; Ctrl-C saves.

  Args:
    config: a ConfigDict, as of `jgen.config`.
    workdir: the run folder.

  Returns:
    The Run.

  Raises:
    UserError: the config cannot work, the folder holds another run, or the training diverged.
  """
  from jgen.host import runtime
  from jgen.training import runner  # here, for it imports TensorFlow
  runtime.start_jax()
  runner.run(config, files.folder(workdir), _command(workdir))
  return load(workdir)


def _command(workdir):
  """The command line that trains what this process trains: of a notebook or a prompt, the one for the stored config."""
  script = sys.argv[0] if sys.argv else ''
  if script not in ('', '-c', '-') and Path(script).stem != 'ipykernel_launcher':
    return shlex.join(['python', *sys.argv])
  return shlex.join(['python', 'launch.py', f'--config=jgen/recipes/stored.py:{workdir}', f'--workdir={workdir}'])


def compare(*runs: 'Run | str | Path', folder: str | Path = 'runs/comparison') -> Path:
  """Compares runs on one page: curves, samples, scores and the keys in which their configs differ.

  Args:
    *runs: two or more, each a Run or a run folder.
    folder: for the page and its figures, PNG and PDF; new, empty or that of an earlier comparison, which is replaced.

  Returns:
    The path of comparison.html; its figures are in `figures/` in the same folder.

  Raises:
    UserError: fewer than two runs; one is none; the folder holds something else.
  """
  from jgen.report import comparison  # here, for it imports Matplotlib
  folders = [run.folder if isinstance(run, Run) else files.expanded(run) for run in runs]
  if len(folders) < 2:
    raise UserError(f'{len(folders)} run is compared; two at least are needed')
  return comparison.compare(folders, files.folder(folder))


def config(name: str | Path, evaluators: str = '', **overrides: Any) -> ConfigDict:
  """A config of `configs/`, to be changed, trained or read.

  Args:
    name: of a file in `configs/`, as 'wgan_svhn', or the path of a config file.
    evaluators: names, separated by commas, to measure with instead of the config's own; with a + before the first,
      in addition to them.
    **overrides: keys and their values, as num_steps=100 or **{'model.latent_size': 32}.

  Returns:
    A locked ConfigDict: its keys may be set, none may be added.

  Raises:
    UserError: there is no such config, evaluator or key, or the value is of another type.
  """
  made = config_file.load(config_file.with_evaluators(str(name), evaluators))
  known = config_lib.flatten(made)
  for key, value in overrides.items():
    if key not in known:
      raise UserError(f"config key '{key}' is not known; {nearest(key, known)}")
    try:
      made.update_from_flattened_dict({key: value})
    except (TypeError, ValueError) as error:
      raise UserError(f'config.{key} is {value!r}, of another type than {known[key]!r}') from error
  config_file.one_length(made, overrides)
  return made


def grid(images: Any, columns: int = 10, row_names: Sequence[str] = ()) -> Image.Image:
  """Images in rows and columns as one `PIL.Image`, which notebooks show and `save` writes.

  Args:
    images: uint8 [n, H, W, C] or [rows, columns, H, W, C], C 1 or 3.
    columns: of images [n, H, W, C]; the last row is filled up in grey.
    row_names: one a row, or none.
  """
  from jgen.images.grids import SEPARATOR_COLOR, compose_grid  # here, for it imports Matplotlib
  images = np.asarray(images)
  if images.ndim == 5:
    columns, images = images.shape[1], images.reshape(-1, *images.shape[2:])
  columns = min(columns, len(images))
  missing = np.full((-len(images) % columns, *images.shape[1:]), SEPARATOR_COLOR, np.uint8)
  return Image.fromarray(compose_grid(np.concatenate([images, missing]), columns, tuple(row_names)))
