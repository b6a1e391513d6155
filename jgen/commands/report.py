"""--mode=report: the report of a run folder, as one page."""

from collections.abc import Sequence
from pathlib import Path

from jgen.errors import UserError
from jgen.host.terminal import say
from jgen.report.seeds import write_report


def run(paths: Sequence[Path], workdir: Path | None = None) -> None:
  """Writes report.html and the figures of a run, from the files of its folder alone, also while it is training.

  Args:
    paths: the run folder, unless `workdir` names it.
    workdir: the run folder.

  Raises:
    UserError: no or several folders are given, the folder holds no run, or one of its files is damaged.
  """
  folders = [*paths, *([workdir] if workdir else [])]
  if len(folders) != 1:
    raise UserError('--mode=report takes one run folder: python launch.py --mode=report --workdir=runs/NAME')
  say(f'report       {write_report(Path(folders[0]).absolute())}')
