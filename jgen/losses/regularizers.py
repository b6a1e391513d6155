"""The KL term of a VAE's objective, and its variants.

Each variant is a function of the KL divergence [Z] of each latent in nats, averaged over the batch of all devices, of
the step and of a `Regularizer`; it returns the term without its weight.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from jgen.keys import key
from jgen.shapes import Array, Scalar, Step

ACTIVE_VARIANCE = 0.01                  # a latent is active where its mean has a variance above this; Burda et al. 2016


def kl_per_latent(mean: Float[Array | np.ndarray, '*B'],
                  log_variance: Float[Array | np.ndarray, '*B']) -> Float[Array, '*B']:
  """KL(N(mean, exp(log variance)) || N(0, 1)) in nats, elementwise; Kingma & Welling 2014, appendix B."""
  return 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance)


def total(kl: Float[Array, ' Z'], step: Step, settings: 'Regularizer') -> Scalar:
  """The sum over the latents: the ELBO's KL term; with a weight beta, the beta-VAE's (Higgins et al. 2017, eq. 4)."""
  del step, settings
  return kl.sum()


def free_bits(kl: Float[Array, ' Z'], step: Step, settings: 'Regularizer') -> Scalar:
  """Each latent costs at least `free_nats` (free bits; Kingma et al. 2016, eq. 15, with one latent per group)."""
  del step
  return jnp.maximum(kl, settings.free_nats).sum()


def capacity(kl: Float[Array, ' Z'], step: Step, settings: 'Regularizer') -> Scalar:
  """The distance of the total KL from a capacity that grows to `capacity_nats` (Burgess et al. 2018, eq. 8)."""
  return jnp.abs(kl.sum() - settings.capacity_nats * ramp(step, settings.capacity_steps))


REGULARIZERS = {'kl': total, 'free_bits': free_bits, 'capacity': capacity}


def ramp(step: Step, steps: int) -> Scalar | float:
  """A linear ramp from 0 at step 0 to 1 after `steps`; 1 if `steps` is 0."""
  return jnp.minimum(1., step / max(steps, 1)) if steps else 1.


@dataclasses.dataclass(frozen=True)
class Regularizer:
  """A function of REGULARIZERS and its weight."""

  name: str = key('kl', "the function of the latents' KL divergence from the prior", names=REGULARIZERS)
  weight: float = key(1., "weight of the KL term after the warm-up: relative to the error per pixel for "
                          "'squared_error', else per image (beta)", at_least=0)
  warmup_steps: int = key(0, 'steps over which the weight rises from 0', at_least=0)
  free_nats: float = key(0., 'free bits: the KL of each latent is penalised only above this number of nats', at_least=0,
                         read_with={'name': ('free_bits',)})
  capacity_nats: float = key(25., 'target of the total KL in nats', at_least=0,
                             read_with={'name': ('capacity',)})
  capacity_steps: int = key(100_000, 'steps over which the capacity rises from 0', at_least=0,
                            read_with={'name': ('capacity',)})

  def weight_at(self, step: Step) -> Scalar | float:
    """The weight, which rises linearly from 0 over the warm-up (Sonderby et al. 2016, sec. 2.3)."""
    return self.weight * ramp(step, self.warmup_steps)

  def __call__(self, kl: Float[Array, ' Z'], step: Step) -> Scalar:
    """The weighted KL term of the objective, [], for kl [Z]."""
    return self.weight_at(step) * REGULARIZERS[self.name](kl, step, self)
