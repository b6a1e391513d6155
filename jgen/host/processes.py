"""Multi-process runs: the processes check that they agree before they start, share work, and fail together."""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import contextvars
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from jgen.errors import UserError

T = TypeVar('T')
X = TypeVar('X')

_sharing: contextvars.ContextVar[bool] = contextvars.ContextVar('whether processes share work', default=False)


def gathered(text: str) -> list[str]:
  """The texts of all processes, in order of their ids. Every process has to call it at the same point."""
  if jax.process_count() == 1:
    return [text]
  from jax.experimental import multihost_utils
  own = np.frombuffer(text.encode(), np.uint8)
  lengths = multihost_utils.process_allgather(np.array(len(own), np.int32))
  padded = np.zeros(max(1, int(lengths.max())), np.uint8)
  padded[:len(own)] = own
  rows = multihost_utils.process_allgather(padded)
  return [bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)]


def together(call: Callable[[], T]) -> T:
  """The result of `call()`, which every process calls.

  Raises:
    UserError: `call()` raised one in any process. A process that continued alone would wait forever.
  """
  results, own_message = [], ''
  try:
    results.append(call())
  except UserError as error:
    if jax.process_count() == 1:
      raise
    own_message = str(error)
  for number, message in enumerate(gathered(own_message)):
    if message:
      raise UserError(f'process {number}: {message}')
  return results[0]


@contextlib.contextmanager
def sharing() -> Iterator[None]:
  """Context in which the processes of a run share work. All of them have to enter it and do the same in it."""
  token = _sharing.set(jax.process_count() > 1)
  try:
    yield
  finally:
    _sharing.reset(token)


def shared(call: Callable[[X], T], items: Iterable[X]) -> Iterator[T]:
  """Yields `call(item)` of each item, in order; within `sharing`, each call is made by one of the processes.

  Args:
    call: returns a tree of arrays, with the same shapes for all items.
    items: the same in all processes.
  """
  if not _sharing.get():
    yield from map(call, items)
    return
  from jax.experimental import multihost_utils
  items, count = iter(items), jax.process_count()
  while group := list(itertools.islice(items, count)):
    # At the end there may be fewer items than processes. A single one costs less to compute than to send.
    own = call(group[min(jax.process_index(), len(group) - 1)])
    results = multihost_utils.process_allgather(own) if len(group) > 1 else jax.tree.map(lambda x: x[None], own)
    for number in range(len(group)):
      yield jax.tree.map(lambda x, number=number: x[number], results)


def in_any(condition: bool) -> bool:
  """Whether the condition holds in any of the processes that share work, all of which have to call this.

  Outside `sharing`, whether it holds in this process.
  """
  return 'yes' in gathered('yes' if condition else '') if _sharing.get() else condition


def check_agreement(facts: dict[str, Any]) -> None:
  """Raises UserError in every process unless all have the same `facts`, {name: JSON value}, and the same code."""
  first, *others = [json.loads(text) for text in gathered(json.dumps(facts | {'the code of jgen': _code_digest()}))]
  for number, other in enumerate(others, start=1):
    names = [name for name in sorted({*first, *other}) if first.get(name) != other.get(name)]
    if names:
      raise UserError(
          'the processes of a run differ: ' + '; '.join(
              f'{name} is {first.get(name)!r} in process 0 and {other.get(name)!r} in process {number}'
              for name in names[:5]) + '; start all with the same command, except for --process_id')


def _code_digest():
  """A digest of all modules of this package, in hexadecimal."""
  hashed = hashlib.sha256()
  for path in sorted(Path(__file__).parent.parent.rglob('*.py')):
    hashed.update(path.read_bytes())
  return hashed.hexdigest()[:16]
