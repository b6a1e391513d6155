"""Linen modules from their sections of the config."""

from jgen.errors import UserError, choose
from jgen.networks import dcgan
from jgen.networks import vae as vae_networks
from jgen.networks.layers import KERNEL_INITS, NORMALIZATIONS
from jgen.networks.resampling import DOWNSAMPLINGS, UPSAMPLINGS


def generator(section, image_shape):
  """The generator of the section `common.gan().generator` for images (H, W, C)."""
  return dcgan.Generator(
      image_shape=image_shape, dropout_at_sampling=section.dropout_at_sampling,
      resampling=choose('model.generator.up', section.up, UPSAMPLINGS),
      **_adversarial(section), **_common(section, image_shape))


def critic(section, image_shape):
  """The critic of the section `common.gan().critic` for images (H, W, C)."""
  return dcgan.Critic(resampling=choose('model.critic.down', section.down, DOWNSAMPLINGS),
                      **_adversarial(section), **_common(section, image_shape))


def vae(section, image_shape, learns_variance):
  """The VAE of a `common.vae()` section for images (H, W, C)."""
  encoder, decoder = section.encoder, section.decoder
  *spread, channels = (*decoder.features[1:], image_shape[2])
  doubling = (decoder.kernel_size, 2, decoder.padding)
  last = (decoder.last_kernel_size, decoder.last_stride, decoder.last_padding)
  base = [vae_networks.base_side(side, [doubling] * len(spread) + [last]) for side in image_shape[:2]]
  if None in base:
    raise UserError(
        f'config.model.decoder: its {len(spread) + 1} transposed convolutions cannot end at {image_shape[0]} x '
        f'{image_shape[1]} pixels; change its features, kernel sizes and paddings, or config.data.image_size')
  return vae_networks.VAE(
      encoder=vae_networks.Encoder(latent_size=section.latent_size, kernel_size=encoder.kernel_size,
                                   **_common(encoder, image_shape)),
      decoder=vae_networks.Decoder(
          channels=channels, base=(*base, decoder.features[0]), kernel_size=decoder.kernel_size,
          padding=decoder.padding, last_kernel_size=decoder.last_kernel_size, last_stride=decoder.last_stride,
          last_padding=decoder.last_padding, fully_convolutional=decoder.fully_convolutional,
          activate_first=decoder.activate_first, **{**_layers(decoder), 'features': tuple(spread)}),
      learns_variance=learns_variance)


def _adversarial(section):
  """What generators and critics are told beside."""
  if not 0 <= section.dropout < 1:
    raise UserError(f'config.model.*.dropout is {section.dropout}; give a probability, from 0 to below 1')
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
  """What all networks are told of their layers."""
  return dict(
      features=tuple(section.features),
      negative_slope=section.negative_slope,
      normalization=choose('model.*.normalization', section.normalization, NORMALIZATIONS),
      kernel_init=choose('model.*.kernel_init', section.kernel_init, KERNEL_INITS),
      use_bias=section.use_bias)
