"""What some families can do beyond what `jgen.families.base.Family` asks of all: one protocol for each ability.

An evaluator names those that it needs. Letters for shapes as in `jgen`: images are float32 [B, H, W, C] in [-1, 1],
latents [B, Z], or maps [B, h, w, c] in VQ-VAEs. All methods are pure and see one device's share of a batch.
"""

import typing

import jax

from jgen.families.train_state import TrainState
from jgen.losses.information import LatentCodes


@typing.runtime_checkable
class Encodes(typing.Protocol):
  """Has an encoder with a distribution of the latents."""

  def encode(self, state: TrainState, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(mean, log variance) of the latents, [B, Z] each."""


@typing.runtime_checkable
class Decodes(typing.Protocol):
  """Makes images of latents."""

  def decode(self, state: TrainState, latents: jax.Array) -> jax.Array:
    """Images for latents [B, Z] or [B, h, w, c]."""


@typing.runtime_checkable
class Reconstructs(typing.Protocol):
  """Makes images of what it encodes of images."""

  def reconstruct(self, state: TrainState, images: jax.Array) -> jax.Array:
    """Images for images."""


@typing.runtime_checkable
class MeasuresImages(typing.Protocol):
  """Gives numbers of single images, as its objective."""

  def eval_step(self, state: TrainState, batch: dict[str, jax.Array], key: jax.Array) -> dict[str, jax.Array]:
    """{name: [B]} for a batch {'image': images, 'label': int32 [B]}."""


@typing.runtime_checkable
class BoundsLikelihood(typing.Protocol):
  """Has a variational bound, whose terms can be computed over a whole data set."""

  def log_weight(self, state: TrainState, images: jax.Array, key: jax.Array) -> jax.Array:
    """log p(x, z) - log q(z | x) in nats, [B], for one z of q; Burda et al. 2016, eq. 8."""

  def regularization(self, kl: jax.Array, step: jax.Array) -> jax.Array:
    """The objective's second term, [], for the mean divergences kl [Z] of any number of images."""


@typing.runtime_checkable
class HasCodes(typing.Protocol):
  """Replaces a map of latents by N discrete codes per image."""

  def codes(self, state: TrainState, images: jax.Array) -> jax.Array:
    """int32 [B, N] for images."""


@typing.runtime_checkable
class DecodesCodes(typing.Protocol):
  """Decodes N discrete codes, or the map of their embeddings, to images."""

  codebook_size: int                    # K
  codes_per_image: int                  # N
  latent_shape: tuple[int, int, int]    # (h, w, c) of the map

  def decode_codes(self, state: TrainState, codes: jax.Array) -> jax.Array:
    """Images for codes int32 [B, N]."""


@typing.runtime_checkable
class SamplesLatents(typing.Protocol):
  """Draws images at given latents from the standard normal distribution, of `latent_size` entries."""

  latent_size: int                      # Z

  def sample_at(self, state: TrainState, key: jax.Array, latents: jax.Array, labels: jax.Array) -> jax.Array:
    """Images for latents [B, Z] and labels int32 [B]."""


@typing.runtime_checkable
class SamplesCodes(typing.Protocol):
  """Draws images that follow latent codes, an InfoGAN's."""

  latent_codes: LatentCodes

  def sample_codes(self, state: TrainState, key: jax.Array, codes: jax.Array) -> jax.Array:
    """Images for codes float32 [B, M + N], with noise that follows the key."""


@typing.runtime_checkable
class HasCritic(typing.Protocol):
  """Says of images how real they look to it."""

  def critic_logits(self, state: TrainState, images: jax.Array, labels: jax.Array) -> jax.Array:
    """[B], higher is more real, in units of its own."""


def missing(family: object, protocol: type) -> list[str]:
  """Names of the protocol's methods that a family does not have; [] where it can do what the protocol says."""
  names = [name for name in vars(protocol) if not name.startswith('_')]
  return [] if isinstance(family, protocol) else [name for name in names if not hasattr(family, name)] or names
