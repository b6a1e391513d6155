"""Penalties on the critic's slope: plain functions, [B] out."""

import jax
import jax.numpy as jnp


def gradient_penalty(score, real, fake, mix):
  """(|grad D(x)| - 1)^2 at x between a real and a generated image; Gulrajani et al. 2017, eq. 3.

  Args:
    score: images [B, H, W, C] -> logits [B], one image's logit depending on that image alone.
    real, fake: images [B, H, W, C].
    mix: [B], uniform in [0, 1); 0 is the real image, 1 the generated one.

  Returns:
    The penalty [B] (unweighted) and the slope |grad D(x)| [B].
  """
  points = real + mix[:, None, None, None] * (fake - real)
  gradient = jax.grad(lambda x: jnp.sum(score(x)))(points)
  # The root's derivative is infinite at 0, where a dead critic starts: 1e-12 keeps it finite there.
  slope = jnp.sqrt(jnp.sum(jnp.square(gradient), axis=(1, 2, 3)) + 1e-12)
  return jnp.square(slope - 1.), slope


PENALTIES = {'none': None, 'gradient_penalty': gradient_penalty}
