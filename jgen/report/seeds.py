"""The figures and the page of a run; for a run of several seeds, those of each seed and their comparison."""

import dataclasses
from pathlib import Path

from jgen.report import figures
from jgen.report.comparison import Compared, read_runs, write_comparison
from jgen.report.report import write_report as write_report_of_one
from jgen.run import seeds
from jgen.run.folder import read_config


def draw_figures(folder: Path) -> None:
  """Draws the figures of the run in `folder`; for several seeds, also overlaid curves with mean and band.

  Raises UserError, naming the file, if a stored file is damaged.
  """
  if len(seeds.folders(folder)) == 1:
    figures.draw_figures(folder)
  else:
    write_comparison(folder, read_seeds(folder))


def write_report(folder: Path) -> Path:
  """Writes the page of the run in `folder`; for several seeds, one page each and their comparison. Returns its path.

  Raises:
    UserError: the folder holds no run, or one of its files is damaged; the error names it.
  """
  folders = seeds.folders(folder)
  pages = [write_report_of_one(seed_folder) for seed_folder in folders]
  return pages[0] if len(pages) == 1 else write_comparison(folder, read_seeds(folder))


def read_seeds(folder: Path) -> list[Compared]:
  """The seeds of a run as runs [Compared] of a comparison."""
  names = seeds.of(read_config(folder))
  return [dataclasses.replace(run, name=f'seed {seed}', settings=f'seed={seed}')
          for seed, run in zip(names, read_runs(seeds.folders(folder)), strict=True)]
