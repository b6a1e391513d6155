"""A trained model from its run folder: it draws, encodes and decodes without the data set that it was trained on.

Images are uint8 [n, H, W, C] in [0, 255] in and out. Everything is a function of the checkpoint, the arguments and the
seed: on another number of devices images differ by rounding alone, at most by one level of a few pixels, wherever their
number divides 128.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Num, UInt8
import numpy as np

from jgen.errors import UserError
from jgen.evaluation import latents as latents_lib
from jgen.families.contracts import DecodesCodes
from jgen.images.pixels import to_pixels
from jgen.shapes import HostLabels, HostLatents, Pixels
from jgen.trained.restored import Restored


class Trained(Restored):
  """The model of a run folder after one of its steps: what it draws, and what it makes of images.

  See `Restored` for the arguments. Only `config.json` is read at first; everything else on first use.
  """

  def latents(self, num: int, seed: int = 0, truncation: float = 0., max_norm: float = 0.) -> HostLatents:
    """The normal latents of samples 0 to num - 1 of a seed, float32 [num, Z]; the arguments are those of `sample`.

    Raises:
      UserError: the model has no normal latents.
    """
    return self._latent_rows(num, seed, truncation, max_norm)[:]

  def _latent_rows(self, num, seed, truncation, max_norm):
    if not self.latent_size:
      raise UserError(f'the model in {self.folder} has no normal latents ({self.kind()}) to truncate, traverse or '
                      'interpolate; sample it without them')
    return latents_lib.normal(num, self.latent_size, seed, truncation, max_norm)

  def sample(self, num: int = 64, *, labels: Any = None, codes: Any = None, latents: Any = None, seed: int = 0,
             truncation: float = 0., max_norm: float = 0.) -> Pixels:
    """Draws images.

    Sample number i of a seed has the same latents whatever the labels, the codes and the number of samples: classes can
    be compared, and a hundred samples begin with the first ten of them.

    Args:
      num: how many.
      labels: a class number, a class name, 'ATTRIBUTE=VALUE', or a sequence of these that is gone through in turn;
        None for all classes in turn.
      codes: of an InfoGAN, [M + N] or [num, M + N]: M whole numbers, then N numbers in [-1, 1]; NaN, and None for all,
        draws from the prior.
      latents: float [num, Z] instead of those drawn from the seed.
      seed: a whole number from 0.
      truncation: absolute value that no entry of the latents exceeds, as 0.7; 0 for none.
      max_norm: Euclidean norm to which longer latents are scaled; 0 for none. Norms are sqrt(Z) in the mean.

    Returns:
      uint8 [num, H, W, C] in [0, 255].

    Raises:
      UserError: num is below 1; an unknown class; an argument that the model does not use; generated images
        that are not finite.
    """
    return np.concatenate([*self.sample_parts(num, labels=labels, codes=codes, latents=latents, seed=seed,
                                              truncation=truncation, max_norm=max_norm)])

  def sample_parts(self, num: int, *, labels: Any = None, codes: Any = None, latents: Any = None, seed: int = 0,
                   truncation: float = 0., max_norm: float = 0.) -> Iterator[Pixels]:
    """The images of `sample` part by part as they are made, uint8 [n, H, W, C]: any number needs little memory."""
    if num < 1:
      raise UserError(f'the number of samples is {num}; at least 1 is needed')
    if seed < 0:
      raise UserError(f'the seed is {seed}; a whole number from 0 is needed')
    if not self.latent_size:
      self.refuse(latents=latents, truncation=truncation, max_norm=max_norm, codes=codes)
      return self._checked(self.model.compiled.parts(_sample, self._used, self.sample_labels(num, labels), seed))
    if latents is None:
      latents = self._latent_rows(num, seed, truncation, max_norm)
    return self._draw(latents, self.sample_labels(num, labels), self.sample_codes(num, codes, seed), seed)

  def sample_labels(self, num: int, labels: Any = None) -> HostLabels:
    """int32 [num], the classes of `num` samples for the `labels` of `sample`; zeros for a model that follows none."""
    if labels is None:
      return (np.arange(num) % max(1, self.num_classes)).astype(np.int32)
    return np.resize(self.labels(labels), num)

  def sample_codes(self, num: int, codes: Any = None, seed: int = 0) -> Any:
    """The codes of samples 0 to num - 1 of a seed, [num, M + N], for the `codes` of `sample`; None for other models.

    Raises:
      UserError: codes of another shape or out of their range; codes for a model that has none.
    """
    kinds = self.codes
    if not kinds:
      self.refuse(codes=codes)
      return None
    given = np.asarray([] if codes is None else codes, np.float32)
    if given.size and given.shape[-1:] != (self.num_codes,) or given.ndim > 2 or given.ndim == 2 and len(given) != num:
      raise UserError(f'codes are {list(given.shape)}; expected [{self.num_codes}] or [{num}, {self.num_codes}]')
    _check_codes(kinds, given.reshape(-1, kinds.size))
    if given.ndim == 1:
      return latents_lib.codes(num, kinds, seed, given)
    return np.where(np.isnan(given), latents_lib.codes(num, kinds, seed)[:], given).astype(np.float32)

  def decode(self, latents: Any, *, labels: Any = None, codes: Any = None, seed: int = 0) -> Pixels:
    """Images of latents.

    Args:
      latents: float [n, Z]; of a VQ-VAE codes int [n, N], or the encoder's maps float [n, h, w, c].
      labels, codes: as of `sample`.
      seed: of any other random draws of the model.

    Returns:
      uint8 [n, H, W, C].

    Raises:
      UserError: latents of another shape; a model that does not decode, as a prior.
    """
    latents = np.asarray(latents)
    if self.latent_size:
      return self.sample(len(latents), latents=latents, labels=labels, codes=codes, seed=seed)
    self.need('decode_codes', 'decodes')
    self.refuse(labels=labels, codes=codes)
    family = self.family
    assert isinstance(family, DecodesCodes)
    if latents.ndim != 2:
      return self._join(self._call(_decode, self._maps(latents, family.latent_shape)))
    shape, largest = (family.codes_per_image,), family.codebook_size - 1
    if latents.shape[1:] != shape or latents.dtype.kind not in 'iu' or latents.min() < 0 or latents.max() > largest:
      raise UserError(f'codes are {latents.dtype} {list(latents.shape)}; expected whole numbers from 0 to {largest}, '
                      f'[n, {shape[0]}]')
    return self._join(self._call(_decode_codes, latents.astype(np.int32)))

  def interpolate(self, first: Any, last: Any, num: int = 8, *, labels: Any = None, codes: Any = None,
                  path: str | None = None) -> UInt8[np.ndarray, 'n steps H W C']:
    """Images on the way from some latents, or images, to others.

    Args:
      first, last: float [n, Z] each; or, of a model with an encoder, uint8 images [n, H, W, C], whose latents are
        taken.
      num: images of each way, both ends among them.
      labels, codes: as of `sample`, one or one a way.
      path: 'arc', on which latents stay as long as those that a GAN is trained on (White 2016, sec. 2.1), or 'line';
        None for the arc, of images for the line.

    Returns:
      uint8 [n, num, H, W, C].

    Raises:
      UserError: what the model cannot; fewer than two images; an unknown path.
    """
    if num < 2:
      raise UserError(f'an interpolation of {num} images; its two ends at least are needed')
    ends = [np.asarray(end) for end in (first, last)]
    path = path or ('line' if ends[0].ndim == 4 else 'arc')
    if path not in _PATHS:
      raise UserError(f"path is '{path}'; expected {' or '.join(_PATHS)}")
    ends = [self.encode(end) if end.ndim == 4 else end for end in ends]
    start, end = (self._latents(latents, len(ends[0])) for latents in ends)
    ways = _PATHS[path](start, end, num)
    count = len(ways)
    labels = self.sample_labels(count, labels).repeat(num) if self.num_classes or labels is not None else None
    codes = self.sample_codes(count, codes)   # one draw a way, or its ends would differ in more than their latents
    images = self.decode(ways.reshape(count * num, -1), labels=labels,
                         codes=None if codes is None else codes[:].repeat(num, axis=0))
    return images.reshape(count, num, *images.shape[1:])

  def traverse(self, start: Any, latents: Sequence[int] | np.ndarray, values: Sequence[float] | np.ndarray, *,
               labels: Any = None, codes: Any = None) -> UInt8[np.ndarray, 'k v H W C']:
    """Images of latents of which one entry runs over some values, the others stay.

    Args:
      start: float [Z], or an image uint8 [H, W, C] for a model with an encoder.
      latents: k whole numbers below Z, the entries that run.
      values: what they are set to, v numbers.
      labels, codes: as of `sample`, one for all.

    Returns:
      uint8 [k, v, H, W, C].

    Raises:
      UserError: what the model cannot; no such entry.
    """
    start = self.encode(start[None])[0] if np.ndim(start) == 3 else self._latents(np.asarray(start)[None], 1)[0]
    wrong = [entry for entry in latents if not 0 <= entry < len(start)]
    if wrong:
      raise UserError(f'there is no latent {wrong[0]}; the model has {len(start)}, 0 to {len(start) - 1}')
    images = self.decode(latents_lib.traversed(start, latents, values), labels=0 if labels is None and self.num_classes
                         else labels, codes=codes)
    return images.reshape(len(latents), len(values), *images.shape[1:])

  # ---------------------------------------------------------------------------------------------- images in

  def encode(self, images: np.ndarray) -> Num[np.ndarray, 'n _']:
    """What the encoder makes of images: of a VAE the posterior's mean float32 [n, Z], of a VQ-VAE codes int32 [n, N].

    Args:
      images: uint8 [n, H, W, C] of the model's size.

    Raises:
      UserError: a model without an encoder; images of another shape or type.
    """
    self.need('reconstruct', 'has an encoder')
    images = self._images(images)
    return self.model.codes(images) if self.can('codes') else self.posterior(images)[0]

  def posterior(self, images: np.ndarray) -> tuple[HostLatents, HostLatents]:
    """(mean, log variance) of the latents of images uint8 [n, H, W, C], float32 [n, Z] each; of a VAE.

    Raises:
      UserError: as `encode`.
    """
    self.need('encode', 'has a posterior')
    return self.model.encode(self._images(images))

  def reconstruct(self, images: np.ndarray) -> Pixels:
    """The reconstructions of images, uint8 [n, H, W, C] both; of VAEs, VQ-VAEs and their priors.

    Raises:
      UserError: as `encode`.
    """
    self.need('reconstruct', 'has an encoder')
    return self.model.reconstruct(self._images(images))

  # ---------------------------------------------------------------------------------------------- inner workings

  @property
  def _used(self):
    return self.model.used

  def _draw(self, latents, labels, codes, seed):
    """The images of latents [n, Z] and labels [n], part by part."""
    latents = latents if isinstance(latents, latents_lib.Rows) else self._latents(latents, len(labels))
    batch = {'latents': latents, 'label': labels} | ({} if codes is None else {'codes': codes})
    return self._checked(self.model.compiled.parts(_sample_at, self._used, batch, seed))

  def _call(self, method, batch):
    return self._checked(self.model.compiled.parts(method, self._used, batch, 0))

  def _join(self, parts):
    return np.concatenate([*parts])

  def _checked(self, parts):
    for made in parts:
      if not made['finite'].all():
        raise UserError(f'the model of step {self.step:,} draws images with NaN or infinity; take an earlier step')
      yield made['image']

  def _latents(self, latents, count):
    if not self.latent_size:
      raise UserError(f'the model in {self.folder} has no normal latents ({self.kind()})')
    latents = np.asarray(latents, np.float32)
    if latents.shape != (count, self.latent_size):
      raise UserError(f'latents are {list(latents.shape)}; expected [{count}, {self.latent_size}]')
    return latents

  def _maps(self, maps, shape):
    if maps.shape[1:] != shape:
      raise UserError(f"maps are {list(maps.shape)}; expected [n, {', '.join(map(str, shape))}]")
    return np.asarray(maps, np.float32)

  def _images(self, images):
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.shape[1:] != tuple(self.image_shape) or not len(images):
      raise UserError(f'images are {images.dtype} {list(images.shape)}; expected uint8 '
                      f"[n, {', '.join(map(str, self.image_shape))}], as jgen.images_of makes them of files")
    return images


def _check_codes(kinds, given):
  """Raises UserError for a categorical code that is no whole number below its bound."""
  numbers, last = given[:, :kinds.categorical], kinds.values - 1
  wrong = numbers[~np.isnan(numbers) & ((numbers != np.rint(numbers)) | (numbers < 0) | (numbers > last))]
  if wrong.size:
    raise UserError(f'a categorical code is {wrong[0]:g}; expected a whole number from 0 to {last}')


_PATHS = {'arc': latents_lib.on_arcs, 'line': latents_lib.on_lines}


def _pixels(images):
  return {'image': to_pixels(images), 'finite': jnp.isfinite(images).all(axis=(1, 2, 3))}


def _sample(family, state, key, labels):
  return _pixels(family.sample(state, key, labels))


def _sample_at(family, state, key, batch):
  codes = {'codes': batch['codes']} if 'codes' in batch else {}
  return _pixels(family.sample_at(state, key, batch['latents'], batch['label'], **codes))


def _decode(family, state, key, latents):
  del key
  return _pixels(family.decode(state, latents))


def _decode_codes(family, state, key, codes):
  del key
  return _pixels(family.decode_codes(state, codes))
