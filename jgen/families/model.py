"""A model for evaluators: a family with a state, called with any number of images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import typing
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from jgen.data.spec import Dataset
from jgen.errors import UserError
from jgen.families import averaging
from jgen.families.base import Family
from jgen.families.train_state import TrainState
from jgen.host import processes
from jgen.host.progress import Counter
from jgen.images.pixels import to_float, to_pixels
from jgen.parallel import EVALUATION, over_devices
from jgen.shapes import Array, HostLatents, Images, Pixels, PRNGKey

_CHUNK = 128                            # images per call, rounded up to a multiple of the devices


class Compiled:
  """A family's methods on all devices of this process, each compiled on its first call.

  The same (state, batch, seed) gives the same results on any number of devices that divides 128. Processes that share
  work (`jgen.host.processes.sharing`) divide the chunks among them.
  """

  def __init__(self, family: Family, devices: Sequence[jax.Device] | None = None) -> None:
    """Runs on `devices`, by default on all of this process."""
    self.family = family
    self._devices = devices or jax.local_devices()
    self._shape = (len(self._devices), -(-_CHUNK // len(self._devices)))
    self._mapped = functools.cache(self._map)
    self._recompute = over_devices(functools.partial(averaging.recompute, family), devices=self._devices)
    # The last state passed to `used`, and its result.
    self._used: tuple[TrainState, TrainState] | None = None

  def _map(self, method):
    return over_devices(functools.partial(method, self.family), in_axes=(0, None, 0), devices=self._devices)

  def used(self, state: TrainState, dataset: Dataset | None) -> TrainState:
    """The replicated TrainState to use after training: with averaged parameters, if any, and statistics for them.

    The statistics are computed once per state, from the training Dataset if the family needs images: see
    `jgen.families.averaging`.
    """
    if not averaging.needs_statistics(state):
      return averaging.with_averages(state)
    if self._used is None or self._used[0] is not state:
      batches = jax.tree.map(self._split, averaging.batches_for(self.family, dataset))
      self._used = state, self._recompute(state, batches)
    return self._used[1]

  def _split(self, x):
    """[D, S, B, ...] of [S, G, ...]: a device's share of each batch.

    The last images of a batch are left out if D does not divide G.
    """
    devices = len(self._devices)
    whole = x[:, :x.shape[1] // devices * devices]
    return np.moveaxis(whole.reshape(len(x), devices, -1, *x.shape[2:]), 1, 0)

  def __call__(self, method: Callable, state: TrainState, batch: Any, seed: int) -> Any:
    """Calls `method(family, state, key, batch)` on arrays [n, ...] in chunks; returns arrays [n, ...] on the host."""
    return jax.tree.map(lambda *x: np.concatenate(x), *self.parts(method, state, batch, seed))

  def parts(self, method: Callable, state: TrainState, batch: Any, seed: int) -> Iterator[Any]:
    """Yields the results of `method(family, state, key, batch)` chunk by chunk, so that memory does not grow with n.

    The last chunk is filled up with zeros, whose results are dropped. A progress line is shown if it takes long.
    """
    count, size = len(jax.tree.leaves(batch)[0]), self._shape[0] * self._shape[1]
    key = jax.random.fold_in(jax.random.key(seed), EVALUATION)

    def compute(i):
      chunk = jax.tree.map(functools.partial(self._chunk, i), batch)
      return self._mapped(method)(state, jax.random.fold_in(key, i), chunk)

    with Counter(count, quiet=jax.process_index() > 0) as counter:
      for i, results in enumerate(processes.shared(compute, range(-(-count // size)))):
        num_valid = min(size, count - i * size)
        yield jax.tree.map(lambda x, num_valid=num_valid: np.asarray(x).reshape(size, *x.shape[2:])[:num_valid],
                           results)
        counter.update(i * size + num_valid)

  def _chunk(self, i, x):
    size = self._shape[0] * self._shape[1]
    part = x[i * size:(i + 1) * size]
    filled = np.zeros((size, *x.shape[1:]), x.dtype)
    filled[:len(part)] = part
    return filled.reshape(*self._shape, *x.shape[1:])


class Argument(typing.NamedTuple):
  """How an argument is converted from the host to a family's method."""

  dtype: type | None                    # type of the array on the host; None leaves it unchanged
  on_device: Callable                   # applied to the array on the device


IMAGES = Argument(None, to_float)
LABELS = Argument(np.int32, lambda x: x)
CODES = Argument(np.int32, lambda x: x)
LATENTS = Argument(np.float32, lambda x: x)


def pixels(images: Images) -> dict[str, Array]:
  """{'image': uint8, 'finite': bool [B]} of float images [B, H, W, C]."""
  return {'image': to_pixels(images), 'finite': jnp.isfinite(images).all(axis=(1, 2, 3))}


@dataclasses.dataclass(frozen=True, eq=False)   # hashed by identity, as the key of the compiled functions
class Border:
  """How a method of a family is called from the host: with uint8 images, and without a key if it is deterministic."""

  method: str                           # of a Family, or of a protocol of `jgen.families.contracts`
  arguments: Mapping[str, Argument]     # by their names in the method
  draws: bool = False                   # whether it takes a key
  gives_images: bool = False
  as_batch: bool = False                # whether it takes the arguments as one mapping, `batch`

  def __call__(self, family: Family, state: TrainState, key: PRNGKey, arrays: Mapping[str, Array]) -> Any:
    """The result of the method for one device's share of the host's arrays."""
    inputs = {name: self.arguments[name].on_device(x) for name, x in arrays.items()}
    inputs = {'batch': inputs} if self.as_batch else inputs
    result = getattr(family, self.method)(state, **inputs, **({'key': key} if self.draws else {}))
    return pixels(result) if self.gives_images else result

  def on_host(self, inputs: Sequence) -> dict[str, Any]:
    """{name: array} for the positional arguments `inputs`."""
    return {name: x if argument.dtype is None else np.asarray(x, argument.dtype)
            for (name, argument), x in zip(self.arguments.items(), inputs, strict=True)}


