"""Penalties on the norm of the critic's gradient: plain functions that return [B].

The arguments of each penalty are
  score: images [B, H, W, C] -> logits [B], where the logit of an image depends on that image alone;
  real, fake: images [B, H, W, C];
  drawn: the random numbers of each image, drawn by the penalty's `draw`.
It returns the unweighted penalty [B] and {name: gradient norms |grad D(x)| [B]}.
"""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp

from jgen.shapes import Images, PerImage

Score = Callable[[Images], PerImage]


def gradient_penalty(score: Score, real: Images, fake: Images, drawn: PerImage) -> tuple[PerImage, dict[str, PerImage]]:
  """(|grad D(x)| - 1)^2 at x between a real and a generated image; Gulrajani et al. 2017, eq. 3.

  drawn: [B], uniform in [0, 1); 0 is the real image, 1 the generated one.
  """
  slope = slopes(score, real + drawn[:, None, None, None] * (fake - real))
  return jnp.square(slope - 1.), {'slope': slope}


def r1(score: Score, real: Images, fake: Images, drawn: object) -> tuple[PerImage, dict[str, PerImage]]:
  """|grad D(x)|^2 / 2 at real images, so that the weight is gamma of Mescheder et al. 2018, eq. 9."""
  del fake, drawn
  slope = slopes(score, real)
  return jnp.square(slope) / 2., {'slope_at_real': slope}


def dragan(score: Score, real: Images, fake: Images, drawn: Images) -> tuple[PerImage, dict[str, PerImage]]:
  """(|grad D(x)| - 1)^2 at x near a real image; Kodali et al. 2017, sec. 3.2.

  drawn: [B, H, W, C], uniform in [0, 1), in units of half the standard deviation of each image's values.
  """
  del fake
  unit = 0.5 * jnp.std(real, axis=(1, 2, 3), keepdims=True)
  slope = slopes(score, real + unit * drawn)
  return jnp.square(slope - 1.), {'slope': slope}


def slopes(score: Score, points: Images) -> PerImage:
  """The gradient norms |grad D(x)| [B] at points [B, H, W, C]."""
  gradient = jax.grad(lambda x: jnp.sum(score(x)))(points)
  # The derivative of the square root is infinite at 0, where a dead critic starts: 1e-12 keeps it finite.
  return jnp.sqrt(jnp.sum(jnp.square(gradient), axis=(1, 2, 3)) + 1e-12)


@dataclasses.dataclass(frozen=True)
class Penalty:
  """A penalty and the function that draws its random numbers."""

  draw: Callable      # (key, shape (H, W, C)) -> the numbers of one image
  function: Callable   # (score, real, fake, drawn) -> (penalty [B], {name: [B]})


PENALTIES = {
    'none': None,
    'gradient_penalty': Penalty(lambda key, shape: jax.random.uniform(key), gradient_penalty),
    'r1': Penalty(lambda key, shape: (), r1),
    'dragan': Penalty(jax.random.uniform, dragan),
}
