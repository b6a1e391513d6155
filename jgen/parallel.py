"""The device axis, and random numbers that do not depend on the number of devices."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import contextvars
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from jgen.shapes import PRNGKey

AXIS = 'devices'

# Folded into the key of a run, one for each purpose, so that no two draw the same numbers. Smaller numbers are steps.
INIT, AUGMENTATION, EVALUATION, STATISTICS = range(2**31, 2**31 + 4)

_part: contextvars.ContextVar[tuple[Any, int]] = contextvars.ContextVar(
    "(index, number of parts) of the part of a device's share that is being traced", default=(0, 1))


def over_devices(function: Callable, in_axes: int | None | tuple = 0, donate: tuple[int, ...] = (),
                 devices: Sequence[jax.Device] | None = None) -> Callable:
  """`function` compiled to run on all devices of this process at once, with AXIS naming all devices of all processes.

  This is the only call of `jax.pmap`, which is in maintenance, so a replacement changes one place.

  Args:
    function: the computation of one device
    in_axes: as in `jax.vmap`: 0 for arguments [D, ...] that are split among the devices; None for arguments that every
      device gets whole
    donate: the positions of arguments whose memory the results may reuse
    devices: the devices to use; None for all devices of all processes

  Returns:
    The compiled function, whose split arguments and results are [D, ...].
  """
  return jax.pmap(function, axis_name=AXIS, in_axes=in_axes, donate_argnums=donate, devices=devices)


@contextlib.contextmanager
def part_of_share(part: jax.Array, parts: int) -> Iterator[None]:
  """Context in which traced code sees part `part`, [] int32, of `parts` equal parts of this device's share."""
  token = _part.set((part, parts))
  try:
    yield
  finally:
    _part.reset(token)


def per_image(key: PRNGKey, count: int, draw: Callable[[PRNGKey], Any]) -> Any:
  """Random numbers for the `count` images of this device's share of a batch: [B, ...].

  `draw(key)` is called once per image, with a key made from the image's position in the batch over all
  devices and processes. So one device and eight devices draw the same numbers for the same image.
  Call it inside a function that is mapped over `AXIS`.
  """
  part, parts = _part.get()
  positions = (lax.axis_index(AXIS) * parts + part) * count + jnp.arange(count)
  return jax.vmap(lambda position: draw(jax.random.fold_in(key, position)))(positions)
