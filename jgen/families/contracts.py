"""Methods of some families in addition to those of `jgen.families.base.Family`: one protocol per ability.

Evaluators list the protocols that they need. Images are float32 [B, H, W, C] in [-1, 1],
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
  """Decodes latents to images."""

  def decode(self, state: TrainState, latents: jax.Array) -> jax.Array:
    """Images for latents [B, Z] or [B, h, w, c]."""


@typing.runtime_checkable
class Reconstructs(typing.Protocol):
  """Reconstructs images from their encoding."""

  def reconstruct(self, state: TrainState, images: jax.Array) -> jax.Array:
    """The reconstructions of images."""


@typing.runtime_checkable
class MeasuresImages(typing.Protocol):
  """Computes numbers for single images, such as the objective."""

  def eval_step(self, state: TrainState, batch: dict[str, jax.Array], key: jax.Array) -> dict[str, jax.Array]:
    """{name: [B]} for a batch {'image': images, 'label': int32 [B]}."""


@typing.runtime_checkable
class BoundsLikelihood(typing.Protocol):
  """Has a variational bound, with terms that can be computed over a whole data set."""

  def log_weight(self, state: TrainState, images: jax.Array, key: jax.Array) -> jax.Array:
    """log p(x, z) - log q(z | x) in nats, [B], for one sample z of q; Burda et al. 2016, eq. 8."""

  def regularization(self, kl: jax.Array, step: jax.Array) -> jax.Array:
    """The regularisation term of the objective, [], for divergences kl [Z] averaged over any number of images."""


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
  """Generates images from given latents of `latent_size` entries, standard normal in training."""

  latent_size: int                      # Z

  def sample_at(self, state: TrainState, key: jax.Array, latents: jax.Array, labels: jax.Array) -> jax.Array:
    """Images for latents [B, Z] and labels int32 [B]."""


@typing.runtime_checkable
class SamplesCodes(typing.Protocol):
  """Generates images from the latent codes of an InfoGAN."""

  latent_codes: LatentCodes

  def sample_codes(self, state: TrainState, key: jax.Array, codes: jax.Array) -> jax.Array:
    """Images for codes float32 [B, M + N], with noise that follows the key."""


@typing.runtime_checkable
class HasCritic(typing.Protocol):
  """Rates how real images look."""

  def critic_logits(self, state: TrainState, images: jax.Array, labels: jax.Array) -> jax.Array:
    """[B]; higher means more real, in arbitrary units."""


def missing(family: object, protocol: type) -> list[str]:
  """Names of the protocol's methods that a family lacks; [] if it follows the protocol."""
  names = [name for name in vars(protocol) if not name.startswith('_')]
  return [] if isinstance(family, protocol) else [name for name in names if not hasattr(family, name)] or names
