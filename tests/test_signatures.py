"""The annotations of jgen's functions hold while tests run: see `tests/conftest.py`."""

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from jgen.evaluation.features import frechet
from jgen.losses import adversarial
from jgen.networks.layers import Dense
from jgen.networks.quantizer import nearest

CRITIC = adversarial.ADVERSARIAL_LOSSES['relativistic_pairing'].critic


@pytest.mark.parametrize('call', (
    lambda: adversarial.hinge_real(jnp.zeros((4, 1))),   # logits of another rank, which broadcasting would let pass
    lambda: CRITIC(jnp.zeros(4), jnp.zeros(1)),          # as many real images as generated ones
    lambda: nearest(jnp.zeros((2, 5, 3)), jnp.zeros((7, 4))),
    lambda: Dense('3', True, jnp.zeros),                 # a field of a module
    lambda: frechet.of_features(np.zeros((3, 2), int))))
def test_a_call_that_the_annotations_do_not_allow_is_refused(call):
  with pytest.raises(jaxtyping.TypeCheckError):
    call()


def test_calls_that_they_allow_pass():
  assert adversarial.hinge_real(jnp.zeros(4)).shape == (4,)
  assert nearest(jnp.zeros((2, 5, 3)), jnp.zeros((7, 3))).shape == (2, 5)
  assert frechet.of_features(np.zeros((3, 2))).count == 3
