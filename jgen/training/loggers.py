"""Loggers for metrics, pictures and hyperparameters in addition to the files of the run folder: clu metric writers.

clu imports TensorFlow, so it is imported only when a writer is created.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
import numpy as np

from jgen.data.host import without_keras
from jgen.errors import UserError
from jgen.run.config import flatten


class NoWriter:
  """A metric writer that writes nothing, without clu and what it imports."""

  def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
    pass

  def write_images(self, step: int, images: Mapping[str, Any]) -> None:
    pass

  def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
    pass

  def flush(self) -> None:
    pass

  def close(self) -> None:
    pass


def create(names: Sequence[str], folder: Path, config: ConfigDict) -> Any:
  """One clu metric writer for all loggers of these names, or NoWriter for none; the hyperparameters are written.

  Args:
    names: keys of LOGGERS.
    folder: the run folder.
    config: the run's ConfigDict.

  Raises:
    UserError: the package of a logger is not installed.
  """
  if not names:
    return NoWriter()
  writer = _clu().MultiWriter([LOGGERS[name](folder, config) for name in names])
  writer.write_hparams(hyperparameters(config))
  return writer


def _clu():
  with without_keras():
    from clu import metric_writers
  return metric_writers


def hyperparameters(config: ConfigDict) -> dict[str, Any]:
  """{dotted key: number, truth value or text} of a config."""
  return {key: value if isinstance(value, (int, float, str)) else str(value)
          for key, value in flatten(config).items()}


def _tensorboard(folder, config):
  del config
  return _clu().SummaryWriter(str(folder / 'tensorboard'))


def _wandb(folder, config):
  try:
    import wandb
  except ImportError as error:
    raise UserError("config.loggers names 'wandb', which is not installed; pip install -e '.[wandb]', or remove "
                    'it') from error
  return wandb_writer(wandb.init(
      project='jgen', name=Path(folder).name, dir=str(folder), config=hyperparameters(config), resume='allow',
      id=Path(folder).name, reinit='finish_previous'))


def wandb_writer(run: Any) -> Any:
  """A clu metric writer to a run of Weights & Biases. WANDB_MODE=offline keeps the run on the local disk."""
  import wandb
  with without_keras():
    from clu import metric_writers

  class Writer(metric_writers.MetricWriter):
    """The methods that jgen calls; all others raise NotImplementedError."""

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
      run.log({name: float(value) for name, value in scalars.items()}, step=step)

    def write_images(self, step: int, images: Mapping[str, Any]):
      run.log({name: [wandb.Image(np.asarray(image)) for image in batch] for name, batch in images.items()}, step=step)

    def write_texts(self, step: int, texts: Mapping[str, str]):
      run.log({name: wandb.Html(f'<pre>{text}</pre>') for name, text in texts.items()}, step=step)

    def write_hparams(self, hparams: Mapping[str, Any]):
      run.config.update(dict(hparams), allow_val_change=True)

    def write_summaries(self, step, values, metadata=None):
      raise NotImplementedError

    def write_histograms(self, step, arrays, num_buckets=None):
      raise NotImplementedError

    def write_audios(self, step, audios, *, sample_rate):
      raise NotImplementedError

    def write_videos(self, step, videos):
      raise NotImplementedError

    def write_pointcloud(self, step, point_clouds, *, point_colors=None, configs=None):
      raise NotImplementedError

    def flush(self):
      pass

    def close(self):
      run.finish()

  return Writer()


LOGGERS = {'tensorboard': _tensorboard, 'wandb': _wandb}
