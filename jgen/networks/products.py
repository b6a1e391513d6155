"""The precision of products: convolutions, their derivatives, and matrix products of linear layers.

Everything else, such as parameters, normalisation and losses, is float32 throughout. In bfloat16 both factors
are rounded to 8 significant bits, and the result is float32 again.
"""

from collections.abc import Iterator
import contextlib
import contextvars
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from jgen.networks.convolution.forms import Form
from jgen.shapes import Array

PRECISIONS = ('float32', 'bfloat16')
MATRIX_PRECISIONS = ('default', 'tensorfloat32', 'highest')   # JAX's names, for float32 products
_precision = contextvars.ContextVar('precision of products', default='float32')


@contextlib.contextmanager
def products_in(precision: str, matrix_precision: str = 'default') -> Iterator[None]:
  """A context in which traced functions compute products in `precision`, one of PRECISIONS.

  `matrix_precision`, one of MATRIX_PRECISIONS, selects how a GPU computes float32 products; JAX chooses for 'default'.
  """
  token = _precision.set(precision)
  try:
    chosen = matrix_precision != 'default'
    with jax.default_matmul_precision(matrix_precision) if chosen else contextlib.nullcontext():
      yield
  finally:
    _precision.reset(token)


def dot_general(x: Array, y: Array, dimension_numbers: Any, precision: Any = None,
                preferred_element_type: Any = None) -> Array:
  """`lax.dot_general` of float32 arrays in the current precision; for the argument `dot_general` of a Flax layer."""
  if _precision.get() == 'float32':
    return lax.dot_general(x, y, dimension_numbers, precision, preferred_element_type)
  x, y = x.astype(jnp.bfloat16), y.astype(jnp.bfloat16)
  return lax.dot_general(x, y, dimension_numbers, precision, jnp.float32)


def in_precision(form: Form) -> Form:
  """The form of a convolution, and of all its derivatives, in the current precision."""
  return form if _precision.get() == 'float32' else _of_rounded_factors(form)


@functools.cache
def _of_rounded_factors(form: Form) -> Form:
  """The form with factors rounded to bfloat16.

  On a CPU the rounded factors are multiplied in float32, since bfloat16 convolutions are slow there: the result
  differs only in not being rounded again.
  """
  if jax.default_backend() == 'cpu':
    rounded = functools.partial(lax.reduce_precision, exponent_bits=8, mantissa_bits=7)
    return Form(*(functools.partial(_multiply, product, rounded) for product in form))
  return Form(*(functools.partial(_multiply, product, lambda x: x.astype(jnp.bfloat16)) for product in form))


def _multiply(product, rounded, x, y):
  return product(rounded(x), rounded(y)).astype(jnp.float32)
