"""outputs.json: a list of the files of a finished run, to check later that none is missing."""

import json
from pathlib import Path

from jgen.errors import UserError
from jgen.host.files import is_temporary, read_json, write_text

_FILE = 'outputs.json'
_FOLDERS = ('samples', 'evaluation', 'figures')
_SERIES = ('metrics.csv', 'doctor.csv')


def store(folder: str | Path, step: int) -> None:
  """Writes the list of files of a finished run; call it after all of them are written."""
  folder = Path(folder)
  files = [path for name in _FOLDERS for path in (folder / name).rglob('*')
           if path.is_file() and not is_temporary(path.name)]
  series = [name for name in _SERIES if (folder / name).exists()]   # only adversarial runs have a doctor.csv
  names = [*series, *sorted(path.relative_to(folder).as_posix() for path in files)]
  write_text(folder / _FILE, json.dumps({'step': step, 'files': names}, indent=2) + '\n')


def are_complete(folder: str | Path, step: int) -> bool:
  """Whether a run folder holds the checkpoint of `step` and all files that were listed when the run finished at it."""
  folder = Path(folder)
  if not (folder / _FILE).exists():
    return False
  try:
    listed = read_json(folder / _FILE, 'it will be written again', step=int, files=list)
  except UserError:
    return False                        # then the run starts, has no steps left, and writes the list again
  return listed['step'] == step and (folder / 'checkpoints' / str(step)).is_dir() and all(
      isinstance(name, str) and (folder / name).is_file() for name in listed['files'])
