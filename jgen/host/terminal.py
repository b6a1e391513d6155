"""The one writer to the terminal: it falls silent where nobody listens, and shows names of any characters safely.

A run must not end because a pipe was closed (`| head`), a terminal hung up, or a disk that takes the output is full.
"""

import contextlib
import errno
import os
import re
import shutil
import sys

# Control characters (C0 without the newline, DEL, C1), line separators and marks that reverse the direction of text.
# Names of files, classes and config keys may hold them; a terminal would obey them.
_CONTROL = re.compile('[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]')


def escaped(text: object) -> str:
  """The text with control characters other than the newline replaced by their escapes, as `\\x1b`."""
  return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], str(text))


def one_line(text: object) -> str:
  """The text on one line, control characters escaped: line breaks and runs of spaces become a space."""
  return escaped(' '.join(str(text).split()))


def say(text: str, end: str = '\n') -> None:
  """Writes lines to standard output."""
  _write('stdout', escaped(text) + end)


def tell(text: str) -> None:
  """Writes one line to standard error."""
  _write('stderr', one_line(text) + '\n')


def warn(text: str) -> None:
  """Writes one line to standard error that begins with 'warning: '."""
  tell(f'warning: {text}')


def is_terminal() -> bool:
  """Whether standard output is a terminal."""
  try:
    return sys.stdout.isatty()
  except (AttributeError, ValueError):  # there is none, or it is closed
    return False


def rewrite(line: str, keep: bool) -> None:
  """Writes over the line that was last rewritten, on a terminal; one that is not kept is cut to the width."""
  width = shutil.get_terminal_size().columns - 1
  line = one_line(line)
  _write('stdout', f'\r\033[K{line if keep else line[:width]}' + ('\n' if keep else ''))


def tell_from_signal(text: str) -> None:
  """Writes one line to standard error from a signal handler, which must not enter a stream that is being written."""
  with contextlib.suppress(OSError):
    os.write(2, f'{one_line(text)}\n'.encode(errors='backslashreplace'))


def prepare() -> None:
  """Gives the process its three standard streams where some are closed, and shows what no encoding has as escapes.

  A file that is opened later would else take the number of a closed stream, and what a library prints would go there.
  """
  for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
    try:
      os.fstat(number)
    except OSError:
      _point_at_nothing(number, mode)
  for number, name in ((1, 'stdout'), (2, 'stderr')):
    if getattr(sys, name) is None:
      setattr(sys, name, open(number, 'w', closefd=False))   # noqa: SIM115, for as long as the process lives
    with contextlib.suppress(AttributeError, ValueError):
      getattr(sys, name).reconfigure(errors='backslashreplace')


def finish() -> None:
  """Writes out what libraries left in the streams, so that Python's own attempt at exit cannot fail."""
  for name in ('stdout', 'stderr'):
    _write(name, '')


def _write(name, text):
  stream = getattr(sys, name)
  try:
    stream.write(text)
    stream.flush()
  except BlockingIOError:               # another program has made the pipe answer at once, even if it is full
    with contextlib.suppress(Exception):
      os.set_blocking(stream.fileno(), True)
      stream.flush()
  except RuntimeError:
    pass                                # called while the stream is being written to, which stays as it is
  except (OSError, ValueError, AttributeError) as error:
    _fall_silent(name, error)


def _fall_silent(name, error):
  """Points the stream at nothing, so that what is still in its buffer cannot fail either."""
  with contextlib.suppress(OSError, ValueError, AttributeError):
    _point_at_nothing(getattr(sys, name).fileno(), os.O_WRONLY)
  hung_up = isinstance(error, BrokenPipeError) or getattr(error, 'errno', None) in (None, errno.EIO)
  if name == 'stdout' and not hung_up:
    warn(f'standard output takes no more ({error}); the work goes on')


def _point_at_nothing(number, mode):
  nothing = os.open(os.devnull, mode)
  if nothing != number:
    os.dup2(nothing, number)
    os.close(nothing)
