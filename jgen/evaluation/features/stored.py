"""Caches arrays that take long to compute: computed once, stored in the data cache with their receipt."""

from collections.abc import Callable, Mapping
import hashlib
import json
from pathlib import Path
from typing import Any
import zipfile

import numpy as np

from jgen.host import processes, terminal
from jgen.host.files import replacing

_FOLDER, _RECEIPT = 'evaluation', 'receipt'


def cached(cache_dir: Path | None, kind: str, receipt: Mapping[str, Any],
           make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
  """The arrays {name: array} stored with exactly this receipt; else those of `make()`, which are then stored.

  Files are written atomically. A damaged file is recomputed, with a notice; a failure to write is reported.

  Args:
    cache_dir: folder of the data cache; None keeps nothing
    kind: a word for the file name
    receipt: {name: JSON value}, everything that determines the arrays
    make: () -> {name: array}
  """
  text = json.dumps(receipt, sort_keys=True)
  name = f'{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz'
  path = cache_dir / _FOLDER / name if cache_dir else None
  arrays = _read(path, text) if path else None
  if processes.in_any(arrays is None):  # processes may share the work of `make`, so all have to call it
    made = make()
    if path and arrays is None:
      _write(path, text, made)
    return made
  assert arrays is not None
  return arrays


def _read(path, text):
  if not path.exists():
    return None
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}   # reads everything, and the zip format checks every byte
    if str(arrays.pop(_RECEIPT)) != text:
      raise ValueError('its receipt differs')
  except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
    terminal.warn(f'{path} is damaged ({error}); it is computed again')
    return None
  return arrays


def _write(path, text, arrays):
  try:
    with replacing(path) as temporary, open(temporary, 'wb') as file:
      np.savez(file, allow_pickle=False, **arrays, **{_RECEIPT: np.array(text)})
  except OSError as error:
    terminal.warn(f'{path} cannot be written ({error.strerror or error}); it will be computed again')
