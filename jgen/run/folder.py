"""The run folder: its creation, its lock and its stored config."""

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import tempfile
from typing import Any

import filelock
import jax
from ml_collections import ConfigDict

from jgen.errors import UserError
from jgen.host import locks
from jgen.host.files import OUTPUT_MARK, is_temporary, mark_output, read_json, remove_temporaries, write_text
from jgen.run import config as config_lib

_BEFORE_A_RUN = ('.lock', '.lock.owner', OUTPUT_MARK, 'data.png')   # files allowed in a folder without a run


@contextlib.contextmanager
def opened(workdir: str | Path, config: ConfigDict, completed: Callable[[Any], Any] = dict) -> Iterator[Path]:
  """The run folder as a Path, created or continued, and locked against a second writer.

  Args:
    workdir: the folder.
    config: of the run.
    completed: adds to a stored config, a nested dict, the defaults of keys that later versions introduced.

  Raises:
    UserError: the folder holds a run of another config, holds other files, or is in use.
  """
  folder = Path(workdir).absolute()
  check(folder, config, completed)
  with locked(folder):
    remove_unfinished(folder)
    write_text(folder / 'config.json', config_lib.dumps(config))
    for name in ('samples', 'evaluation') if config.get('num_seeds', 1) == 1 else ():   # else in seeds/
      (folder / name).mkdir(exist_ok=True)
    yield folder


def remove_unfinished(folder: Path) -> None:
  """Removes the temporary files that killed processes left in a run folder, or in the folder of one of its seeds."""
  remove_temporaries(folder, folder / 'samples', folder / 'evaluation', folder / 'figures')


@contextlib.contextmanager
def own_folder(workdir: str | Path, config: ConfigDict, completed: Callable[[Any], Any] = dict) -> Iterator[Path]:
  """The folder of this process: the run folder (see `opened`) for process 0, a temporary one for the others."""
  if jax.process_index() == 0:
    with opened(workdir, config, completed) as folder:
      yield folder
  else:
    with tempfile.TemporaryDirectory() as scratch, opened(scratch, config) as folder:
      yield folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
  """Creates the folder if needed and locks it; raises UserError if another process holds the lock."""
  mark_output(folder)
  with contextlib.ExitStack() as stack:
    try:
      stack.enter_context(locks.held(folder / '.lock'))
    except filelock.Timeout as error:
      raise UserError(f'{folder} is in use by another process ({error.lock_file} is locked); wait for it or name '
                      'another --workdir') from None
    yield


def check(folder: Path, config: ConfigDict, completed: Callable[[Any], Any] = dict) -> None:
  """Raises UserError if `folder` cannot hold a run of this config (see `opened`). Writes nothing."""
  if folder.exists() and not folder.is_dir():
    raise UserError(f'{folder} is a file; name a folder with --workdir')
  if (folder / 'config.json').exists():
    changed = config_lib.differences(
        config_lib.flatten(completed(read_config(folder))), config_lib.flatten(config))
    if changed:
      raise UserError(f'{folder} holds a run of another config ({"; ".join(changed)}); name another --workdir')
  elif not is_free(folder):
    raise UserError(f'{folder} holds files but no run (no config.json); name another --workdir')


def is_free(folder: Path) -> bool:
  """Whether a folder is missing, or holds only files that are allowed before a run."""
  return not folder.is_dir() or all(
      entry.name in _BEFORE_A_RUN or is_temporary(entry.name) for entry in folder.iterdir())


def read_config(folder: str | Path) -> dict[str, Any]:
  """The stored config as a nested dict, without keys that were removed since, which are named in a warning.

  It may lack keys that later versions added.

  Raises:
    UserError: there is no stored config, it is damaged, or a later version wrote it.
  """
  path = Path(folder) / 'config.json'
  if not path.exists():
    raise UserError(f'{folder} holds no run (no config.json); name a run folder with --workdir')
  return config_lib.upgraded(read_json(path, 'restore it, or name another --workdir', family=str), path)
