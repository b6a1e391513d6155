"""Reads arrays from a file written by `torch.save`, without PyTorch and without executing its pickle.

A pickle is a program. Here it may build dictionaries, numbers, strings and the descriptions of tensors; the
file is refused if it contains any name that is not in `_NAMES`.
"""

import collections
import dataclasses
import io
import pickle
from typing import Any
import zipfile

import numpy as np

from jgen.errors import UserError

_DTYPES = {'FloatStorage': '<f4', 'DoubleStorage': '<f8', 'LongStorage': '<i8'}
_LEGACY_HEADERS = 3                     # pickles before the state: magic number, protocol, machine


@dataclasses.dataclass(frozen=True)
class _Storage:
  key: str
  dtype: np.dtype


@dataclasses.dataclass(frozen=True)
class _Tensor:
  storage: _Storage
  offset: int                           # elements
  shape: tuple[int, ...]
  strides: tuple[int, ...]              # elements


def _tensor(storage, offset, shape, strides, *others):
  del others                            # requires_grad, hooks
  return _Tensor(storage, offset, shape, strides)


_NAMES = {
    ('collections', 'OrderedDict'): collections.OrderedDict,
    ('torch._utils', '_rebuild_tensor_v2'): _tensor,
    ('torch._utils', '_rebuild_parameter'): lambda data, *others: data,
    **{('torch', name): np.dtype(dtype) for name, dtype in _DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) not in _NAMES:
      raise pickle.UnpicklingError(f'it refers to {module}.{name}')
    return _NAMES[module, name]

  def persistent_load(self, pid: Any) -> _Storage:
    kind, dtype, key, *_ = pid          # then: location, number of elements, view
    if kind != 'storage' or not isinstance(dtype, np.dtype):
      raise pickle.UnpicklingError('it holds something other than tensors')
    return _Storage(key, dtype)


def read_tensors(data: bytes, where: object) -> dict[str, np.ndarray]:
  """{name: array} of the state dictionary in a file's bytes, in either of PyTorch's formats.

  Raises UserError, naming `where`, if it is not such a file, is damaged, or holds anything but tensors.
  """
  try:
    read = _read_zip if data[:2] == b'PK' else _read_legacy
    return read(data)
  # A damaged pickle can raise almost any exception.
  except (pickle.UnpicklingError, zipfile.BadZipFile, ArithmeticError, AttributeError, EOFError, LookupError, TypeError,
          ValueError) as error:
    reason = ' '.join(str(error).split())
    raise UserError(f'{where}: not the tensors of a PyTorch file ({reason}); fetch it again') from error


def _read_zip(data):
  """Reads the zip format: a pickle, and one file per storage."""
  with zipfile.ZipFile(io.BytesIO(data)) as archive:
    top = archive.namelist()[0].partition('/')[0]
    state = _Unpickler(io.BytesIO(archive.read(f'{top}/data.pkl'))).load()
    return _arrays(state, lambda key: archive.read(f'{top}/data/{key}'))


def _read_legacy(data):
  """Reads the legacy format: pickles, the last one a list of keys; then each storage after its number of elements."""
  file = io.BytesIO(data)
  for _ in range(_LEGACY_HEADERS):
    _Unpickler(file).load()
  state = _Unpickler(file).load()
  dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in state.values()}
  storages = {}
  for key in _Unpickler(file).load():
    count = int.from_bytes(file.read(8), 'little')
    storages[key] = file.read(count * dtypes[key].itemsize)
  return _arrays(state, storages.__getitem__)


def _arrays(state, content):
  return {name: _array(tensor, content(tensor.storage.key)) for name, tensor in state.items()}


def _array(tensor, content):
  storage = np.frombuffer(content, tensor.storage.dtype)
  last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
  if min(tensor.offset, *tensor.shape, *tensor.strides, 0) < 0 or last >= len(storage):
    raise ValueError('a tensor reaches beyond its storage')
  strides = [stride * storage.itemsize for stride in tensor.strides]
  return np.lib.stride_tricks.as_strided(storage[tensor.offset:], tensor.shape, strides).copy()
