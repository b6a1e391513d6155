"""The axis of the devices, and random numbers that do not depend on how many there are."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import contextvars
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from jgen.shapes import PRNGKey

AXIS = 'devices'

# Folded into the key of a run, one for each purpose, so that no two draw the same numbers. The numbers below are steps.
INIT, AUGMENTATION, EVALUATION, STATISTICS = range(2**31, 2**31 + 4)

_part: contextvars.ContextVar[tuple[Any, int]] = contextvars.ContextVar(
    '(index, number) of the part of a share that is traced', default=(0, 1))


def over_devices(function: Callable, in_axes: int | None | tuple = 0, donate: tuple[int, ...] = (),
                 devices: Sequence[jax.Device] | None = None) -> Callable:
  """`function` compiled to run on all devices of this process at once; across them and all processes, AXIS is named.

  The only call of `jax.pmap`, which is in maintenance: what replaces it has one place to go.

  Args:
    function: for one device
    in_axes: as of `jax.vmap`: 0 for arguments [D, ...], each device takes its part; None for those that all take whole
    donate: the positions of arguments whose memory the results may take
    devices: a list of them; None for all devices of all processes

  Returns:
    The function of arguments with D in front; its results are [D, ...].
  """
  return jax.pmap(function, axis_name=AXIS, in_axes=in_axes, donate_argnums=donate, devices=devices)


@contextlib.contextmanager
def part_of_share(part: jax.Array, parts: int) -> Iterator[None]:
  """Within it, what is traced sees part number `part`, [] int32, of `parts` equal ones of this device's share."""
  token = _part.set((part, parts))
  try:
    yield
  finally:
    _part.reset(token)


def per_image(key: PRNGKey, count: int, draw: Callable[[PRNGKey], Any]) -> Any:
  """Draws for the `count` images of this device's share of a batch: [B, ...].

  `draw(key)` is called with one key an image, made from the image's position in the batch over all
  devices and processes. One device and eight therefore draw the same numbers for the same image.
  Call it inside a function that is mapped over `AXIS`.
  """
  part, parts = _part.get()
  positions = (lax.axis_index(AXIS) * parts + part) * count + jnp.arange(count)
  return jax.vmap(lambda position: draw(jax.random.fold_in(key, position)))(positions)
