"""A trained model from its run folder: it samples, encodes and decodes without the training data.

Input and output images are uint8 [n, H, W, C] in [0, 255]. Results depend on the checkpoint, the arguments and the
seed alone: on another number of devices images differ by rounding, at most by one level in a few pixels, if the
number of devices divides 128.
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
  """The model of a run folder at one of its saved steps: sampling, encoding, decoding and interpolation.

  The arguments are those of `Restored`. Only `config.json` is read at first; everything else is read on first use.
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
    """Draws samples.

    Sample number i of a seed has the same latents for all labels, codes and numbers of samples: classes can
    be compared, and a hundred samples begin with the first ten of them.

    Args:
      num: number of samples.
      labels: a class number, a class name, 'ATTRIBUTE=VALUE', or a sequence of these that is used in turn;
        None for all classes in turn.
      codes: for an InfoGAN, [M + N] or [num, M + N]: M whole numbers, then N numbers in [-1, 1]; NaN, or None for all,
        draws from the prior.
      latents: float [num, Z] instead of those drawn from the seed.
      seed: a whole number from 0.
      truncation: largest absolute value of an entry of the latents, such as 0.7; 0 for none.
      max_norm: Euclidean norm to which longer latents are scaled; 0 for none. Norms are about sqrt(Z).

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
    """Yields the images of `sample` part by part, uint8 [n, H, W, C]; the memory does not depend on their number."""
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
    """int32 [num], the classes of `num` samples for the `labels` of `sample`; zeros for an unconditional model."""
    if labels is None:
      return (np.arange(num) % max(1, self.num_classes)).astype(np.int32)
    return np.resize(self.labels(labels), num)

  def sample_codes(self, num: int, codes: Any = None, seed: int = 0) -> Any:
    """The codes of samples 0 to num - 1 of a seed, [num, M + N], for the `codes` of `sample`; None for other models.

    Raises:
      UserError: codes have the wrong shape or are out of range; the model has no codes.
    """
    kinds = self.codes
    if not kinds:
      self.refuse(codes=codes)
      return None
    values = np.asarray([] if codes is None else codes, np.float32)
    if (values.size and values.shape[-1:] != (self.num_codes,)
        or values.ndim > 2 or values.ndim == 2 and len(values) != num):
      raise UserError(f'codes are {list(values.shape)}; expected [{self.num_codes}] or [{num}, {self.num_codes}]')
    _check_codes(kinds, values.reshape(-1, kinds.size))
    if values.ndim == 1:
      return latents_lib.codes(num, kinds, seed, values)
    return np.where(np.isnan(values), latents_lib.codes(num, kinds, seed)[:], values).astype(np.float32)

  def decode(self, latents: Any, *, labels: Any = None, codes: Any = None, seed: int = 0) -> Pixels:
    """Decodes latents to images.

    Args:
      latents: float [n, Z]; for a VQ-VAE codes int [n, N], or the encoder's maps float [n, h, w, c].
      labels, codes: as for `sample`.
      seed: for any other random numbers of the model.

    Returns:
      uint8 [n, H, W, C].

    Raises:
      UserError: latents have the wrong shape; the model has no decoder, such as a prior.
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
    """Images at points between latents, or between the latents of images.

    Args:
      first, last: float [n, Z] each; or, for a model with an encoder, uint8 images [n, H, W, C], whose latents are
        used.
      num: images per interpolation, including both ends.
      labels, codes: as for `sample`, one for all or one per interpolation.
      path: 'arc', on which latents keep the norm that a GAN is trained on (White 2016, sec. 2.1), or 'line';
        None for 'arc' with latents and 'line' with images.

    Returns:
      uint8 [n, num, H, W, C].

    Raises:
      UserError: the model does not support it; fewer than two images; an unknown path.
    """
    if num < 2:
      raise UserError(f'an interpolation needs num of at least 2, the two ends, but got {num}')
    ends = [np.asarray(end) for end in (first, last)]
    path = path or ('line' if ends[0].ndim == 4 else 'arc')
    if path not in _PATHS:
      raise UserError(f"path is '{path}'; expected {' or '.join(_PATHS)}")
    ends = [self.encode(end) if end.ndim == 4 else end for end in ends]
    start, end = (self._latents(latents, len(ends[0])) for latents in ends)
    ways = _PATHS[path](start, end, num)
    count = len(ways)
    labels = self.sample_labels(count, labels).repeat(num) if self.num_classes or labels is not None else None
    codes = self.sample_codes(count, codes)   # one draw per interpolation: only latents change
    images = self.decode(ways.reshape(count * num, -1), labels=labels,
                         codes=None if codes is None else codes[:].repeat(num, axis=0))
    return images.reshape(count, num, *images.shape[1:])

  def traverse(self, start: Any, latents: Sequence[int] | np.ndarray, values: Sequence[float] | np.ndarray, *,
               labels: Any = None, codes: Any = None) -> UInt8[np.ndarray, 'k v H W C']:
    """Images of latents in which one entry at a time is set to several values, while the others are fixed.

    Args:
      start: float [Z] or, for a model with an encoder, an image uint8 [H, W, C].
      latents: k whole numbers below Z, the entries to vary.
      values: v numbers to set them to.
      labels, codes: as for `sample`, one for all.

    Returns:
      uint8 [k, v, H, W, C].

    Raises:
      UserError: the model does not support it; no such entry.
    """
    start = self.encode(start[None])[0] if np.ndim(start) == 3 else self._latents(np.asarray(start)[None], 1)[0]
    wrong = [entry for entry in latents if not 0 <= entry < len(start)]
    if wrong:
      raise UserError(f'there is no latent {wrong[0]}; the model has {len(start)}, 0 to {len(start) - 1}')
    images = self.decode(latents_lib.traversed(start, latents, values), labels=0 if labels is None and self.num_classes
                         else labels, codes=codes)
    return images.reshape(len(latents), len(values), *images.shape[1:])

  # ---------------------------------------------------------------------------------------------- encoding

  def encode(self, images: np.ndarray) -> Num[np.ndarray, 'n _']:
    """Encodes images: the posterior mean float32 [n, Z] of a VAE, or the codes int32 [n, N] of a VQ-VAE.

    Args:
      images: uint8 [n, H, W, C] of the model's size.

    Raises:
      UserError: the model has no encoder; images have the wrong shape or type.
    """
    self.need('reconstruct', 'has an encoder')
    images = self._images(images)
    return self.model.codes(images) if self.can('codes') else self.posterior(images)[0]

  def posterior(self, images: np.ndarray) -> tuple[HostLatents, HostLatents]:
    """(mean, log variance) of a VAE's posterior for images uint8 [n, H, W, C], float32 [n, Z] each.

    Raises:
      UserError: as `encode`.
    """
    self.need('encode', 'has a posterior')
    return self.model.encode(self._images(images))

  def reconstruct(self, images: np.ndarray) -> Pixels:
    """The reconstructions of images, both uint8 [n, H, W, C], by VAEs, VQ-VAEs and their priors.

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
        raise UserError(f'the model of step {self.step:,} generates images with NaN or infinity; use an earlier step')
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
                      f"[n, {', '.join(map(str, self.image_shape))}], as Run.images_of reads them from files")
    return images


def _check_codes(kinds, codes):
  """Raises UserError for a categorical code that is not a whole number below its bound."""
  numbers, last = codes[:, :kinds.categorical], kinds.values - 1
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
