"""Locks between processes, by files. A process that dies, however it does, leaves none held."""

from collections.abc import Iterator
import contextlib
import errno
from pathlib import Path

import filelock

from jgen.errors import UserError
from jgen.host import terminal

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)   # a file system's that has no flock
_NO_FILE = {errno.ELOOP: 'a link', errno.EISDIR: 'a folder'}


@contextlib.contextmanager
def held(path: Path, waiting: str = '') -> Iterator[None]:
  """Holds the lock of the file `path`.

  Where the file system has no locks (as some of Lustre and FUSE), a file next to `path` names the process that holds
  it. That is warned about: other computers cannot tell whether the process is still alive.

  Args:
    path: the file, made if it is not there, in a folder that is
    waiting: the line to show before waiting for another process; '' does not wait

  Raises:
    UserError: `path` is a link or a folder.
    filelock.Timeout: another process holds it, and `waiting` is ''. Its `lock_file` is the file.
  """
  with contextlib.ExitStack() as stack:
    try:
      stack.enter_context(_acquired(filelock.FileLock(path, fallback_to_soft=False), waiting))
    except OSError as error:
      if error.errno in _NO_FILE:
        raise UserError(f'{path} is {_NO_FILE[error.errno]}; expected a file for the lock; remove it') from error
      if error.errno not in _NO_LOCKS:
        raise
      soft = path.with_name(f'{path.name}.owner')
      terminal.warn(f'the file system of {path.parent} has no locks; {soft} names the process that writes there')
      stack.enter_context(_acquired(filelock.SoftFileLock(soft), waiting))
    yield


def _acquired(lock, waiting):
  """The lock, acquired; released at the end of its `with`."""
  try:
    return lock.acquire(timeout=0)
  except filelock.Timeout:
    if not waiting:
      raise
  terminal.tell(waiting)
  return lock.acquire(poll_interval=0.2)
