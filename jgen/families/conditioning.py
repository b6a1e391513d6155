"""The conditions of a GAN: one class per kind, which draws conditions and builds the inputs of both networks.

The condition of a batch is the int32 labels [B] of the real images, or codes float32 [B, M + N] from their prior.
"""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp

from jgen.losses.information import LatentCodes
from jgen.parallel import per_image
from jgen.shapes import Array, Images, Labels, Latents, PRNGKey

_CODES = 2**31 + 32                     # folded into keys; positions of images are smaller


class Condition:
  """The base of all kinds: neither network receives the labels."""

  num_classes: int                      # Y, classes that samples are conditioned on; 0 for an unconditional model

  def draw(self, key: jax.Array, labels: jax.Array) -> jax.Array:
    """The conditions of B generated images, given the labels int32 [B] of B real images."""
    del key
    return labels

  def draw_shared(self, key: jax.Array, labels: jax.Array) -> jax.Array:
    """The conditions for the labels int32 [B], with the same codes, if any, for all images."""
    return self.draw(key, labels)

  def example(self) -> jax.Array:
    """The condition of a single image, for its shape."""
    return jnp.zeros((1,), jnp.int32)

  def generator_input(self, noise: jax.Array, condition: jax.Array) -> jax.Array:
    """The generator's input [B, Z + n] for noise [B, Z]."""
    del condition
    return noise

  def critic_input(self, images: jax.Array, condition: jax.Array) -> jax.Array:
    """The critic's input [B, H, W, C + n] for images [B, H, W, C]."""
    del condition
    return images


@dataclasses.dataclass(frozen=True)
class Unconditional(Condition):
  """Noise alone."""

  num_classes = 0


@dataclasses.dataclass(frozen=True)
class OneHot(Condition):
  """The one-hot label, appended to the noise and, as constant channels, to the image (Mirza & Osindero 2014)."""

  num_classes: int

  def generator_input(self, noise: Latents, condition: Array) -> Array:
    return self._append(noise, condition)

  def critic_input(self, images: Images, condition: Array) -> Array:
    return self._append(images, condition)

  def _append(self, x, labels):
    one_hot = jax.nn.one_hot(labels, self.num_classes, dtype=x.dtype)
    one_hot = one_hot.reshape(x.shape[0], *(1,) * (x.ndim - 2), self.num_classes)
    return jnp.concatenate([x, jnp.broadcast_to(one_hot, (*x.shape[:-1], self.num_classes))], axis=-1)


@dataclasses.dataclass(frozen=True)
class GeneratorLabel(Condition):
  """The encoded label, appended to the noise; the critic does not receive it (Odena et al. 2017)."""

  num_classes: int
  encode: Callable                      # (labels [B], Y) -> float32 [B, n]

  def generator_input(self, noise: Latents, condition: Array) -> Array:
    return jnp.concatenate([noise, self.encode(condition, self.num_classes)], axis=-1)


@dataclasses.dataclass(frozen=True)
class Codes(Condition):
  """Latent codes from their prior, appended to the noise; labels are not used (Chen et al. 2016)."""

  latent_codes: LatentCodes
  num_classes = 0

  def draw(self, key: PRNGKey, labels: Labels) -> Array:
    return per_image(jax.random.fold_in(key, _CODES), len(labels), self.latent_codes.draw)

  def draw_shared(self, key: PRNGKey, labels: Labels) -> Array:
    codes = self.latent_codes.draw(jax.random.fold_in(key, _CODES))
    return jnp.broadcast_to(codes, (len(labels), self.latent_codes.size))

  def example(self) -> Array:
    return jnp.zeros((1, self.latent_codes.size))

  def generator_input(self, noise: Latents, condition: Array) -> Array:
    return jnp.concatenate([noise, self.latent_codes.as_input(condition)], axis=-1)
