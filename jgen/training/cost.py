"""Memory and operations of a training step, from the compiled program, before the first step runs."""

from collections.abc import Callable
import dataclasses
import math
import os
from typing import Any

import jax

from jgen.errors import UserError
from jgen.families.train_state import TrainState


@dataclasses.dataclass(frozen=True)
class Cost:
  """The number of parameters, and the memory and operations of a training step on one device."""

  parameters: int                       # of one seed
  flops: float                          # floating-point operations of a step's products on one device
  memory: int                           # bytes on one device: state, batches and temporaries
  temporary: int                        # bytes of temporaries alone, roughly proportional to the batch

  def __str__(self):
    return (f'{self.parameters:,} parameters; on each device a step takes {in_bytes(self.memory)} of memory and '
            f'{self.flops / 1e9:.3g} GFLOP')


def of(dispatch: Callable, compiled: Any, state: TrainState, batches: Any, key: Any, seeds: int = 1) -> Cost:
  """The Cost of a step of `dispatch`, which was compiled for a replicated TrainState, batches [D, S, ...] and a key.

  With several seeds, the arguments have a further axis, see `make_dispatch`.
  """
  memory = compiled.memory_analysis()
  needed = (memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
            + memory.temp_size_in_bytes)
  parameters = sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(state.params))
  steps_per_dispatch = jax.tree.leaves(batches)[0].shape[1]
  flops = product_flops(jax.make_jaxpr(dispatch)(state, batches, key).jaxpr) / steps_per_dispatch
  return Cost(parameters // seeds, flops, needed, memory.temp_size_in_bytes)


def product_flops(jaxpr: Any) -> float:
  """Floating-point operations of the matrix products and convolutions of a jaxpr: additions and multiplications.

  XLA counts the body of a loop once, however often it runs. Here a scan counts its body once per iteration, a condition
  counts its most expensive branch, and a loop of unknown length counts once.
  """
  return sum(_flops(equation) for equation in jaxpr.eqns)


def _flops(equation):
  count = _PRODUCTS.get(equation.primitive.name)
  if count:
    return 2 * equation.outvars[0].aval.size * count(equation)
  parts = [product_flops(jaxpr) for jaxpr in _inner(equation.params)]
  if equation.primitive.name == 'cond':
    return max(parts)
  return sum(parts) * (equation.params['length'] if equation.primitive.name == 'scan' else 1)


def _inner(params):
  """The jaxprs among an equation's parameters."""
  for value in params.values():
    for entry in value if isinstance(value, tuple | list) else (value,):
      jaxpr = getattr(entry, 'jaxpr', entry)   # unwraps a ClosedJaxpr
      if hasattr(jaxpr, 'eqns'):
        yield jaxpr


def _of_dot(equation):
  """Multiplications per output entry of a matrix product."""
  (contracted, _), _ = equation.params['dimension_numbers']
  return math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)


def _of_convolution(equation):
  """Multiplications per output entry of a convolution, without those by the zeros of a dilated input."""
  kernel, numbers = equation.invars[1].aval, equation.params['dimension_numbers']
  return kernel.size / kernel.shape[numbers.rhs_spec[0]] / math.prod(equation.params['lhs_dilation'])


_PRODUCTS = {'dot_general': _of_dot, 'conv_general_dilated': _of_convolution}


def check_room(cost: Cost, batch_size: int, microbatch_size: int) -> None:
  """Raises UserError if a step needs more memory than a device has or, on CPU, all devices more than the host has.

  Args:
    cost: a Cost.
    batch_size: images of a step over all devices and processes.
    microbatch_size: how many of them are differentiated at once.
  """
  devices = jax.local_devices()
  stats = devices[0].memory_stats()
  room = stats['bytes_limit'] if stats else host_memory() // len(devices)
  if cost.memory > room:
    share = max(0, (0.9 * room - cost.memory + cost.temporary) / cost.temporary)
    fits = largest_divisor(batch_size, jax.device_count(), share * microbatch_size)
    advice = f'set config.microbatch_size={fits}, which would fit' if fits else 'use smaller networks or images'
    raise UserError(
        f'a training step needs {in_bytes(cost.memory)} of memory on each of {len(devices)} devices, which have '
        f'{in_bytes(room)} each; config.batch_size is {batch_size}, of which {microbatch_size} are differentiated at '
        f'once: {advice}')


def host_memory() -> int:
  """Bytes of the host's memory."""
  return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def largest_divisor(number: int, multiple_of: int, at_most: float) -> int:
  """The largest divisor of a number that is a multiple of `multiple_of` and at most `at_most`; 0 if there is none."""
  return max((size for size in range(multiple_of, int(at_most) + 1, multiple_of) if number % size == 0), default=0)


def in_bytes(count: float) -> str:
  """'1.23 GB' or '45 MB'."""
  return f'{count / 1e9:.3g} GB' if count >= 1e9 else f'{count / 1e6:.3g} MB'
