"""Random augmentation and instance noise, applied to the critic's inputs, real and generated."""

from collections.abc import Callable, Sequence
import dataclasses

import jax
import jax.numpy as jnp

from jgen.augmentation.diff_augment import POLICIES
from jgen.errors import choose
from jgen.keys import Values, key
from jgen.parallel import per_image
from jgen.shapes import Images, PRNGKey, Scalar, Step


def unchanged(key: PRNGKey, step: Step, images: Images) -> Images:
  """The augmentation that does nothing, and adds nothing to the compiled step."""
  del key, step
  return images


@dataclasses.dataclass(frozen=True)
class InstanceNoise:
  """Normal noise N(0, sigma^2) on all inputs of the critic, with sigma falling to 0 (Sonderby et al. 2017)."""

  stddev: float = key(0., 'standard deviation at step 0, for pixels in [-1, 1]; 0 for no noise', at_least=0)
  decay_steps: int = key(0, 'steps over which it falls linearly to 0; 0 for constant noise', at_least=0,
                         read_with={'stddev': True})


@dataclasses.dataclass(frozen=True)
class CriticAugmentation(InstanceNoise):
  """Differentiable augmentation, then instance noise."""

  policies: tuple[Callable, ...] = ()   # functions (key, image) -> image, applied in order

  def __call__(self, key: PRNGKey, step: Step, images: Images) -> Images:
    """The critic's inputs [B, H, W, C] at a step. Call it inside a function mapped over `AXIS`."""
    keys = per_image(key, len(images), lambda key: jax.random.split(key, len(self.policies) + 1))
    for i, policy in enumerate(self.policies):
      images = jax.vmap(policy)(keys[:, i], images)
    noise = lambda key: jax.random.normal(key, images.shape[1:])
    return images + self.stddev_at(step) * jax.vmap(noise)(keys[:, -1]) if self.stddev else images

  def stddev_at(self, step: Step) -> Scalar | float:
    """The standard deviation sigma of the noise at a step."""
    return self.stddev * jnp.maximum(0., 1. - step / self.decay_steps) if self.decay_steps else self.stddev


def create(policies: Sequence[str], noise: Values) -> Callable[[PRNGKey, Step, Images], Images]:
  """The function (key, step, images) -> images of `model.diff_augment` and `model.instance_noise`.

  Raises:
    UserError: an unknown policy.
  """
  chosen = tuple(choose('model.diff_augment', name, POLICIES) for name in policies)
  augmentation = CriticAugmentation(policies=chosen, **noise)
  return augmentation if augmentation.policies or augmentation.stddev else unchanged
