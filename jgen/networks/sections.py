"""The keys of the sections of networks in a config."""

import dataclasses

from jgen.keys import key
from jgen.networks.convolution.resampling import DOWNSAMPLINGS, UPSAMPLINGS
from jgen.networks.layers import KERNEL_INITS, NORMALIZATIONS


@dataclasses.dataclass(frozen=True)
class DenseLayers:
  """The keys of a network of linear layers."""

  features: tuple[int, ...] = key((512, 512), 'outputs of each hidden layer, from input to output', at_least=1)
  negative_slope: float = key(0., 'slope of the leaky ReLU below 0; 0 is the plain ReLU', at_least=0, at_most=1)
  kernel_init: str = key('pytorch', 'initialisation of the kernels', names=KERNEL_INITS)


@dataclasses.dataclass(frozen=True)
class ConvolutionalLayers:
  """The keys of every convolutional network."""

  features: tuple[int, ...] = key((512, 256, 128, 64), 'channels of each hidden layer, from input to output',
                                  at_least=1)
  negative_slope: float = key(0., 'slope of the leaky ReLU below 0; 0 is the plain ReLU', at_least=0, at_most=1)
  normalization: str = key('batch', 'normalisation of the hidden layers', names=NORMALIZATIONS)
  kernel_init: str = key('dcgan', 'initialisation of the kernels', names=KERNEL_INITS)
  use_bias: bool = key(False, 'whether convolutions and linear layers have a bias')


@dataclasses.dataclass(frozen=True)
class AdversarialLayers(ConvolutionalLayers):
  """The keys shared by generators and critics."""

  spectral_norm: bool = key(False, 'whether each kernel is divided by its largest singular value')
  dropout: float = key(0., 'dropout rate after each (leaky) ReLU in training', at_least=0,
                       below=1)


@dataclasses.dataclass(frozen=True)
class Generator(AdversarialLayers):
  """The keys of a generator."""

  up: str = key('transposed_convolution', 'the layer that doubles the sides', names=UPSAMPLINGS)
  dropout_at_sampling: bool = key(False, 'whether dropout also applies when samples are drawn',
                                  read_with={'dropout': True})


@dataclasses.dataclass(frozen=True)
class Critic(AdversarialLayers):
  """The keys of a critic (discriminator)."""

  features: tuple[int, ...] = key((64, 128, 256, 512), 'channels of each hidden layer, from input to output',
                                  at_least=1)
  negative_slope: float = key(0.2, 'slope of the leaky ReLU below 0; 0 is the plain ReLU', at_least=0, at_most=1)
  down: str = key('strides', 'the layer that halves the sides', names=DOWNSAMPLINGS, read_with={'strides': False})
  strides: tuple[int, ...] = key((), 'stride of the convolution for each of the features, instead of `down`; () '
                                     'for `down`', at_least=1)
  paddings: tuple[int, ...] = key((), 'with `strides`: rows of zeros at each border, one number per layer', at_least=0,
                                  read_with={'strides': True})
  kernel_size: int = key(4, 'with `strides`: side of all kernels in pixels', at_least=1, read_with={'strides': True})
  head_bias: bool = key(False, 'whether its last, linear layer has a bias; `use_bias` implies it')


@dataclasses.dataclass(frozen=True)
class Encoder(ConvolutionalLayers):
  """The keys of an encoder."""

  kernel_size: int = key(4, 'side of the kernels in pixels', at_least=3, at_most=4)


@dataclasses.dataclass(frozen=True)
class MapDecoder(ConvolutionalLayers):
  """The keys of a decoder whose input is a map."""

  kernel_size: int = key(4, 'side in pixels of the kernels of the doubling layers except the last', at_least=1)
  padding: int = key(1, 'rows that these layers crop at each border', at_least=0)
  last_kernel_size: int = key(4, 'side in pixels of the kernels of the last layer', at_least=1)
  last_stride: int = key(2, '2 if the last layer doubles as well, else 1', at_least=1, at_most=2)
  last_padding: int = key(1, 'rows that the last layer crops at each border', at_least=0)


@dataclasses.dataclass(frozen=True)
class Decoder(MapDecoder):
  """The keys of a decoder whose input is a latent vector."""

  fully_convolutional: bool = key(False, "whether the first layer has one bias per channel, like a convolution")
  activate_first: bool = key(False, 'whether the first layer is followed by the (leaky) ReLU')
