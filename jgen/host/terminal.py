"""All output to the terminal: tolerates closed streams, and escapes control characters.

A run must not end because a pipe was closed (`| head`), a terminal was closed, or the disk with the output is full.
"""

from collections.abc import Iterable
import contextlib
import errno
import os
import re
import shlex
import shutil
import sys

# Control characters (C0 without the newline, DEL, C1), line separators and marks that change the direction of text.
# Names of files, classes and config keys may contain them; a terminal would interpret them.
_CONTROL = re.compile('[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_SPECIAL = re.compile(r'["$`\\!]')      # characters with a meaning between the double quotes of a shell


def escaped(text: object) -> str:
  """The text with control characters other than the newline replaced by their escapes, such as `\\x1b`."""
  return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], str(text))


def one_line(text: object) -> str:
  """The text on one line: runs of whitespace become one space, control characters are escaped."""
  return escaped(' '.join(str(text).split()))


def command_line(words: Iterable[object]) -> str:
  """The words as a shell command; tuples such as "('squares:',)" are quoted once, for people to read and change."""
  return ' '.join(f'"{word}"' if "'" in word and not _SPECIAL.search(word) else shlex.quote(word)
                  for word in map(str, words))


def say(text: str, end: str = '\n') -> None:
  """Writes lines to standard output."""
  _write('stdout', escaped(text) + end)


def tell(text: str) -> None:
  """Writes one line to standard error."""
  _write('stderr', one_line(text) + '\n')


def warn(text: str) -> None:
  """Writes one line to standard error, prefixed with 'warning: '."""
  tell(f'warning: {text}')


def is_terminal() -> bool:
  """Whether standard output is a terminal."""
  try:
    return sys.stdout.isatty()
  except (AttributeError, ValueError):  # missing or closed
    return False


def rewrite(line: str, keep: bool) -> None:
  """Overwrites the last rewritten line on a terminal; a line without `keep` is cut to the terminal's width."""
  width = shutil.get_terminal_size().columns - 1
  line = one_line(line)
  _write('stdout', f'\r\033[K{line if keep else line[:width]}' + ('\n' if keep else ''))


def tell_from_signal(text: str) -> None:
  """Writes one line to standard error from a signal handler, which must not use Python's buffered streams."""
  with contextlib.suppress(OSError):
    os.write(2, f'{one_line(text)}\n'.encode(errors='backslashreplace'))


def prepare() -> None:
  """Opens closed standard streams to /dev/null, and escapes characters that the streams cannot encode.

  Otherwise a file opened later would get the descriptor of a closed stream, and library output would go into it.
  """
  for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
    try:
      os.fstat(number)
    except OSError:
      _redirect_to_null(number, mode)
  for number, name in ((1, 'stdout'), (2, 'stderr')):
    if getattr(sys, name) is None:
      setattr(sys, name, open(number, 'w', closefd=False))   # noqa: SIM115, for as long as the process lives
    with contextlib.suppress(AttributeError, ValueError):
      getattr(sys, name).reconfigure(errors='backslashreplace')


def finish() -> None:
  """Flushes the streams, so that Python's own flush at exit cannot fail."""
  for name in ('stdout', 'stderr'):
    _write(name, '')


def _write(name, text):
  stream = getattr(sys, name)
  try:
    stream.write(text)
    stream.flush()
  except BlockingIOError:               # another program has made the pipe non-blocking, and it is full
    with contextlib.suppress(Exception):
      os.set_blocking(stream.fileno(), True)
      stream.flush()
  except RuntimeError:
    pass                                # reentrant call while the stream is being written to
  except (OSError, ValueError, AttributeError) as error:
    _silence(name, error)


def _silence(name, error):
  """Redirects the stream to /dev/null, so that flushing its buffer cannot fail either."""
  with contextlib.suppress(OSError, ValueError, AttributeError):
    _redirect_to_null(getattr(sys, name).fileno(), os.O_WRONLY)
  closed = isinstance(error, BrokenPipeError) or getattr(error, 'errno', None) in (None, errno.EIO)
  if name == 'stdout' and not closed:
    warn(f'standard output cannot be written ({error}); the run continues')


def _redirect_to_null(descriptor, mode):
  null = os.open(os.devnull, mode)
  if null != descriptor:
    os.dup2(null, descriptor)
    os.close(null)
