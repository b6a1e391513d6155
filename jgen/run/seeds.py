"""Runs that train several seeds in one step: one checkpoint, and a folder per seed with the layout of a run folder.

The folder of seed k, `seeds/<k>`, holds what depends on the seed: metrics, samples, evaluations, figures, and the
config of the run with this seed alone.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jgen.errors import UserError
from jgen.host.files import write_text
from jgen.run.config import dumps
from jgen.run.folder import read_config

FOLDER = 'seeds'


def of(config: Any) -> tuple[int, ...]:
  """The seeds that a run of a config trains: config.num_seeds of them, from config.seed on."""
  return tuple(range(config.get('seed', 0), config.get('seed', 0) + config.get('num_seeds', 1)))


def alone(config: ConfigDict, seed: int) -> ConfigDict:
  """The ConfigDict of the run with this seed alone."""
  config = config.copy_and_resolve_references()
  config.seed, config.num_seeds = seed, 1
  return config.lock()


def folder_of(folder: Path, config: Any, seed: int) -> Path:
  """The folder for everything that depends on the seed: the run folder itself if the run has one seed."""
  return folder if config.get('num_seeds', 1) == 1 else folder / FOLDER / str(seed)


def make_folder(folder: Path, config: ConfigDict, seed: int) -> None:
  """Makes the folder of a seed, with its config; nothing for a run of one seed, whose folder is there."""
  if config.num_seeds > 1:
    own = folder_of(folder, config, seed)
    for name in ('samples', 'evaluation'):
      (own / name).mkdir(parents=True, exist_ok=True)
    write_text(own / 'config.json', dumps(alone(config, seed)))


def folders(folder: Path) -> list[Path]:
  """The folders of all seeds of the run in `folder`; [folder] where it has one seed, or holds no run."""
  config = read_config(folder) if (folder / 'config.json').exists() else {}
  return [folder_of(folder, config, seed) for seed in of(config)]


def run_of(folder: Path) -> Path | None:
  """The run folder that contains the seed folder `folder`; None if `folder` is not a seed folder."""
  whole = folder.parent.parent
  known = folder.parent.name == FOLDER and (whole / 'config.json').exists()
  return whole if known and folder in folders(whole) else None


def check_whole(folder: Path) -> None:
  """Raises UserError if `folder` is the folder of one seed: a run is continued as a whole."""
  whole = run_of(folder)
  if whole:
    raise UserError(f'{folder} is one seed of the run in {whole}; name that folder with --workdir')


def chosen(config: Any, seed: int | None, folder: Path) -> int:
  """The requested seed, the first one for None; raises UserError if the run has not trained it."""
  known = of(config)
  if seed is not None and seed not in known:
    raise UserError(f'{folder} has no seed {seed}; it trained ' + (
        f'{known[0]} to {known[-1]}' if len(known) > 1 else f'{known[0]} alone'))
  return known[0] if seed is None else seed
