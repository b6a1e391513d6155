"""Several processes that train one run: they agree before anything is done, and end together."""

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
  """The texts of all processes, in their order. All have to call it, each at the same place of the program."""
  if jax.process_count() == 1:
    return [text]
  from jax.experimental import multihost_utils
  mine = np.frombuffer(text.encode(), np.uint8)
  lengths = multihost_utils.process_allgather(np.array(len(mine), np.int32))
  padded = np.zeros(max(1, int(lengths.max())), np.uint8)
  padded[:len(mine)] = mine
  rows = multihost_utils.process_allgather(padded)
  return [bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)]


def together(call: Callable[[], T]) -> T:
  """`call()`, on every process.

  Raises:
    UserError: it raised one, on this process or another. A process that went on alone would wait for ever.
  """
  results, trouble = [], ''
  try:
    results.append(call())
  except UserError as error:
    if jax.process_count() == 1:
      raise
    trouble = str(error)
  for number, message in enumerate(gathered(trouble)):
    if message:
      raise UserError(f'process {number}: {message}')
  return results[0]


def check_agreement(facts: dict[str, Any]) -> None:
  """Raises UserError on every process unless all have the same facts, {name: value} ready for JSON, and code."""
  first, *others = [json.loads(text) for text in gathered(json.dumps(facts | {'the code of jgen': _code_digest()}))]
  for number, other in enumerate(others, start=1):
    names = [name for name in sorted({*first, *other}) if first.get(name) != other.get(name)]
    if names:
      raise UserError(
          'the processes of a run differ: ' + '; '.join(
              f'{name} is {first.get(name)!r} in process 0 and {other.get(name)!r} in process {number}'
              for name in names[:5]) + '; start all with the same command, but for --process_id')


def _code_digest():
  """Of all modules of this package, in hexadecimal."""
  total = hashlib.sha256()
  for path in sorted(Path(__file__).parent.parent.rglob('*.py')):
    total.update(path.read_bytes())
  return total.hexdigest()[:16]
