"""The networks of a trained model as functions of arrays, and their export formats.

Input and output images are float32 [batch, H, W, C] in [-1, 1], channels last.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import logging
from typing import Any

import jax
from jax import export
import jax.numpy as jnp
import numpy as np

from jgen.errors import UserError
from jgen.networks.convolution.layers import portable
from jgen.trained.run import Trained

PLATFORMS = ('cpu', 'cuda', 'tpu')


@dataclasses.dataclass(frozen=True)
class Array:
  """An input or output of a network; its first axis is the batch, of any length."""

  name: str
  shape: tuple[int, ...]                # without the batch
  dtype: str
  meaning: str


@dataclasses.dataclass(frozen=True)
class Network:
  """A function of arrays that contains its parameters."""

  call: Callable                        # (*inputs) -> an array, or a tuple of them
  inputs: tuple[Array, ...]
  outputs: tuple[Array, ...]

  def arguments(self) -> list[jax.ShapeDtypeStruct]:
    """The inputs as shapes with a symbolic batch size."""
    batch, = export.symbolic_shape('batch')
    return [jax.ShapeDtypeStruct((batch, *array.shape), array.dtype) for array in self.inputs]


# ------------------------------------------------------------------------------------------- networks


def networks(trained: Trained) -> dict[str, Network]:
  """{name: Network} for a `jgen.trained.run.Trained`: the generator of a GAN, encoder and decoder of a VAE or VQ-VAE.

  Raises:
    UserError: the model is a prior, or a generator with dropout at sampling.
  """
  family, state = trained.family, trained.used
  generator: Any = getattr(family, 'generator', None)
  if getattr(generator, 'dropout_at_sampling', False) and generator.dropout:
    raise UserError(f'the generator in {trained.folder} applies dropout at sampling; only '
                    '--formats=safetensors exports it')
  if trained.can('critic'):
    return {'generator': _generator(trained, family, state)}
  if trained.can('decode_codes'):
    return _code_networks(trained, family, state)
  if trained.can('encode'):
    return _latent_networks(trained, family, state)
  raise UserError(f'the model in {trained.folder} samples codes or latents from a prior ({trained.kind()}); only '
                  '--formats=safetensors exports it, and its VQ-VAE is a separate run')


def _images(trained, meaning):
  return Array('images', tuple(trained.image_shape), 'float32', f'{meaning}, in [-1, 1]')


def _latents(trained):
  return Array('latents', (trained.latent_size,), 'float32', 'from the standard normal distribution')


def _generator(trained, family, state):
  latents = _latents(trained)
  if trained.codes:
    kinds = trained.codes
    meaning = f'{kinds.categorical} whole numbers from 0 to {kinds.values - 1}, then {kinds.continuous} in [-1, 1]'
    further = [Array('codes', (kinds.size,), 'float32', meaning)]
  elif trained.num_classes:
    further = [Array('labels', (), 'int32', f'classes from 0 to {trained.num_classes - 1}')]
  else:
    further = []
  def call(latents, *more):
    key = jax.random.key(0)             # unused: `networks` refuses dropout at sampling
    labels = jnp.zeros(latents.shape[:1], jnp.int32)
    if trained.codes:
      return family.sample_at(state, key, latents, labels, codes=more[0])
    return family.sample_at(state, key, latents, *more or (labels,))
  return Network(call, (latents, *further), (_images(trained, 'samples'),))


def _latent_networks(trained, family, state):
  moment = lambda name: Array(name, (trained.latent_size,), 'float32', f'{name.replace("_", " ")} of the latents')
  return {'encoder': Network(lambda images: family.encode(state, images), (_images(trained, 'images to encode'),),
                             (moment('mean'), moment('log_variance'))),
          'decoder': Network(lambda latents: family.decode(state, latents), (_latents(trained),),
                             (_images(trained, 'decoded images'),))}


def _code_networks(trained, family, state):
  codes = Array('codes', (family.codes_per_image,), 'int32', f'from 0 to {family.codebook_size - 1}')
  return {'encoder': Network(lambda images: family.codes(state, images), (_images(trained, 'images to encode'),),
                             (codes,)),
          'decoder': Network(lambda codes: family.decode_codes(state, codes), (codes,),
                             (_images(trained, 'decoded images'),))}


# ------------------------------------------------------------------------------------------- formats


def stablehlo(network: Network) -> bytes:
  """A Network for CPU, CUDA and TPU, as bytes for `jax.export.deserialize`."""
  with portable():
    return bytes(export.export(jax.jit(network.call), platforms=PLATFORMS)(*network.arguments()).serialize())


def onnx(network: Network, name: str) -> bytes:
  """A Network as the bytes of an ONNX file; needs the package jax2onnx."""
  from jax2onnx import to_onnx
  quiet = logging.getLogger('onnx_ir')
  before = quiet.level
  quiet.setLevel(logging.ERROR)         # it warns about shapes that are not needed
  try:
    with portable():
      model = to_onnx(network.call, network.arguments(), model_name=name,
                      input_names=[array.name for array in network.inputs],
                      output_names=[array.name for array in network.outputs])
  finally:
    quiet.setLevel(before)
  del model.graph.value_info[:]         # shapes of intermediate values, some with permuted axes
  return model.SerializeToString()


def tensors(trained: Trained) -> dict[str, np.ndarray]:
  """{'<network>/params/<layer>/<name>': array}, and likewise batch statistics and other state of a network."""
  state = trained.used
  flat = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path({'params': state.params, 'state': state.model_state}):
    kind, network, *names = (str(getattr(entry, 'key', entry)) for entry in path)
    flat['/'.join([network, *([kind] if kind == 'params' else []), *names])] = np.ascontiguousarray(leaf)
  return flat


def safetensors(trained: Trained) -> bytes:
  """The arrays of `tensors` as the bytes of a safetensors file."""
  from safetensors.numpy import save
  about = {'family': trained.config.family, 'step': str(trained.step), 'image_shape': str(list(trained.image_shape))}
  return save(tensors(trained), about)


# ------------------------------------------------------------------------------------------- README


def readme(trained: Trained, networks: Mapping[str, Network], formats: Sequence[str]) -> str:
  """A description of the files and of how to read them, as Markdown."""
  parts = [f'# {trained.config.family} on {trained.spec.name}, step {trained.step:,}\n\n'
           f'Images are float32 `[batch, {", ".join(map(str, trained.image_shape))}]` in [-1, 1], channels last; '
           'pixels are `clip(round((x + 1) * 127.5), 0, 255)`. The batch may have any size.']
  parts += [_table(name, network) for name, network in networks.items()]
  if trained.num_classes:
    parts += ['Classes: ' + ', '.join(f'{number} {name}' for number, name in enumerate(trained.class_names)) + '.']
  parts += [_USE[name].format(**_example(networks)) for name in formats]
  return '\n\n'.join(parts) + '\n'


def _table(name, network):
  rows = [f'| {kind} | `{array.name}` | {array.dtype} | `[{", ".join(["batch", *map(str, array.shape)])}]` | '
          f'{array.meaning} |' for kind, arrays in (('in', network.inputs), ('out', network.outputs))
          for array in arrays]
  return '\n'.join([f'## {name}\n', '| | name | type | shape | meaning |', '|---|---|---|---|---|', *rows])


def _example(networks):
  if not networks:
    return {}
  name = next(iter(networks))
  inputs = networks[name].inputs
  return {'name': name, 'arguments': ', '.join(array.name for array in inputs),
          'feed': ', '.join(f"'{array.name}': {array.name}" for array in inputs)}


_USE = {
    'stablehlo': '''## StableHLO

For CPU, CUDA and TPU, read by JAX without jgen:

```python
from jax import export
network = export.deserialize(bytearray(open('{name}.stablehlo', 'rb').read()))
outputs = network.call({arguments})
```''',
    'onnx': '''## ONNX

```python
import onnxruntime
network = onnxruntime.InferenceSession('{name}.onnx')
outputs = network.run(None, {{{feed}}})
```''',
    'safetensors': '''## Parameters

`parameters.safetensors` holds the arrays used in sampling, averaged if the run averages them, as
`<network>/params/<layer>/<name>` and, for layers with statistics, `<network>/batch_stats/<layer>/<name>`. A `Dense`
kernel is [inputs, outputs], a convolution's [height, width, inputs, outputs], a transposed convolution's
[height, width, outputs, inputs]: the corresponding PyTorch weight with its four axes permuted to 2, 3, 1, 0.

```python
from safetensors.numpy import load_file
arrays = load_file('parameters.safetensors')
```''',
}
