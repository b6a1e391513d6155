"""launch.py for tests: the same program, which draws few of its figures."""

from pathlib import Path
import sys
from types import SimpleNamespace

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]

from jgen.host import runtime  # noqa: E402, the path is set above

if __name__ == '__main__':
  sys.argv[0] = str(ROOT / 'launch.py')
  runtime.prepare()                     # restarts the process once, before the heavy imports
  from helpers import figures

  from jgen.commands import main
  with runtime.importing():
    figures.draw_only(SimpleNamespace(setattr=setattr), figures.FEW)
  main.console()
