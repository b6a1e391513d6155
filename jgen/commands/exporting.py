"""The networks of a trained model as functions of arrays, and these in the formats of other programs.

Images are float32 [batch, H, W, C] in [-1, 1], channels last, in and out.
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
  """An input or output; the batch is its first axis, of any length."""

  name: str
  shape: tuple[int, ...]                # without the batch
  dtype: str
  meaning: str


@dataclasses.dataclass(frozen=True)
class Network:
  """A function of arrays, with the parameters in it."""

  call: Callable                        # (*inputs) -> an array, or a tuple of them
  inputs: tuple[Array, ...]
  outputs: tuple[Array, ...]

  def arguments(self) -> list[jax.ShapeDtypeStruct]:
    """The inputs as shapes whose batch is a symbol."""
    batch, = export.symbolic_shape('batch')
    return [jax.ShapeDtypeStruct((batch, *each.shape), each.dtype) for each in self.inputs]


# ------------------------------------------------------------------------------------------- which networks


def networks(trained: Trained) -> dict[str, Network]:
  """{name: Network} of a `jgen.trained.run.Trained`: the generator of a GAN, encoder and decoder of a VAE or VQ-VAE.

  Raises:
    UserError: a prior, or a generator that draws random numbers as it samples.
  """
  family, state = trained.family, trained.used
  generator: Any = getattr(family, 'generator', None)
  if getattr(generator, 'dropout_at_sampling', False) and generator.dropout:
    raise UserError(f'the generator in {trained.folder} drops values at random as it samples; only '
                    '--formats=safetensors exports it')
  if trained.can('critic'):
    return {'generator': _generator(trained, family, state)}
  if trained.can('decode_codes'):
    return _code_networks(trained, family, state)
  if trained.can('encode'):
    return _latent_networks(trained, family, state)
  raise UserError(f'the model in {trained.folder} draws its codes or latents from a prior ({trained.kind()}); only '
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
    key = jax.random.key(0)             # of dropout, which `networks` has refused
    labels = jnp.zeros(latents.shape[:1], jnp.int32)
    if trained.codes:
      return family.sample_at(state, key, latents, labels, codes=more[0])
    return family.sample_at(state, key, latents, *more or (labels,))
  return Network(call, (latents, *further), (_images(trained, 'what is drawn'),))


def _latent_networks(trained, family, state):
  moment = lambda name: Array(name, (trained.latent_size,), 'float32', f'{name.replace("_", " ")} of the latents')
  return {'encoder': Network(lambda images: family.encode(state, images), (_images(trained, 'what is encoded'),),
                             (moment('mean'), moment('log_variance'))),
          'decoder': Network(lambda latents: family.decode(state, latents), (_latents(trained),),
                             (_images(trained, 'what is decoded'),))}


def _code_networks(trained, family, state):
  codes = Array('codes', (family.codes_per_image,), 'int32', f'from 0 to {family.codebook_size - 1}')
  return {'encoder': Network(lambda images: family.codes(state, images), (_images(trained, 'what is encoded'),),
                             (codes,)),
          'decoder': Network(lambda codes: family.decode_codes(state, codes), (codes,),
                             (_images(trained, 'what is decoded'),))}


# ------------------------------------------------------------------------------------------- formats


def stablehlo(network: Network) -> bytes:
  """A Network for CPU, CUDA and TPU, as bytes that `jax.export.deserialize` reads."""
  with portable():
    return bytes(export.export(jax.jit(network.call), platforms=PLATFORMS)(*network.arguments()).serialize())


def onnx(network: Network, name: str) -> bytes:
  """A Network as the bytes of an ONNX file; needs the package jax2onnx."""
  from jax2onnx import to_onnx
  quiet = logging.getLogger('onnx_ir')
  before = quiet.level
  quiet.setLevel(logging.ERROR)         # it warns of shapes that are not needed
  try:
    with portable():
      model = to_onnx(network.call, network.arguments(), model_name=name,
                      input_names=[each.name for each in network.inputs],
                      output_names=[each.name for each in network.outputs])
  finally:
    quiet.setLevel(before)
  del model.graph.value_info[:]         # shapes of intermediate values, some of them with their axes in another order
  return model.SerializeToString()


def tensors(trained: Trained) -> dict[str, np.ndarray]:
  """{'<network>/params/<layer>/<name>': array}, and the same of batch statistics and whatever else a network keeps."""
  state = trained.used
  flat = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path({'params': state.params, 'state': state.model_state}):
    kind, network, *rest = (str(getattr(entry, 'key', entry)) for entry in path)
    flat['/'.join([network, *([kind] if kind == 'params' else []), *rest])] = np.ascontiguousarray(leaf)
  return flat


def safetensors(trained: Trained) -> bytes:
  """The arrays of `tensors` as the bytes of a safetensors file."""
  from safetensors.numpy import save
  about = {'family': trained.config.family, 'step': str(trained.step), 'image_shape': str(list(trained.image_shape))}
  return save(tensors(trained), about)


# ------------------------------------------------------------------------------------------- README


def readme(trained: Trained, networks: Mapping[str, Network], formats: Sequence[str]) -> str:
  """What the files hold and how they are read, as Markdown."""
  parts = [f'# {trained.config.family} on {trained.spec.name}, step {trained.step:,}\n\n'
           f'Images are float32 `[batch, {", ".join(map(str, trained.image_shape))}]` in [-1, 1], channels last; '
           'pixels are `clip(round((x + 1) * 127.5), 0, 255)`. The batch may have any size.']
  parts += [_table(name, network) for name, network in networks.items()]
  if trained.num_classes:
    parts += ['Classes: ' + ', '.join(f'{number} {name}' for number, name in enumerate(trained.class_names)) + '.']
  parts += [_USE[name].format(**_example(networks)) for name in formats]
  return '\n\n'.join(parts) + '\n'


def _table(name, network):
  rows = [f'| {kind} | `{each.name}` | {each.dtype} | `[{", ".join(["batch", *map(str, each.shape)])}]` | '
          f'{each.meaning} |' for kind, arrays in (('in', network.inputs), ('out', network.outputs)) for each in arrays]
  return '\n'.join([f'## {name}\n', '| | name | type | shape | what it is |', '|---|---|---|---|---|', *rows])


def _example(networks):
  if not networks:
    return {}
  name = next(iter(networks))
  inputs = networks[name].inputs
  return {'name': name, 'arguments': ', '.join(each.name for each in inputs),
          'feed': ', '.join(f"'{each.name}': {each.name}" for each in inputs)}


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

`parameters.safetensors` holds the arrays that are used in sampling, averaged where the run averages them, as
`<network>/params/<layer>/<name>` and, of layers that keep statistics, `<network>/batch_stats/<layer>/<name>`. A `Dense`
kernel is [inputs, outputs], a convolution's [height, width, inputs, outputs], a transposed convolution's
[height, width, outputs, inputs]: PyTorch's weight of either with its four axes in the order 2, 3, 1, 0.

```python
from safetensors.numpy import load_file
arrays = load_file('parameters.safetensors')
```''',
}
