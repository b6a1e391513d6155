"""A model as the evaluators see it: a family with the state that it has now, for any number of images."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jgen.data.spec import Dataset
from jgen.errors import UserError
from jgen.families import averaging
from jgen.families.base import Family
from jgen.images import to_float, to_pixels
from jgen.parallel import EVALUATION, over_devices

_CHUNK = 128                            # images a call; the next multiple of the devices is taken


class Compiled:
  """A family's methods on all devices of this process, each compiled when it is first called.

  The same (state, batch, seed) gives the same on any number of devices, where their number divides 128.
  """

  def __init__(self, family, devices=None):
    """On the `devices`, or on all of this process."""
    self.family = family
    self._devices = devices or jax.local_devices()
    self._shape = (len(self._devices), -(-_CHUNK // len(self._devices)))
    self._mapped = functools.cache(self._map)
    self._recompute = over_devices(functools.partial(averaging.recompute, family), devices=self._devices)
    self._used = None, None             # the last state that `used` was asked for, and what it gave

  def _map(self, method):
    return over_devices(functools.partial(method, self.family), in_axes=(0, None, 0), devices=self._devices)

  def used(self, state, dataset):
    """What is used of a replicated TrainState: its averaged parameters, where it has them, with statistics of theirs.

    They are computed once for a state, from the training Dataset where the family needs its images: see
    `jgen.families.averaging`.
    """
    if not averaging.needs_statistics(state):
      return averaging.with_averages(state)
    if self._used[0] is not state:
      batches = jax.tree.map(self._split, averaging.batches_for(self.family, dataset))
      self._used = state, self._recompute(state, batches)
    return self._used[1]

  def _split(self, x):
    """[D, S, B, ...] of [S, G, ...]: a device's share of each batch.

    The last images of a batch are left out where D does not divide G.
    """
    devices = len(self._devices)
    kept = x[:, :x.shape[1] // devices * devices]
    return np.moveaxis(kept.reshape(len(x), devices, -1, *x.shape[2:]), 1, 0)

  def __call__(self, method, state, batch, seed):
    """`method(family, state, key, batch)` on arrays [n, ...], chunk by chunk; its arrays [n, ...], on the host."""
    return jax.tree.map(lambda *x: np.concatenate(x), *self.parts(method, state, batch, seed))

  def parts(self, method, state, batch, seed):
    """The same, part by part as it is made: what is never joined needs no memory.

    The last chunk is filled up with zeros, and what comes of them is dropped.
    """
    count, size = len(jax.tree.leaves(batch)[0]), self._shape[0] * self._shape[1]
    key = jax.random.fold_in(jax.random.key(seed), EVALUATION)
    for i in range(-(-count // size)):
      chunk = jax.tree.map(functools.partial(self._chunk, i), batch)
      made = self._mapped(method)(state, jax.random.fold_in(key, i), chunk)
      kept = min(size, count - i * size)
      yield jax.tree.map(lambda x, kept=kept: np.asarray(x).reshape(size, *x.shape[2:])[:kept], made)

  def _chunk(self, i, x):
    size = self._shape[0] * self._shape[1]
    part = x[i * size:(i + 1) * size]
    filled = np.zeros((size, *x.shape[1:]), x.dtype)
    filled[:len(part)] = part
    return filled.reshape(*self._shape, *x.shape[1:])


@dataclasses.dataclass(frozen=True)
class Model:
  """What a family can do, with uint8 images [n, H, W, C] at this border. Families lack some of it: see `needs`."""

  compiled: Compiled
  state: object                         # a replicated TrainState
  dataset: Dataset | None = None        # the training images, which some averaged models need

  @property
  def family(self) -> Family:
    return self.compiled.family

  @property
  def used(self):
    """The TrainState that all methods use: of averaged parameters where there are any."""
    return self.compiled.used(self.state, self.dataset)

  def sample(self, labels, seed):
    """Images for labels int [n], which a family without classes ignores, and a whole-number seed."""
    return np.concatenate([*self.sample_parts(labels, seed)])

  def sample_parts(self, labels, seed):
    """The same images part by part, uint8 [n, H, W, C], as they are made; raises UserError where one is not finite."""
    for made in self.compiled.parts(_sample, self.used, np.asarray(labels, np.int32), seed):
      if not made['finite'].all():
        raise UserError(f'the model of step {self.step:,} draws images with NaN or infinity; train with a smaller '
                        'learning rate, or evaluate an earlier checkpoint')
      yield made['image']

  def encode(self, images):
    """(mean, log variance) of the latents, float32 [n, Z] each."""
    return self.compiled(_encode, self.used, images, 0)

  def latents(self, images):
    """The encoder's maps, float32 [n, h, w, c]."""
    return self.compiled(_latents, self.used, images, 0)

  def codes(self, images):
    """The codes of images, int32 [n, N]."""
    return self.compiled(_codes, self.used, images, 0)

  def decode_codes(self, codes):
    """Images of codes int [n, N]."""
    return self.compiled(_decode_codes, self.used, np.asarray(codes, np.int32), 0)

  def decode(self, latents):
    """Images of latents float32 [n, Z], or [n, h, w, c] where these are maps."""
    return self.compiled(_decode, self.used, np.asarray(latents, np.float32), 0)

  def reconstruct(self, images):
    """The images that the codes of these images stand for."""
    return self.compiled(_reconstruct, self.used, images, 0)

  def eval_step(self, images, labels, seed):
    """{name: float32 [n]}, what the family tells of each image."""
    return self.compiled(_eval_step, self.used, {'image': images, 'label': labels}, seed)

  def log_weight(self, images, seed):
    """log p(x, z) - log q(z | x) in nats, float32 [n], for one sample z of each image's latents."""
    return self.compiled(_log_weight, self.used, images, seed)

  def sample_at(self, latents, labels, seed):
    """Images of latents float32 [n, Z] with labels int [n], which a family without classes ignores."""
    batch = {'latents': np.asarray(latents, np.float32), 'label': np.asarray(labels, np.int32)}
    return self.compiled(_sample_at, self.used, batch, seed)

  def sample_codes(self, codes, seed):
    """Images of codes float32 [n, M + N]; for the same seed, noise is the same at the same place."""
    return self.compiled(_sample_codes, self.used, np.asarray(codes, np.float32), seed)

  def critic_logits(self, images, labels):
    """How sure the model is that each of the images, of labels int [n], is real: float32 [n]."""
    return self.compiled(_critic_logits, self.used, {'image': images, 'label': np.asarray(labels, np.int32)}, 0)

  @property
  def step(self):
    """Training steps that the state has seen."""
    return int(self.state.step.addressable_shards[0].data[0])


