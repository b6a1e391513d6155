"""Builds Linen modules from their sections of the config."""

import functools
from typing import Any

from jgen.errors import UserError, choose
from jgen.networks import dcgan
from jgen.networks import vae as vae_networks
from jgen.networks import vqvae as vqvae_networks
from jgen.networks.convolution.layers import Conv
from jgen.networks.convolution.resampling import DOWNSAMPLINGS, UPSAMPLINGS
from jgen.networks.dense import DenseDecoder, DenseEncoder
from jgen.networks.layers import FROM_ONE_PIXEL_INITS, KERNEL_INITS, NORMALIZATIONS
from jgen.networks.quantizer import GROUPINGS, Quantizer
from jgen.shapes import Shape


def generator(section: Any, image_shape: Shape, kind: type[dcgan.Generator] = dcgan.Generator,
              **fields: Any) -> dcgan.Generator:
  """The generator for a `sections.Generator` and images (H, W, C), with the additional `fields` of its class."""
  return kind(
      image_shape=image_shape, dropout_at_sampling=section.dropout_at_sampling,
      resampling=choose('model.generator.up', section.up, UPSAMPLINGS),
      first_kernel_init=choose('model.generator.kernel_init', section.kernel_init, FROM_ONE_PIXEL_INITS),
      **_adversarial(section), **_common(section, image_shape), **fields)


def critic(section: Any, image_shape: Shape, kind: type[dcgan.Critic] = dcgan.Critic, **fields: Any) -> dcgan.Critic:
  """The critic for a `sections.Critic` and images (H, W, C), with the additional `fields` of its class."""
  layers = _layers(section) if section.strides else _common(section, image_shape)
  return kind(resampling=_critic_layers(section), head_bias=section.head_bias, **_adversarial(section), **layers,
              **fields)


def head(section: Any, outputs: int) -> dcgan.Head:
  """A second linear head for the critic of a `sections.Critic`."""
  return dcgan.Head(outputs, _layers(section)['kernel_init'])


def _critic_layers(section):
  """One layer for each of the critic's features: `down`, or convolutions with its `strides`."""
  if not section.strides:
    return (choose('model.critic.down', section.down, DOWNSAMPLINGS),) * len(section.features)
  if not len(section.features) == len(section.strides) == len(section.paddings):
    raise UserError(
        f'config.model.critic: {len(section.features)} features, {len(section.strides)} strides and '
        f'{len(section.paddings)} paddings; give the same number of each, or strides of () for layers that halve')
  return tuple(functools.partial(Conv, kernel_size=section.kernel_size, stride=stride, padding=padding)
               for stride, padding in zip(section.strides, section.paddings, strict=True))


def vae(section: Any, image_shape: Shape, learns_variance: bool) -> vae_networks.VAE:
  """The VAE of a section of `families.vae.Keys` for images (H, W, C)."""
  if not section.decoder.features:
    raise UserError('config.model.decoder.features is empty; give the features of each layer, including the first')
  encoder, (first, *spread) = section.encoder, section.decoder.features
  decoder, base = _map_decoder(section.decoder, spread, image_shape)
  return vae_networks.VAE(
      encoder=vae_networks.Encoder(latent_size=section.latent_size, **_map_encoder(encoder, image_shape)),
      decoder=vae_networks.Decoder(
          base=(*base, first), fully_convolutional=section.decoder.fully_convolutional,
          activate_first=section.decoder.activate_first, **decoder),
      learns_variance=learns_variance)


def dense_vae(section: Any, shape: tuple[int, ...], learns_variance: bool) -> vae_networks.VAE:
  """The VAE of a section of `families.latent_prior.LatentVAEKeys` for arrays of a shape."""
  layers = lambda section: dict(
      features=tuple(section.features), negative_slope=section.negative_slope,
      kernel_init=choose('priors.vae.model.*.kernel_init', section.kernel_init, KERNEL_INITS))
  return vae_networks.VAE(encoder=DenseEncoder(latent_size=section.latent_size, **layers(section.encoder)),
                          decoder=DenseDecoder(shape=shape, **layers(section.decoder)), learns_variance=learns_variance)


