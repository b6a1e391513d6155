"""Runs that train several seeds at once: one checkpoint, and a folder per seed with the layout of a run folder.

The folder of seed k, `seeds/<k>`, holds everything that depends on the seed: metrics, samples, evaluations, figures,
and the config of a run with only this seed.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jgen.errors import UserError
from jgen.host.files import write_text
from jgen.run.config import dumps
from jgen.run.folder import read_config, remove_unfinished

FOLDER = 'seeds'


def of(config: Any) -> tuple[int, ...]:
  """The seeds of a run: config.num_seeds consecutive ones, starting at config.seed."""
  return tuple(range(config.get('seed', 0), config.get('seed', 0) + config.get('num_seeds', 1)))


def alone(config: ConfigDict, seed: int) -> ConfigDict:
  """The ConfigDict of a run with only this seed."""
  config = config.copy_and_resolve_references()
  config.seed, config.num_seeds = seed, 1
  return config.lock()


def folder_of(folder: Path, config: Any, seed: int) -> Path:
  """The folder for everything that depends on the seed: the run folder itself if the run has one seed."""
  return folder if config.get('num_seeds', 1) == 1 else folder / FOLDER / str(seed)


def make_folder(folder: Path, config: ConfigDict, seed: int) -> None:
  """Creates the folder of a seed with its config and removes unfinished files in it, if the run has several seeds."""
  if config.num_seeds > 1:
    own = folder_of(folder, config, seed)
    for name in ('samples', 'evaluation'):
      (own / name).mkdir(parents=True, exist_ok=True)
    remove_unfinished(own)
    write_text(own / 'config.json', dumps(alone(config, seed)))


def folders(folder: Path) -> list[Path]:
  """The folders of all seeds of the run in `folder`; [folder] if it has one seed, or holds no run."""
  config = read_config(folder) if (folder / 'config.json').exists() else {}
  return [folder_of(folder, config, seed) for seed in of(config)]


def run_of(folder: Path) -> Path | None:
  """The run folder that contains the seed folder `folder`; None if `folder` is not a seed folder."""
  run = folder.parent.parent
  is_run = folder.parent.name == FOLDER and (run / 'config.json').exists()
  return run if is_run and folder in folders(run) else None


def check_whole(folder: Path) -> None:
  """Raises UserError if `folder` is the folder of one seed: only the whole run can be resumed."""
  run = run_of(folder)
  if run:
    raise UserError(f'{folder} is one seed of the run in {run}; name that folder with --workdir')


def chosen(config: Any, seed: int | None, folder: Path) -> int:
  """The requested seed, or the first one for None; raises UserError if the run has not trained it."""
  seeds = of(config)
  if seed is not None and seed not in seeds:
    raise UserError(f'{folder} has no seed {seed}; it trained ' + (
        f'{seeds[0]} to {seeds[-1]}' if len(seeds) > 1 else f'only {seeds[0]}'))
  return seeds[0] if seed is None else seed
