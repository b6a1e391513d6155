"""--mode=prior: fits priors over the latents of a trained VQ-VAE one after the other, and compares them.

Each is an ordinary run in `RUN/priors/<name>`, of a family with the frozen VQ-VAE (`families/latent_prior.py`).
Together they form a study and are compared like one.
"""

from collections.abc import Sequence
import dataclasses
from pathlib import Path
import re
from typing import Any

from flax import jax_utils
import jax
from ml_collections import ConfigDict
import numpy as np

from jgen import data, families
from jgen.commands import study
from jgen.commands.evaluate import check_same_model
from jgen.commands.variations import Variation
from jgen.errors import UserError, choose
from jgen.evaluation.shared import spread
from jgen.families.base import Family
from jgen.families.model import Compiled, Model
from jgen.host import terminal
from jgen.images.grids import save_grid
from jgen.report.report import write_report
from jgen.run import checkpoints
from jgen.run import config as config_lib
from jgen.run import folder as run_folder
from jgen.training.config import completed

COLUMNS = 10                            # images per row of the picture
ROWS = 2                                # rows per kind of images


def run(config: ConfigDict, workdir: Path, command: str) -> None:
  """Fits `config.priors.names` to the VQ-VAE in `workdir`, resuming stopped ones, and draws their comparison.

  Other priors that were fitted before, with the same settings, are included in the comparison.

  Raises:
    UserError: the folder holds no trained VQ-VAE, or one with another config; a prior has invalid settings (nothing
      is fitted then) or was fitted to an earlier state of the VQ-VAE; fitting one of them failed.
  """
  if jax.process_count() > 1:
    raise UserError('--mode=prior runs in one process; start it without --coordinator')
  if config.num_seeds > 1:
    raise UserError(f'the run in {workdir} trained {config.num_seeds} seeds at once; priors need a run of one '
                    'seed: train it with config.num_seeds=1')
  source = Source.read(config, workdir.absolute())
  by_name = {name: study.Run(source.variation(name), source.priors / name, noun='prior')
             for name in (*names(config), *known(config))}
  priors = [prior for name, prior in by_name.items()
            if name in config.priors.names or prior.status == 'done' and not changes(prior)]
  for prior in priors:
    check(prior, config.priors[prior.variation.name])
  study.check_folder(source.priors)
  with run_folder.locked(source.priors):
    study.Study(source.priors, priors, command).run()
    if all(prior.status == 'done' for prior in priors):
      terminal.say(f'{"samples":<12} {draw(source.priors / "samples.png", config, priors)}')
      if config.report:                 # the VQ-VAE's report shows its priors
        terminal.say(f'{"report":<12} {write_report(source.folder)}')


def names(config: ConfigDict) -> tuple[str, ...]:
  """The names of the requested priors; raises UserError if there are none, or one is unknown."""
  for name in config.priors.names:
    choose('priors.names', name, known(config))
  if not config.priors.names:
    raise UserError(f'config.priors.names is empty; name some of: {", ".join(known(config))}')
  return tuple(config.priors.names)


def known(config: ConfigDict) -> dict[str, Any]:
  """{name: section} of all priors in the config."""
  return {name: section for name, section in config.priors.items() if hasattr(section, 'items')}


@dataclasses.dataclass(frozen=True)
class Source:
  """The run of a VQ-VAE to which priors are fitted."""

  config: ConfigDict
  folder: Path
  step: int                             # of its newest checkpoint

  @classmethod
  def read(cls, config: ConfigDict, folder: Path) -> 'Source':
    """Raises UserError if the folder holds no trained VQ-VAE of this config."""
    stored = run_folder.read_config(folder)
    if stored['family'] != config.family or 'priors' not in config:   # only configs of VQ-VAEs have this section
      raise UserError(f"{folder} holds a run of the family '{stored['family']}', not a VQ-VAE; name the folder "
                      'of one with --workdir')
    check_same_model(stored, config)
    family = families.create(config, data.describe(config.data))
    state = checkpoints.newest(folder, jax.eval_shape(family.init, jax.random.key(0)))
    return cls(config, folder, int(state.step))

  @property
  def priors(self) -> Path:
    """The folder of the priors' runs."""
    return self.folder / 'priors'

  def variation(self, name: str) -> Variation:
    """The run of a prior: the data and seed of the VQ-VAE, with the family, steps and evaluators of the prior."""
    config, section = self.config.copy_and_resolve_references(), self.config.priors[name]
    with config.unlocked():
      del config['priors']
      config.update({key: value for key, value in section.items() if key not in ('model', 'evaluators')})
      config.evaluators = section.evaluators
      config.model = ConfigDict({'vqvae_dir': str(self.folder), 'vqvae_step': self.step, 'vqvae': self.config.model,
                                 'prior': section.model})
    config.study.variations = ()
    config.checkpoints.best_metric = ''
    length = f'num_epochs={config.num_epochs:g}' if config.num_epochs else f'num_steps={config.num_steps}'
    return Variation(name, name, f'family={config.family} {length}',
                     config.copy_and_resolve_references())


def check(prior: study.Run, section: ConfigDict) -> None:
  """Raises UserError if a study.Run is invalid, or its folder holds a prior with other settings or another VQ-VAE."""
  changed = changes(prior)
  if changed:
    raise UserError(f'{prior.folder} holds a prior with other settings ({"; ".join(changed)}); move it '
                    'away to fit a new one')
  try:
    prior.check()
  except UserError as error:            # it names keys of the run, which the user sets in the section of the prior
    where, line = f'config.priors.{prior.variation.name}.', str(error).replace('config.model.prior.', 'config.model.')
    raise UserError(re.sub(rf'config\.(?=({"|".join(section)})\b)', where, line)) from error


def changes(prior: study.Run) -> list[str]:
  """The settings in which the stored prior of a study.Run differs, one line each; [] if there is no stored prior."""
  if not (prior.folder / 'config.json').exists():
    return []
  return config_lib.differences(
      config_lib.flatten(completed(run_folder.read_config(prior.folder))), config_lib.flatten(prior.variation.config))


def draw(path: Path, config: ConfigDict, priors: Sequence[study.Run]) -> Path:
  """Writes a picture: real test images, their reconstructions, and as many samples of each prior, row by row.

  A conditional prior gets the labels of the real images, which are repeated if there are too few. Returns `path`.
  """
  splits = data.load_splits(config.data)
  dataset = splits.test or splits.train
  rows = np.resize(spread(ROWS * COLUMNS, dataset), ROWS * COLUMNS)
  real, labels = dataset.images[rows], dataset.labels[rows]
  models = {prior.variation.name: load(prior) for prior in priors}
  kinds = {'real': real, 'reconstructed': next(iter(models.values())).reconstruct(real),
           **{name: model.sample(labels, config.seed) for name, model in models.items()}}
  row_names = [name for kind in kinds for name in (kind, *[''] * (ROWS - 1))]
  save_grid(path, np.concatenate([*kinds.values()]), COLUMNS, tuple(row_names))
  return path


def load(prior: study.Run) -> Model:
  """The Model of the newest checkpoint of a study.Run."""
  config = prior.variation.config
  family: Family = families.create(config, data.describe(config.data))
  state = checkpoints.newest(prior.folder, jax.eval_shape(family.init, jax.random.key(0)))
  return Model(Compiled(family), jax_utils.replicate(state))
