"""Activation functions, which say what they are to whoever lists the layers of a network (`jgen.networks.listing`)."""

from collections.abc import Callable, Iterator
import contextlib
import contextvars

from flax import linen as nn
import jax
import jax.numpy as jnp

_listener: contextvars.ContextVar[Callable[[str], None] | None] = contextvars.ContextVar(
    'called with the name of each activation', default=None)


@contextlib.contextmanager
def heard_by(listener: Callable[[str], None]) -> Iterator[None]:
  """Within it, `listener` is called with the name of every activation function that is traced."""
  token = _listener.set(listener)
  try:
    yield
  finally:
    _listener.reset(token)


def _say(name):
  listener = _listener.get()
  if listener:
    listener(name)


def leaky_relu(x: jax.Array, negative_slope: float) -> jax.Array:
  """x where it is positive, `negative_slope` times x elsewhere; ReLU for a slope of 0."""
  _say(f'LeakyReLU({negative_slope:g})' if negative_slope else 'ReLU')
  return nn.leaky_relu(x, negative_slope)


def gelu(x: jax.Array) -> jax.Array:
  """The Gaussian error linear unit in its usual approximation (Hendrycks & Gimpel 2016)."""
  _say('GELU')
  return nn.gelu(x)


def tanh(x: jax.Array) -> jax.Array:
  """The hyperbolic tangent."""
  _say('tanh')
  return jnp.tanh(x)


def sigmoid(x: jax.Array) -> jax.Array:
  """The logistic function."""
  _say('sigmoid')
  return jax.nn.sigmoid(x)
