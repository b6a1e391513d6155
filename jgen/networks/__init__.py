"""Linen modules from their sections of the config."""

from jgen.errors import UserError, choose
from jgen.networks import dcgan
from jgen.networks.layers import KERNEL_INITS, NORMALIZATIONS


def generator(section, image_shape):
  """The generator of a `common.dcgan_network()` section for images (H, W, C)."""
  return dcgan.Generator(image_shape=image_shape, **_common(section, image_shape))


def critic(section, image_shape):
  """The critic of a `common.dcgan_network()` section for images (H, W, C)."""
  return dcgan.Critic(**_common(section, image_shape))


def _common(section, image_shape):
  halvings = len(section.features)
  if not halvings or any(side % 2**halvings for side in image_shape[:2]):
    raise UserError(
        f'config.model: {halvings} features {tuple(section.features)} halve the image {halvings} times, but sides '
        f'of {image_shape[0]} x {image_shape[1]} pixels do not divide by {2**halvings}; change features or '
        'config.data.image_size')
  return dict(
      features=tuple(section.features),
      negative_slope=section.negative_slope,
      normalization=choose('model.*.normalization', section.normalization, NORMALIZATIONS),
      kernel_init=choose('model.*.kernel_init', section.kernel_init, KERNEL_INITS),
      use_bias=section.use_bias)
