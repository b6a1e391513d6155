"""A device's share of a batch in microbatches, one after the other, so that a large batch fits into little memory.

A family asks for what it needs of a batch by `over_microbatches` and `pullback`; without `microbatches_of` both give
what the whole batch gives at once. Random numbers are those of the images' positions in the whole batch.
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
  """Within it, what is traced takes `size` images of a device at once, which divides its share; 0 takes all."""
  token = _size.set(size)
  try:
    yield
  finally:
    _size.reset(token)


def over_microbatches(function: Callable, inputs: Any) -> tuple[Any, Any]:
  """(means, outputs) of a function of images.

  Args:
    function: arrays [b, ...] -> (means, outputs): arrays of any shape, as gradients of a mean over these images and new
      statistics; and arrays [b, ...], one entry an image.
    inputs: arrays [B, ...].

  Returns:
    The means over the microbatches, and the outputs [B, ...] of all images in their order.
  """
  parts, count = _parts_of(inputs), len(jax.tree.leaves(inputs)[0])
  if parts == 1:
    return function(inputs)
  split = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), inputs)
  def one_part(means, xs):
    part, inputs = xs
    with part_of_share(part, parts):
      new, outputs = function(inputs)
    # A running mean: what is the same for all, as a constant among the statistics, stays the same to the last bit.
    return jax.tree.map(lambda mean, x: mean + (x - mean) / (part + 1.), means, new), outputs
  means, _ = jax.eval_shape(lambda inputs: function(inputs), jax.tree.map(lambda x: x[0], split))
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), means)
  means, outputs = lax.scan(one_part, zeros, (jnp.arange(parts), split))
  return means, jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), outputs)


def _parts_of(inputs):
  count = len(jax.tree.leaves(inputs)[0])
  return count // (_size.get() or count)


def pullback(function: Callable, params: Any, inputs: Any) -> tuple[Any, Any, Callable]:
  """The outputs of a function of parameters and images, with the way back of their gradient.

  Args:
    function: (params, arrays [b, ...]) -> (outputs [b, ...], means of any shape).
    params: any tree.
    inputs: arrays [B, ...].

  Returns:
    (outputs [B, ...], means over the microbatches, the function from a gradient at the outputs, of each image as that
    of its microbatch's mean, to the gradient at the parameters). With several microbatches that one computes the
    outputs once more, for only one microbatch's intermediate results are kept at a time.
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
