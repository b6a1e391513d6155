"""Products in bfloat16 against float32 products of factors that numpy has rounded."""

from flax import linen as nn
import jax
from jax import lax
from jax.extend.core import jaxprs_in_params
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jgen.networks import products
from jgen.networks.convolution import layers
from jgen.networks.layers import Dense
from jgen.networks.products import products_in

RANDOM = np.random.default_rng(0)
IMAGES = jnp.asarray(RANDOM.normal(size=(2, 8, 8, 3)), jnp.float32)
KERNEL = jnp.asarray(RANDOM.normal(size=(4, 4, 3, 5)), jnp.float32)


def rounded(x):
  return np.asarray(x).astype(ml_dtypes.bfloat16).astype(np.float32)


@pytest.mark.parametrize('form', ['plain', 'fast'])
def test_a_convolution_and_its_derivatives_are_of_rounded_factors(form, monkeypatch):
  monkeypatch.setenv('JGEN_CONVOLUTION', form)
  outputs, pullback = jax.vjp(layers.convolve, IMAGES, KERNEL)
  with products_in('bfloat16'):
    ours, our_pullback = jax.vjp(layers.convolve, IMAGES, KERNEL)
  theirs, their_pullback = jax.vjp(layers.convolve, rounded(IMAGES), rounded(KERNEL))
  np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
  assert ours.dtype == jnp.float32 and np.abs(ours - outputs).max() > 1e-3
  for mine, other in zip(our_pullback(outputs), their_pullback(rounded(outputs)), strict=True):
    np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-4)   # rounded as well: the form owns its derivatives


def linear(layer):
  params = layer.init(jax.random.key(0), IMAGES[:, 0, 0])
  return params['params']['kernel'], lambda: layer.apply(params, IMAGES[:, 0, 0])


@pytest.mark.parametrize('layer', [
    Dense(7, False, nn.initializers.normal()),
    nn.Dense(7, use_bias=False, dot_general=products.dot_general)])
def test_a_linear_layer_is_of_rounded_factors(layer):
  kernel, apply = linear(layer)
  exact = apply()
  with products_in('bfloat16'):
    ours = apply()
  np.testing.assert_allclose(ours, rounded(IMAGES[:, 0, 0]) @ rounded(kernel), rtol=1e-6, atol=1e-7)
  assert ours.dtype == jnp.float32 and np.abs(ours - exact).max() > 1e-6
  np.testing.assert_array_equal(apply(), exact)   # without it, as before


@pytest.mark.parametrize('name, expected', [('default', 'DEFAULT'), ('tensorfloat32', 'HIGH'), ('highest', 'HIGHEST')])
def test_a_gpu_is_told_how_to_compute_products_of_float32(name, expected):
  def function(x):
    with products_in('float32', name):
      return layers.convolve(x, KERNEL) + products.dot_general(x[:, ::2, ::2], KERNEL[0, 0], (((3,), (0,)), ((), ())))
  given = [equation.params['precision'] for equation in equations(jax.make_jaxpr(function)(IMAGES).jaxpr)
           if equation.primitive.name in ('dot_general', 'conv_general_dilated')]
  chosen = None if name == 'default' else (getattr(lax.Precision, expected),) * 2
  assert len(given) >= 2 and set(given) == {chosen}


def equations(jaxpr):
  """All equations of a jaxpr, those of functions within it too."""
  for equation in jaxpr.eqns:
    yield equation
    for inner in jaxprs_in_params(equation.params):
      yield from equations(inner)
