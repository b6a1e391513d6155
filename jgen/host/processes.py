"""Multi-process runs: the processes check that they agree before they start, and fail together."""

from collections.abc import Callable
import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from jgen.errors import UserError

T = TypeVar('T')


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