BORDERS = {border.method: border for border in (
    Border('sample', {'labels': LABELS}, draws=True, gives_images=True),
    Border('sample_at', {'latents': LATENTS, 'labels': LABELS}, draws=True, gives_images=True),
    Border('sample_codes', {'codes': LATENTS}, draws=True, gives_images=True),
    Border('encode', {'images': IMAGES}),
    Border('latents', {'images': IMAGES}),
    Border('codes', {'images': IMAGES}),
    Border('decode', {'latents': LATENTS}, gives_images=True),
    Border('decode_codes', {'codes': CODES}, gives_images=True),
    Border('reconstruct', {'images': IMAGES}, gives_images=True),
    Border('eval_step', {'image': IMAGES, 'label': LABELS}, draws=True, as_batch=True),
    Border('log_weight', {'images': IMAGES}, draws=True),
    Border('critic_logits', {'images': IMAGES, 'labels': LABELS}))}


@dataclasses.dataclass(frozen=True)
class Model:
  """A family with a state, called with any number n of uint8 images [n, H, W, C] on the host.

  `call` calls any method of BORDERS; the methods below wrap it with named arguments. Not all families have all methods.
  """

  compiled: Compiled
  state: TrainState                     # replicated
  dataset: Dataset | None = None        # the training images, which some averaged models need for batch statistics

  @property
  def family(self) -> Any:
    """The Family, which also follows the protocols in the `needs` of an evaluator."""
    return self.compiled.family

  @property
  def used(self) -> TrainState:
    """The TrainState that all methods use: with averaged parameters if there are any."""
    return self.compiled.used(self.state, self.dataset)

  def call(self, method: str, *inputs: Any, seed: int = 0) -> Any:
    """Calls a method of BORDERS with arrays [n, ...]; returns arrays on the host, images as uint8.

    Raises:
      UserError: an image is not finite.
    """
    return jax.tree.map(lambda *x: np.concatenate(x), *self.parts(method, *inputs, seed=seed))

  def parts(self, method: str, *inputs: Any, seed: int = 0) -> Iterator[Any]:
    """Yields the results of `call` part by part."""
    border = BORDERS[method]
    for made in self.compiled.parts(border, self.used, border.on_host(inputs), seed):
      if border.gives_images and not made['finite'].all():
        raise UserError(f'the model of step {self.step:,} generates images with NaN or infinity; train with a smaller '
                        'learning rate, or evaluate an earlier checkpoint')
      yield made['image'] if border.gives_images else made

  def sample(self, labels: Any, seed: int) -> Pixels:
    """Images for labels int [n], which a family without classes ignores, and a whole-number seed."""
    return self.call('sample', labels, seed=seed)

  def sample_parts(self, labels: Any, seed: int) -> Iterator[Pixels]:
    """Yields the images of `sample` part by part, uint8 [k, H, W, C]."""
    return self.parts('sample', labels, seed=seed)

  def encode(self, images: np.ndarray) -> tuple[HostLatents, HostLatents]:
    """(mean, log variance) of the latents, float32 [n, Z] each."""
    return self.call('encode', images)

  def latents(self, images: np.ndarray) -> Float[np.ndarray, 'n h w c']:
    """The encoder's maps, float32 [n, h, w, c]."""
    return self.call('latents', images)

  def codes(self, images: np.ndarray) -> Int[np.ndarray, 'n N']:
    """The codes of images, int32 [n, N]."""
    return self.call('codes', images)

  def decode_codes(self, codes: Any) -> Pixels:
    """Images of codes int [n, N]."""
    return self.call('decode_codes', codes)

  def decode(self, latents: Any) -> Pixels:
    """Images of latents float32 [n, Z], or of maps [n, h, w, c]."""
    return self.call('decode', latents)

  def reconstruct(self, images: np.ndarray) -> Pixels:
    """Images decoded from the latents of images."""
    return self.call('reconstruct', images)

  def eval_step(self, images: np.ndarray, labels: Any, seed: int) -> dict[str, Float[np.ndarray, ' n']]:
    """{name: float32 [n]}, the family's metrics for each image."""
    return self.call('eval_step', images, labels, seed=seed)

  def log_weight(self, images: np.ndarray, seed: int) -> Float[np.ndarray, ' n']:
    """log p(x, z) - log q(z | x) in nats, float32 [n], for one sample z of each image's latents."""
    return self.call('log_weight', images, seed=seed)

  def sample_at(self, latents: Any, labels: Any, seed: int) -> Pixels:
    """Images of latents float32 [n, Z] with labels int [n], which a family without classes ignores."""
    return self.call('sample_at', latents, labels, seed=seed)

  def sample_codes(self, codes: Any, seed: int) -> Pixels:
    """Images of codes float32 [n, M + N]; for the same seed, the noise is the same at the same position."""
    return self.call('sample_codes', codes, seed=seed)

  def critic_logits(self, images: np.ndarray, labels: Any) -> Float[np.ndarray, ' n']:
    """The critic's outputs for images with labels int [n]: float32 [n], higher is more real."""
    return self.call('critic_logits', images, labels)

  @property
  def step(self) -> int:
    """The training step of the state."""
    return int(self.state.step.addressable_shards[0].data[0])
