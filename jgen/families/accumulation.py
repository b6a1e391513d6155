"""Gradient accumulation: a device processes its share of a batch in microbatches, to save memory.

Families compute on batches through `over_microbatches` and `pullback`; outside of `microbatches_of` both process
the whole batch at once. Random numbers depend on the positions of the images in the whole batch.
"""

from collections.abc import Callable, Iterator
import contextlib
import contextvars
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from jgen.parallel import part_of_share

_size = contextvars.ContextVar('images of a microbatch on one device', default=0)


@contextlib.contextmanager
def microbatches_of(size: int) -> Iterator[None]:
  """A context for tracing: `size` images per device are processed at once; it divides the share, 0 means all."""
  token = _size.set(size)
  try:
    yield
  finally:
    _size.reset(token)


def over_microbatches(function: Callable, inputs: Any) -> tuple[Any, Any]:
  """Applies a function to images microbatch by microbatch; returns (means, outputs).

  Args:
    function: arrays [b, ...] -> (means, outputs). The means are arrays of any shape, such as gradients of a mean over
      these images and new statistics; the outputs are arrays [b, ...], one entry per image.
    inputs: arrays [B, ...].

  Returns:
    The means averaged over the microbatches, and the outputs [B, ...] of all images in order.
  """
  parts, count = _parts_of(inputs), len(jax.tree.leaves(inputs)[0])
  if parts == 1:
    return function(inputs)
  split = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), inputs)
  def one_part(means, xs):
    part, inputs = xs
    with part_of_share(part, parts):
      new, outputs = function(inputs)
    # A running mean: values equal in all microbatches, such as constant statistics, stay equal to the last bit.
    return jax.tree.map(lambda mean, x: mean + (x - mean) / (part + 1.), means, new), outputs
  means, _ = jax.eval_shape(lambda inputs: function(inputs), jax.tree.map(lambda x: x[0], split))
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), means)
  means, outputs = lax.scan(one_part, zeros, (jnp.arange(parts), split))
  return means, jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), outputs)


def _parts_of(inputs):
  count = len(jax.tree.leaves(inputs)[0])
  return count // (_size.get() or count)


def pullback(function: Callable, params: Any, inputs: Any) -> tuple[Any, Any, Callable]:
  """The outputs of a function of parameters and images, with the function that pulls back their gradient.

  Args:
    function: (params, arrays [b, ...]) -> (outputs [b, ...], means of any shape).
    params: any tree.
    inputs: arrays [B, ...].

  Returns:
    (outputs [B, ...], means over the microbatches, pullback). The pullback maps a gradient at the outputs, each
    image's scaled as that of its microbatch's mean, to the gradient at the parameters. With several microbatches it
    recomputes the outputs, to keep the intermediate results of only one microbatch at a time.
  """
  if _parts_of(inputs) == 1:
    outputs, vjp, means = jax.vjp(lambda params: function(params, inputs), params, has_aux=True)
    return outputs, means, lambda gradient: vjp(gradient)[0]
  means, outputs = over_microbatches(lambda inputs: function(params, inputs)[::-1], inputs)
  def back(gradient):
    def of_part(xs):
      inputs, gradient = xs
      return jax.vjp(lambda params: function(params, inputs)[0], params)[1](gradient)[0], ()
    return over_microbatches(of_part, (inputs, gradient))[0]
  return outputs, means, back
