"""The figures and the page of a run: of one that trains several seeds, each seed's and their comparison."""

import dataclasses
from pathlib import Path

from jgen.report import figures
from jgen.report.comparison import Compared, read_runs, write_comparison
from jgen.report.report import write_report as write_report_of_one
from jgen.run import seeds
from jgen.run.folder import read_config


def draw_figures(folder: Path) -> None:
  """Draws the figures of the run in `folder`; of several seeds, their curves over each other with mean and band.

  Raises UserError, naming the file, where what is stored is damaged.
  """
  if len(seeds.folders(folder)) == 1:
    figures.draw_figures(folder)
  else:
    write_comparison(folder, read_seeds(folder))


def write_report(folder: Path) -> Path:
  """Writes the page of the run in `folder`; of several seeds, one for each and their comparison. Returns its path.

  Raises:
    UserError: the folder holds no run, or a file of it is damaged; names the file.
  """
  folders = seeds.folders(folder)
  pages = [write_report_of_one(each) for each in folders]
  return pages[0] if len(pages) == 1 else write_comparison(folder, read_seeds(folder))


def read_seeds(folder: Path) -> list[Compared]:
  """The seeds of a run as the runs [Compared] of a comparison."""
  names = seeds.of(read_config(folder))
  return [dataclasses.replace(run, name=f'seed {seed}', settings=f'seed={seed}')
          for seed, run in zip(names, read_runs(seeds.folders(folder)), strict=True)]