def vqvae(section: Any, image_shape: Shape) -> vqvae_networks.VQVAE:
  """The VQ-VAE of a section of `families.vqvae.Keys` for images (H, W, C).

  Raises:
    UserError: the decoder's input does not have the size of the encoder's output; the map cannot be cut into vectors.
  """
  shape, quantizer = latent_shape(section, image_shape), section.quantizer
  decoder, base = _map_decoder(section.decoder, section.decoder.features, image_shape)
  if base != shape[:2]:
    raise UserError(
        f'config.model.decoder enlarges {base[0]} x {base[1]} pixels to the image, but the encoder leaves {shape[0]} x '
        f'{shape[1]}; give it as many features as the encoder has, {len(section.encoder.features)}')
  grouping = choose('model.quantizer.grouping', quantizer.grouping, GROUPINGS)
  if grouping.extent(shape) % quantizer.code_size:
    raise UserError(
        f"config.model.quantizer.code_size is {quantizer.code_size}; with the grouping '{quantizer.grouping}' it must "
        f"divide {grouping.extent(shape)}, the encoder's output being {shape[0]} x {shape[1]} x {shape[2]}")
  return vqvae_networks.VQVAE(
      encoder=vae_networks.MapEncoder(**_map_encoder(section.encoder, image_shape)),
      quantizer=Quantizer(quantizer.codebook_size, quantizer.code_size, grouping),
      decoder=vae_networks.MapDecoder(**decoder))


def latent_shape(section: Any, image_shape: Shape) -> Shape:
  """(h, w, c) of the encoder's output for a section of `families.vqvae.Keys`."""
  features = _map_encoder(section.encoder, image_shape)['features']
  return *(side >> len(features) for side in image_shape[:2]), features[-1]


def _map_encoder(section, image_shape):
  return dict(kernel_size=section.kernel_size, **_common(section, image_shape))


def _map_decoder(section, features, image_shape):
  """(arguments of a decoder with these features after its input, the sides (h, w) of its input)."""
  doubling = (section.kernel_size, 2, section.padding)
  last = (section.last_kernel_size, section.last_stride, section.last_padding)
  base = tuple(vae_networks.base_side(side, [doubling] * len(features) + [last]) for side in image_shape[:2])
  if None in base:
    raise UserError(
        f'config.model.decoder: its {len(features) + 1} transposed convolutions cannot end at {image_shape[0]} x '
        f'{image_shape[1]} pixels; change its features, kernel sizes and paddings, or config.data.image_size')
  return dict(
      channels=image_shape[2], kernel_size=section.kernel_size, padding=section.padding,
      last_kernel_size=section.last_kernel_size, last_stride=section.last_stride, last_padding=section.last_padding,
      **{**_layers(section), 'features': tuple(features)}), base


def _adversarial(section):
  """Settings shared by generators and critics."""
  return dict(spectral_norm=section.spectral_norm, dropout=section.dropout)


def _common(section, image_shape):
  halvings = len(section.features)
  if not halvings or any(side % 2**halvings for side in image_shape[:2]):
    raise UserError(
        f'config.model: {halvings} features {tuple(section.features)} halve the image {halvings} times, but sides '
        f'of {image_shape[0]} x {image_shape[1]} pixels do not divide by {2**halvings}; change features or '
        'config.data.image_size')
  return _layers(section)


def _layers(section):
  """Settings of layers, shared by all networks."""
  return dict(
      features=tuple(section.features),
      negative_slope=section.negative_slope,
      normalization=choose('model.*.normalization', section.normalization, NORMALIZATIONS),
      kernel_init=choose('model.*.kernel_init', section.kernel_init, KERNEL_INITS),
      use_bias=section.use_bias)
