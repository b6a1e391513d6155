"""The layers of networks for reports, collected by tracing a forward pass of the modules."""

from collections.abc import Callable, Sequence
import dataclasses
import math
from typing import Any

from flax import linen as nn
import jax

from jgen import activations
from jgen.networks.convolution.layers import Conv, ConvTranspose
from jgen.networks.convolution.resampling import Resampling
from jgen.networks.layers import BatchNorm, Dense, Dropout
from jgen.networks.quantizer import Quantizer
from jgen.networks.spectral import SpectralNorm

HEADER = ('layer', 'kind', 'channels', 'kernel', 'stride', 'padding', 'bias', 'normalisation', 'activation',
          'output', 'parameters')
_NORMALIZATIONS = {BatchNorm: 'batch', nn.InstanceNorm: 'instance', nn.LayerNorm: 'layer', SpectralNorm: 'spectral'}


@dataclasses.dataclass
class Layer:
  """One row: a layer with parameters, and the normalisation and activation of its output."""

  path: tuple[str, ...]                 # its path in the tree of parameters, starting with the name of the network
  kind: str
  channels: str = ''
  kernel: str = ''
  stride: str = ''
  padding: str = ''
  bias: str = ''
  normalization: str = ''
  activation: str = ''                  # including dropout after it
  output: str = ''                      # the shape of the layer's output for one image, HxWxC
  parameters: int = 0                   # including those of its normalisation

  def row(self) -> tuple[str, ...]:
    """The texts of its cells, in the order of HEADER."""
    return ('/'.join(self.path), self.kind, self.channels, self.kernel, self.stride, self.padding, self.bias,
            self.normalization, self.activation, self.output, f'{self.parameters:,}')


def layers_of(passes: dict[str, Callable], networks: dict) -> list[Layer]:
  """The layers of networks in the order of the data.

  Args:
    passes: {network: a function without arguments that runs its module in training, with new parameters}.
    networks: {network: shapes of its parameters}. Parameters outside of layers, such as embeddings, get separate rows.
  """
  layers: list[Layer] = []
  for name in (*passes, *(name for name in networks if name not in passes)):
    listing = _Listing(name)
    if name in passes:
      with nn.intercept_methods(listing.intercept), activations.heard_by(listing.activate):
        jax.eval_shape(passes[name])
    layers += listing.with_parameters(networks[name])
  return layers


class _Listing:
  """Collects the layers of one network while its forward pass is traced."""

  def __init__(self, name):
    self._name = name
    self._layers: list[Layer] = []
    self._owners: dict[tuple[str, ...], Layer] = {}   # {path of a module: the layer it belongs to}

  def intercept(self, call: Callable, arguments: tuple, keywords: dict[str, Any],
                context: nn.module.InterceptorContext) -> Any:
    """The interceptor for `nn.intercept_methods`, called instead of each method of a module."""
    module, path = context.module, (self._name, *context.module.path)
    if context.method_name != '__call__' or path in self._owners:   # or a layer that is called again
      return call(*arguments, **keywords)
    before, layer = len(self._layers), self.begin(module, path)
    output = call(*arguments, **keywords)
    if isinstance(module, Resampling):  # the whole module is the layer, including its convolution
      layer, self._layers[before:] = self._layers[before], self._layers[before:before + 1]
      layer.path, layer.kind = path, type(module).__name__
    if layer:
      self._owners[path] = layer
      self.describe(layer, arguments, output)
    return output

  def begin(self, module: nn.Module, path: tuple[str, ...]) -> Layer | None:
    """The new Layer for a module with its own row; None for others, which are added to the previous layer."""
    norm = next((name for kind, name in _NORMALIZATIONS.items() if isinstance(module, kind)), '')
    last = self._layers[-1] if self._layers else None
    if last and isinstance(module, SpectralNorm):
      last.normalization = norm
    elif isinstance(module, Dropout):
      if last and module.rate:
        last.activation = ', '.join(filter(None, (last.activation, f'dropout {module.rate:g}')))
    elif norm and last and last.path[:-1] == path[:-1]:
      last.normalization = ', '.join(filter(None, (last.normalization, norm)))
      self._owners[path] = last
    elif norm or isinstance(module, (Conv, ConvTranspose, Dense, nn.Dense, Quantizer)):
      self._layers.append(_layer_of(module, path, norm))
      return self._layers[-1]
    return None

  def describe(self, layer: Layer, arguments: tuple, output: Any) -> None:
    """Fills in the shapes of a layer's input and output."""
    output = output[0] if isinstance(output, tuple) else output
    layer.output = 'x'.join(map(str, output.shape[1:]))
    if layer.kind != 'norm':
      layer.channels = f'{arguments[0].shape[-1]} -> {output.shape[-1]}'

  def activate(self, name: str) -> None:
    """Adds an activation to the last layer."""
    if self._layers:
      self._layers[-1].activation = ', '.join(filter(None, (self._layers[-1].activation, name)))

  def with_parameters(self, params: Any) -> list[Layer]:
    """The layers with their numbers of parameters, preceded by one row for each parameter outside of layers."""
    further = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
      names = (self._name, *(str(entry.key) for entry in path))
      biased = self._owners.get((*names[:-1], names[-1].removesuffix('_bias')))   # a bias next to its layer
      owner = biased or next((self._owners[names[:end]] for end in range(len(names), 0, -1)
                              if names[:end] in self._owners), None)
      if biased:
        biased.bias = 'yes'
      if owner:
        owner.parameters += math.prod(leaf.shape)
      else:
        further.append(Layer(names, 'parameter', output='x'.join(map(str, leaf.shape)) or '1',
                             parameters=math.prod(leaf.shape)))
    return further + self._layers


def _layer_of(module, path, norm):
  """A Layer with the attributes of a module: kernel, stride, padding, bias."""
  if norm:
    return Layer(path, 'norm', normalization=norm)
  if isinstance(module, Quantizer):
    return Layer(path, 'codebook', kernel=f'{module.codebook_size} codes of {module.code_size}')
  layer = Layer(path, 'Linear' if isinstance(module, (Dense, nn.Dense)) else type(module).__name__,
                bias='yes' if module.use_bias else 'no')
  if isinstance(module, (Conv, ConvTranspose)):
    layer.kernel, layer.stride = f'{module.kernel_size}x{module.kernel_size}', str(module.stride)
    extra = getattr(module, 'output_padding', 0)
    layer.padding = f'{module.padding}' + (f' (output {extra})' if extra else '')
  return layer


def table(layers: Sequence[Layer]) -> list[str]:
  """HEADER and the rows of layers as lines of text, in columns; empty columns are left out."""
  rows = [HEADER, *(layer.row() for layer in layers)]
  columns = [column for column in range(len(HEADER)) if any(row[column] for row in rows[1:])]
  widths = [max(len(row[column]) for row in rows) for column in columns]
  align = ['>' if HEADER[column] == 'parameters' else '<' for column in columns]
  return [''.join(f'{row[column]:{side}{width}}  ' for column, width, side in zip(columns, widths, align, strict=True)
                  ).rstrip() for row in rows]
