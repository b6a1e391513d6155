"""File locks between processes. The operating system releases the locks of a process that ends in any way."""

from collections.abc import Iterator
import contextlib
import errno
from pathlib import Path

import filelock

from jgen.errors import UserError
from jgen.host import terminal

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)   # errors of file systems without flock
_NO_FILE = {errno.ELOOP: 'a link', errno.EISDIR: 'a folder'}


@contextlib.contextmanager
def held(path: Path, waiting: str = '') -> Iterator[None]:
  """Holds the lock of the file `path`.

  If the file system has no locks (some Lustre and FUSE file systems), a file next to `path` names the process that
  holds the lock, with a warning, because other computers cannot check whether that process is still alive.

  Args:
    path: the file, created if missing; its folder has to exist
    waiting: the line to print before waiting for another process; '' does not wait

  Raises:
    UserError: `path` is a link or a folder.
    filelock.Timeout: another process holds the lock, and `waiting` is ''. Its `lock_file` is the file.
  """
  with contextlib.ExitStack() as stack:
    try:
      stack.enter_context(_acquired(filelock.FileLock(path, fallback_to_soft=False), waiting))
    except OSError as error:
      if error.errno in _NO_FILE:
        raise UserError(f'{path} is {_NO_FILE[error.errno]}; expected a lock file; remove it') from error
      if error.errno not in _NO_LOCKS:
        raise
      soft = path.with_name(f'{path.name}.owner')
      terminal.warn(f'the file system of {path.parent} has no locks; {soft} names the process that writes there')
      stack.enter_context(_acquired(filelock.SoftFileLock(soft), waiting))
    yield


def _acquired(lock, waiting):
  """Acquires the lock; the result is a context manager that releases it."""
  try:
    return lock.acquire(timeout=0)
  except filelock.Timeout:
    if not waiting:
      raise
  terminal.tell(waiting)
  return lock.acquire(poll_interval=0.2)
