"""The keys of the networks' sections of a config."""

import dataclasses

from jgen.keys import key
from jgen.networks.convolution.resampling import DOWNSAMPLINGS, UPSAMPLINGS
from jgen.networks.layers import KERNEL_INITS, NORMALIZATIONS


@dataclasses.dataclass(frozen=True)
class DenseLayers:
  """The keys of a network of linear layers."""

  features: tuple[int, ...] = key((512, 512), 'outputs of each hidden layer, from input to output', at_least=1)
  negative_slope: float = key(0., 'slope of the leaky ReLU below 0; 0 is the plain ReLU', at_least=0, at_most=1)
  kernel_init: str = key('pytorch', 'how the kernels are drawn at the start', names=KERNEL_INITS)


@dataclasses.dataclass(frozen=True)
class ConvolutionalLayers:
  """The keys of every convolutional network."""

  features: tuple[int, ...] = key((512, 256, 128, 64), 'channels of each hidden layer, from input to output',
                                  at_least=1)
  negative_slope: float = key(0., 'slope of the leaky ReLU below 0; 0 is the plain ReLU', at_least=0, at_most=1)
  normalization: str = key('batch', 'what normalises the hidden layers', names=NORMALIZATIONS)
  kernel_init: str = key('dcgan', 'how the kernels are drawn at the start', names=KERNEL_INITS)
  use_bias: bool = key(False, 'whether convolutions and linear layers have a bias')


@dataclasses.dataclass(frozen=True)
class AdversarialLayers(ConvolutionalLayers):
  """The keys of a network of a GAN."""

  spectral_norm: bool = key(False, 'whether each kernel is divided by its largest singular value')
  dropout: float = key(0., 'probability with which a value after a (leaky) ReLU is dropped in training', at_least=0,
                       below=1)


@dataclasses.dataclass(frozen=True)
class Generator(AdversarialLayers):
  """The keys of a generator."""

  up: str = key('transposed_convolution', 'the layer that doubles the sides', names=UPSAMPLINGS)
  dropout_at_sampling: bool = key(False, 'whether samples are drawn with the dropout of training',
                                  read_with={'dropout': True})


@dataclasses.dataclass(frozen=True)
class Critic(AdversarialLayers):
  """The keys of a critic."""

  features: tuple[int, ...] = key((64, 128, 256, 512), 'channels of each hidden layer, from input to output',
                                  at_least=1)
  negative_slope: float = key(0.2, 'slope of the leaky ReLU below 0; 0 is the plain ReLU', at_least=0, at_most=1)
  down: str = key('strides', 'the layer that halves the sides', names=DOWNSAMPLINGS, read_with={'strides': False})
  strides: tuple[int, ...] = key((), 'stride of the convolution for each of the features, instead of `down`; () '
                                     'for `down`', at_least=1)
  paddings: tuple[int, ...] = key((), 'with `strides`: rows of zeros at each border, one number a layer', at_least=0,
                                  read_with={'strides': True})
  kernel_size: int = key(4, 'with `strides`: pixels of a side of all kernels', at_least=1, read_with={'strides': True})
  head_bias: bool = key(False, 'whether its last, linear layer has a bias, as it has with `use_bias`')


@dataclasses.dataclass(frozen=True)
class Encoder(ConvolutionalLayers):
  """The keys of an encoder."""

  kernel_size: int = key(4, 'pixels of a side of the kernels', at_least=3, at_most=4)


@dataclasses.dataclass(frozen=True)
class MapDecoder(ConvolutionalLayers):
  """The keys of a decoder that begins with a map."""

  kernel_size: int = key(4, 'pixels of a side of the kernels of the layers that double, but for the last', at_least=1)
  padding: int = key(1, 'rows that these layers leave out at each border', at_least=0)
  last_kernel_size: int = key(4, 'pixels of a side of the kernels of the last layer', at_least=1)
  last_stride: int = key(2, '2 where the last layer doubles as well, else 1', at_least=1, at_most=2)
  last_padding: int = key(1, 'rows that the last layer leaves out at each border', at_least=0)


@dataclasses.dataclass(frozen=True)
class Decoder(MapDecoder):
  """The keys of a decoder that begins with latents."""

  fully_convolutional: bool = key(False, "whether the first layer's bias is one a channel, as of a convolution")
  activate_first: bool = key(False, 'whether the first layer is followed by the (leaky) ReLU')
