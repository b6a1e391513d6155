"""What a training step costs, against counts by hand and a step's own program."""

from helpers.published import refusal
import jax
from jax import lax
import jax.numpy as jnp
import pytest

from jgen.training import cost

KERNEL = jnp.zeros((3, 3, 5, 7))


def convolution(x, lhs_dilation=(1, 1)):
  return lax.conv_general_dilated(x, KERNEL, (1, 1), ((1, 1), (1, 1)), lhs_dilation=lhs_dilation,
                                  dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


IMAGES = jnp.zeros((2, 8, 8, 5))
MATRIX = jnp.zeros((4, 4))


@pytest.mark.parametrize('function, argument, expected', [
    (lambda x: x @ jnp.zeros((5, 7)), IMAGES, 2 * 2 * 8 * 8 * 5 * 7),
    (convolution, IMAGES, 2 * 2 * 8 * 8 * 9 * 5 * 7),
    (lambda x: convolution(x, (2, 2)), IMAGES, 2 * 2 * 15 * 15 * 9 * 5 * 7 / 4),
    (lambda x: lax.scan(lambda c, _: (c @ c, None), x, length=6)[0], MATRIX, 6 * 2 * 4**3),
    (lambda x: lax.cond(x.sum() > 0, lambda x: x @ x @ x, lambda x: x @ x, x), MATRIX, 2 * 2 * 4**3),
    (lambda x: jax.jit(jax.grad(lambda x: (x @ MATRIX).sum()))(x), MATRIX, 2 * 2 * 4**3),
    (jnp.sin, MATRIX, 0)])
def test_products_are_counted_as_by_hand(function, argument, expected):
  assert cost.product_flops(jax.make_jaxpr(function)(argument).jaxpr) == expected


@pytest.mark.parametrize('memory, refused', [(10**9, False), (10**15, True)])
def test_a_step_that_cannot_fit_is_refused(memory, refused):
  needed = cost.Cost(1_000, 1e9, memory, memory // 2)
  if refused:
    assert 'use smaller networks or images' in refusal(cost.check_room, needed, 64, 64)
  else:
    cost.check_room(needed, 64, 64)


def test_a_step_that_cannot_fit_is_refused_with_the_microbatch_that_would(monkeypatch):
  monkeypatch.setattr(cost, 'host_memory', lambda: len(jax.local_devices()) * 10**9)
  needed = cost.Cost(1_000, 1e9, memory=4_100_000_000, temporary=4_000_000_000)   # 0.1 GB whatever the microbatch
  told = refusal(cost.check_room, needed, 3_200, 3_200)   # 0.8 of 4 GB is what is left: at most 640 images
  assert 'needs 4.1 GB' in told and 'set config.microbatch_size=640, which would fit' in told


def test_the_line_names_what_matters():
  assert str(cost.Cost(3_506_315, 61.28e9, 1_234_000_000, 0)) == (
      '3,506,315 parameters; on each device a step takes 1.23 GB of memory and 61.3 GFLOP')
