"""Reads the pickles of CIFAR-10 without unpickling: nothing that a file names is imported or called.

pickletools lists the operations of a pickle without executing them. This module executes only those that build
numbers, strings, lists and dictionaries. The only objects it supports are numpy arrays of bytes, which it builds
itself. Anything else is refused.
"""

from collections.abc import Callable
import dataclasses
import pickletools
from typing import Any

import numpy as np

_ARRAYS = frozenset((                   # the names in a pickled array, of old and new versions of numpy
    'numpy.core.multiarray _reconstruct', 'numpy._core.multiarray _reconstruct', 'numpy ndarray', 'numpy dtype'))
_ENCODE = '_codecs encode'              # how protocols below 3 hold bytes: their Latin-1 text, and 'latin1'
_CONSTANTS = frozenset((
    'BININT', 'BININT1', 'BININT2', 'INT', 'LONG', 'LONG1', 'BINUNICODE', 'SHORT_BINUNICODE', 'UNICODE', 'BINUNICODE8',
    'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8'))
_TEXTS = frozenset(('BINSTRING', 'SHORT_BINSTRING', 'STRING'))   # Python 2 bytes, which pickletools decodes as Latin-1
_LITERALS: dict[str, Callable[[], object]] = {
    'NONE': lambda: None, 'NEWTRUE': lambda: True, 'NEWFALSE': lambda: False, 'EMPTY_LIST': list, 'EMPTY_DICT': dict,
    'EMPTY_TUPLE': tuple}
_TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_MAX_OPERATIONS = 1_000_000             # a published batch has 41,000


class PickleError(ValueError):
  """A pickle cannot be read; the message gives the reason in a few words."""


@dataclasses.dataclass
class _Named:
  """An object of the pickle that is not constructed: its name, call arguments and state."""

  name: str
  arguments: tuple = ()
  state: object = None


def entries(content: bytes) -> dict:
  """{str: value} of a pickled dictionary, with arrays of bytes as numpy arrays and Python 2 strings as bytes.

  Raises:
    PickleError: it is damaged, holds no dictionary, or names other objects than arrays of bytes.
  """
  machine = _Machine()
  try:
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
      if count > _MAX_OPERATIONS:
        raise PickleError('it has more operations than a batch of CIFAR-10')
      machine.do(operation.name, argument)
    dictionary, = machine.stack
    if not isinstance(dictionary, dict):
      raise PickleError('it holds no dictionary')
    return {key.decode('latin-1') if isinstance(key, bytes) else str(key):
            _array(value) if isinstance(value, _Named) else value for key, value in dictionary.items()}
  except PickleError:
    raise
  except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError, MemoryError) as error:
    raise PickleError(f'damaged: {" ".join(str(error).split())[:100] or type(error).__name__}') from error


class _Machine:
  """The stack and memo of a pickle."""

  def __init__(self):
    self.stack, self._marks, self._memo = [], [], {}

  def do(self, name: str, argument: Any) -> None:
    """Executes one operation; raises PickleError if it is not supported."""
    if name in _CONSTANTS:
      self.stack.append(argument)
    elif name in _TEXTS:
      self.stack.append(argument.encode('latin-1'))
    elif name in _LITERALS:
      self.stack.append(_LITERALS[name]())
    elif name in _TUPLES:
      self.stack[-_TUPLES[name]:] = [tuple(self.stack[-_TUPLES[name]:])]
    else:
      self._do_other(name, argument)

  def _do_other(self, name, argument):
    operation = getattr(self, f'_{name.lower()}', None)
    if operation is None:
      raise PickleError(f'it uses the operation {name}, which no batch of CIFAR-10 does')
    operation(argument)

  def _ignore(self, argument):
    pass

  _proto = _frame = _stop = _ignore

  def _mark(self, argument):
    self._marks.append(len(self.stack))

  def _since_mark(self):
    start = self._marks.pop()
    items, self.stack[start:] = self.stack[start:], []
    return items

  def _binput(self, argument):
    self._memo[argument] = self.stack[-1]

  _long_binput = _put = _binput

  def _memoize(self, argument):
    self._memo[len(self._memo)] = self.stack[-1]

  def _binget(self, argument):
    self.stack.append(self._memo[argument])

  _long_binget = _get = _binget

  def _tuple(self, argument):
    self.stack.append(tuple(self._since_mark()))

  def _append(self, argument):
    item = self.stack.pop()
    self._of_kind(list).append(item)

  def _appends(self, argument):
    items = self._since_mark()
    self._of_kind(list).extend(items)

  def _setitem(self, argument):
    value, key = self.stack.pop(), self.stack.pop()
    self._of_kind(dict)[key] = value

  def _setitems(self, argument):
    items = self._since_mark()
    self._of_kind(dict).update(zip(items[::2], items[1::2], strict=True))

  def _of_kind(self, kind):
    if type(self.stack[-1]) is not kind:
      raise PickleError(f'damaged: it adds to something that is not a {kind.__name__}')
    return self.stack[-1]

  def _global(self, argument):
    if argument not in _ARRAYS and argument != _ENCODE:
      raise PickleError(f"it names '{argument.replace(' ', '.')}', which would run when it is unpickled; it was not")
    self.stack.append(_Named(argument))

  def _stack_global(self, argument):
    name, module = self.stack.pop(), self.stack.pop()
    self._global(f'{module} {name}')

  def _reduce(self, argument):
    arguments, function = self.stack.pop(), self.stack.pop()
    if not isinstance(function, _Named) or function.arguments or not isinstance(arguments, tuple):
      raise PickleError('it calls something that is not an array')
    self.stack.append(_bytes(arguments) if function.name == _ENCODE else _Named(function.name, arguments))

  def _build(self, argument):
    state = self.stack.pop()
    if not isinstance(self.stack[-1], _Named):
      raise PickleError('it sets the state of something that is not an array')
    self.stack[-1].state = state


def _bytes(arguments):
  text, encoding = arguments
  if not isinstance(text, str) or encoding != 'latin1':
    raise PickleError('it encodes something other than the text of bytes')
  return text.encode('latin-1')


def _array(named):
  """The uint8 array of a pickled array, whose state is (version, shape, type, Fortran order, bytes)."""
  if not named.name.endswith('_reconstruct') or not isinstance(named.state, tuple) or len(named.state) != 5:
    raise PickleError('it holds an object that is not an array')
  _, shape, kind, fortran_order, values = named.state
  if not isinstance(kind, _Named) or not kind.arguments or kind.arguments[0] not in (b'u1', 'u1'):
    raise PickleError('it holds an array whose type is not uint8')
  if not isinstance(values, bytes):
    raise PickleError('it holds an array without its bytes')
  return np.frombuffer(values, np.uint8).reshape(shape, order='F' if fortran_order else 'C')
