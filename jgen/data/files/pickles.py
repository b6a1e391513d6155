"""Reads the pickles of CIFAR-10 without unpickling: nothing that a file says is ever imported or called.

pickletools lists the operations of a pickle without carrying them out. Of these, the few that make numbers, texts,
lists and dictionaries are carried out here; of the objects that a pickle can name, numpy's arrays of bytes alone are
supported, and become an array by this code. Anything else is refused.
"""

from collections.abc import Callable
import dataclasses
import pickletools
from typing import Any

import numpy as np

_ARRAYS = frozenset((                   # what a pickled array names, in numpy's names of then and now
    'numpy.core.multiarray _reconstruct', 'numpy._core.multiarray _reconstruct', 'numpy ndarray', 'numpy dtype'))
_CONSTANTS = frozenset((
    'BININT', 'BININT1', 'BININT2', 'INT', 'LONG', 'LONG1', 'BINUNICODE', 'SHORT_BINUNICODE', 'UNICODE', 'BINUNICODE8',
    'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8'))
_TEXTS = frozenset(('BINSTRING', 'SHORT_BINSTRING', 'STRING'))   # of Python 2: bytes, shown by pickletools as Latin-1
_LITERALS: dict[str, Callable[[], object]] = {
    'NONE': lambda: None, 'NEWTRUE': lambda: True, 'NEWFALSE': lambda: False, 'EMPTY_LIST': list, 'EMPTY_DICT': dict,
    'EMPTY_TUPLE': tuple}
_TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_MAX_OPERATIONS = 1_000_000             # of a published batch: 41,000


class PickleError(ValueError):
  """Says in a few words why a pickle is not read."""


@dataclasses.dataclass
class _Named:
  """An object of the pickle that is not made: what is named, what it was called with, and its state."""

  name: str
  arguments: tuple = ()
  state: object = None


def entries(content: bytes) -> dict:
  """{text: value} of a pickled dictionary, its arrays of bytes as numpy arrays, texts of Python 2 as bytes.

  Raises:
    PickleError: it is damaged, holds no dictionary, or names anything but arrays of bytes.
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
  """The stack of a pickle, and what it remembers."""

  def __init__(self):
    self.stack, self._marks, self._memo = [], [], {}

  def do(self, name: str, argument: Any) -> None:
    """One operation; raises PickleError for one that is none of ours."""
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
      raise PickleError(f'it asks for {name}, which no batch of CIFAR-10 does')
    operation(argument)

  def _ignored(self, argument):
    pass

  _proto = _frame = _stop = _ignored

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
      raise PickleError(f'damaged: it adds to what is no {kind.__name__}')
    return self.stack[-1]

  def _global(self, argument):
    if argument not in _ARRAYS:
      raise PickleError(f"it names '{argument.replace(' ', '.')}', which would run when it is unpickled; it was not")
    self.stack.append(_Named(argument))

  def _stack_global(self, argument):
    name, module = self.stack.pop(), self.stack.pop()
    self._global(f'{module} {name}')

  def _reduce(self, argument):
    arguments, made = self.stack.pop(), self.stack.pop()
    if not isinstance(made, _Named) or made.arguments or not isinstance(arguments, tuple):
      raise PickleError('it calls what is no array')
    self.stack.append(_Named(made.name, arguments))

  def _build(self, argument):
    state = self.stack.pop()
    if not isinstance(self.stack[-1], _Named):
      raise PickleError('it sets the state of what is no array')
    self.stack[-1].state = state


def _array(named):
  """The uint8 array of a pickled array, whose state is (version, shape, type, by columns, bytes)."""
  if not named.name.endswith('_reconstruct') or not isinstance(named.state, tuple) or len(named.state) != 5:
    raise PickleError('it holds an object that is no array')
  _, shape, kind, by_columns, values = named.state
  if not isinstance(kind, _Named) or not kind.arguments or kind.arguments[0] not in (b'u1', 'u1'):
    raise PickleError('it holds an array of another type than bytes')
  if not isinstance(values, bytes):
    raise PickleError('it holds an array without its bytes')
  return np.frombuffer(values, np.uint8).reshape(shape, order='F' if by_columns else 'C')