def _sample(family, state, key, labels):
  images = family.sample(state, key, labels)
  return {'image': to_pixels(images), 'finite': jnp.isfinite(images).all(axis=(1, 2, 3))}


def _encode(family, state, key, images):
  del key
  return family.encode(state, to_float(images))


def _latents(family, state, key, images):
  del key
  return family.latents(state, to_float(images))


def _codes(family, state, key, images):
  del key
  return family.codes(state, to_float(images))


def _decode_codes(family, state, key, codes):
  del key
  return to_pixels(family.decode_codes(state, codes))


def _decode(family, state, key, latents):
  del key
  return to_pixels(family.decode(state, latents))


def _reconstruct(family, state, key, images):
  del key
  return to_pixels(family.reconstruct(state, to_float(images)))


def _eval_step(family, state, key, batch):
  return family.eval_step(state, {**batch, 'image': to_float(batch['image'])}, key)


def _log_weight(family, state, key, images):
  return family.log_weight(state, to_float(images), key)


def _sample_at(family, state, key, batch):
  return to_pixels(family.sample_at(state, key, batch['latents'], batch['label']))


def _sample_codes(family, state, key, codes):
  return to_pixels(family.sample_codes(state, key, codes))


def _critic_logits(family, state, key, batch):
  del key
  return family.critic_logits(state, to_float(batch['image']), batch['label'])
