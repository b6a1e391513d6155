"""Priors over the latents or codes of a trained VQ-VAE, as a family that takes and samples images.

The state contains the frozen VQ-VAE: images are encoded inside the compiled step, samples are decoded when they
are drawn. Thus a prior is trained, sampled, evaluated and stored like any other family.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jgen import networks
from jgen.data.spec import Dataset, Spec
from jgen.errors import UserError
from jgen.families import autoregressive, averaging, mixture, vae, vqvae
from jgen.families.base import Family
from jgen.families.contracts import MeasuresImages
from jgen.families.optimizers import Optimizer
from jgen.families.train_state import TrainState
from jgen.families.vqvae import Keys as VQVAEKeys
from jgen.images.pixels import to_float
from jgen.keys import key, section
from jgen.losses.likelihoods import LIKELIHOODS, unbounded_mean
from jgen.networks import sections
from jgen.parallel import AXIS
from jgen.run import checkpoints
from jgen.shapes import Array, Images, Labels, PRNGKey

_OF_ANY_NUMBERS = tuple(name for name, likelihood in LIKELIHOODS.items() if likelihood.mean is unbounded_mean)
_CHUNK = 128                            # images encoded at a time before the first step
_DRAW_SEED = 0                          # the same images for any seed of a run


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatentPrior(Family):
  """A family over the encodings that `read` computes from images; `write` decodes its samples."""

  vqvae: vqvae.VQVAE
  prior: Family                         # its batches contain the result of `read` under the name `data`
  folder: str                           # the run folder of the VQ-VAE, read only before the first step
  step: int                             # required step of its checkpoint
  ema_decay: float                      # the prior's

  @property
  def num_classes(self) -> int:
    return self.prior.num_classes

  @property
  def batches_per_step(self) -> int:
    return self.prior.batches_per_step

  @property
  def couples_batch(self) -> str:
    return self.prior.couples_batch

  data = ''                             # name of the encodings in the prior's batches

  def read(self, state: TrainState, images: Images) -> Array:
    """The encodings that the prior models, [B, ...], for images [B, H, W, C]."""
    raise NotImplementedError

  def write(self, state: TrainState, drawn: Array) -> Images:
    """Decodes encodings from `read` or from the prior to images [B, H, W, C]."""
    raise NotImplementedError

  def init(self, key: PRNGKey) -> TrainState:
    frozen = jax.eval_shape(self.vqvae.init, key)
    frozen = {'params': frozen.params, 'model_state': frozen.model_state}
    empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), frozen)   # until `init_from_data` reads it
    return self.with_entries(self.prior.init(key), vqvae=empty)

  def with_entries(self, state: TrainState, **entries: Any) -> TrainState:
    return state.replace(model_state={**state.model_state, **entries})

  def init_from_data(self, state: TrainState, dataset: Dataset) -> TrainState:
    """The state with the VQ-VAE's newest checkpoint, with averaged parameters if it has them.

    Raises UserError if the checkpoint is not the one of `step`.
    """
    shapes = jax.eval_shape(self.vqvae.init, jax.random.key(0))
    trained = checkpoints.newest(self.folder, shapes)
    if int(trained.step) != self.step:
      raise UserError(f'the newest checkpoint in {self.folder} is of step {int(trained.step):,}, but config.model.'
                      f'vqvae_step is {self.step:,}; start a prior with --mode=prior --workdir={self.folder}')
    trained = averaging.on_one_device(self.vqvae, trained, dataset)
    return self.with_entries(state, vqvae={'params': trained.params, 'model_state': trained.model_state})

  def frozen(self, state: TrainState) -> TrainState:
    """The VQ-VAE's TrainState."""
    return TrainState(step=state.step, opt_state={}, ema_params={}, **state.model_state['vqvae'])

  def check_data(self, dataset: Dataset) -> None:
    """Raises UserError if the prior cannot be trained on the data set."""
    self.prior.check_data(dataset)

  def train_step(self, state: TrainState, batches: dict[str, Array],
                 key: PRNGKey) -> tuple[TrainState, dict[str, Array]]:
    """The prior's training step on encoded images; its metrics are named 'prior/...'."""
    images = batches['image']
    read = self.read(state, images.reshape(-1, *images.shape[2:]))
    read = read.reshape(*images.shape[:2], *read.shape[1:])
    state, metrics = self.prior.train_step(state, {self.data: read, 'label': batches['label']}, key)
    return state, {f'prior/{name}': value for name, value in metrics.items()}

  def eval_step(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> dict[str, Array]:
    """{name: [B]}: losses and likelihoods of images under the prior."""
    assert isinstance(self.prior, MeasuresImages)   # as do all families that serve as priors
    return self.prior.eval_step(state, {self.data: self.read(state, batch['image']), 'label': batch['label']}, key)

  def reconstruct(self, state: TrainState, images: Images) -> Images:
    """The VQ-VAE's reconstructions: the images decoded from the encodings that the prior models."""
    return self.vqvae.reconstruct(self.frozen(state), images)

  def sample(self, state: TrainState, key: PRNGKey, labels: Labels) -> Images:
    return self.write(state, self.prior.sample(state, key, labels))

  def passes(self) -> dict[str, Callable[[], Any]]:
    return {**self.prior.passes(), **self.vqvae.passes()}

  def networks(self) -> dict[str, Any]:
    state = jax.eval_shape(self.init, jax.random.key(0))
    return {**state.params, **state.model_state['vqvae']['params']}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodePrior(LatentPrior):
  """A prior over the codes int32 [B, N]."""

  data = 'codes'

  def read(self, state: TrainState, images: Images) -> Array:
    return self.vqvae.codes(self.frozen(state), images)

  def write(self, state: TrainState, drawn: Array) -> Images:
    return self.vqvae.decode_codes(self.frozen(state), drawn)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorPrior(LatentPrior):
  """A prior over the encoder's output [B, h, w, c], standardised; its samples are quantised before they are decoded.

  Standardised: minus the mean of each value, divided by one number for all values, so that the mean variance is 1. The
  nats of a prior refer to the density of standardised values.
  """

  num_points: int                       # largest number of training images encoded before the first step

  data = 'latents'

  def init(self, key: PRNGKey) -> TrainState:
    unknown = {'mean': jnp.zeros(self.vqvae.latent_shape), 'scale': jnp.ones(())}
    return self.with_entries(super().init(key), latents=unknown)

  def init_from_data(self, state: TrainState, dataset: Dataset) -> TrainState:
    """The state with the VQ-VAE, the mean and scale of the latents, and the prior initialised from these latents."""
    state = super().init_from_data(state, dataset)
    count = len(dataset.images)
    rows = np.sort(np.random.default_rng(_DRAW_SEED).permutation(count)[:self.num_points])
    latents = self.encode(state, dataset.images, rows)
    mean = latents.mean(axis=0, dtype=np.float64)
    scale = np.sqrt(np.square(latents - mean).mean())
    if not scale > 0:
      raise UserError(f'the VQ-VAE in {self.folder} encodes all images to the same latents; train it further first')
    points = dataclasses.replace(dataset, images=((latents - mean) / scale).astype(np.float32),
                                 labels=dataset.labels[rows], annotations=None)
    return self.prior.init_from_data(
        self.with_entries(state, latents={'mean': jnp.float32(mean), 'scale': jnp.float32(scale)}), points)

  def encode(self, state: TrainState, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The latents float32 [n, h, w, c] of the uint8 images at the indices `rows` [n], on the host."""
    encode = jax.jit(jax.vmap(lambda state, images: self.vqvae.latents(self.frozen(state), to_float(images)),
                              in_axes=(None, 0), axis_name=AXIS))
    chunks = (rows[i:i + _CHUNK] for i in range(0, len(rows), _CHUNK))
    return np.concatenate([np.asarray(encode(state, np.asarray(images[chunk])[None])[0]) for chunk in chunks])

  def read(self, state: TrainState, images: Images) -> Array:
    statistics = state.model_state['latents']
    return (self.vqvae.latents(self.frozen(state), images) - statistics['mean']) / statistics['scale']

  def write(self, state: TrainState, drawn: Array) -> Images:
    statistics = state.model_state['latents']
    return self.vqvae.decode(self.frozen(state), statistics['mean'] + statistics['scale'] * drawn)


class LatentVAE(vae.VAE):
  """A VAE over latents: its batches contain 'latents', and its metrics are those that make sense for their density."""

  data = 'latents'

  def eval_step(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> dict[str, Array]:
    """{name: [B]}: the ELBO and its terms in nats, and the mean squared error per value."""
    metrics = super().eval_step(state, batch, key)
    return {name: metrics[name] for name in ('elbo', 'kl', 'reconstruction_nats', 'mse')}


@dataclasses.dataclass(frozen=True)
class LatentVAEKeys(vae.Keys):
  """The keys of a VAE over standardised latents, with networks of linear layers."""

  num_points: int = key(5_000, 'largest number of training images for mean and scale of the latents',
                        at_least=2)
  latent_size: int = key(32, 'Z, latents of the VAE', at_least=1)
  likelihood: str = key('unbounded_gaussian', 'p(x | z) for unbounded numbers', names=_OF_ANY_NUMBERS)
  variance: float = key(1., 'initial variance of the likelihood; 1 is that of the training latents', above=0)
  encoder: sections.DenseLayers = section(sections.DenseLayers)
  decoder: sections.DenseLayers = section(sections.DenseLayers)
  optimizer: Optimizer = section(Optimizer, learning_rate=1e-3, b1=0.9)


@dataclasses.dataclass(frozen=True)
class PriorKeys:
  """The keys of the run of any prior, which --mode=prior sets."""

  vqvae_dir: str = key('', 'the run folder of the VQ-VAE')
  vqvae_step: int = key(0, 'required step of its checkpoint', at_least=0)
  vqvae: VQVAEKeys = section(VQVAEKeys, 'the settings of the trained VQ-VAE')


@dataclasses.dataclass(frozen=True)
class MixturePriorKeys(PriorKeys):
  """The keys of a run of the family mixture_prior."""

  prior: mixture.Keys = section(mixture.Keys)


@dataclasses.dataclass(frozen=True)
class VAEPriorKeys(PriorKeys):
  """The keys of a run of the family vae_prior."""

  prior: LatentVAEKeys = section(LatentVAEKeys)


@dataclasses.dataclass(frozen=True)
class AutoregressivePriorKeys(PriorKeys):
  """The keys of a run of the family autoregressive_prior."""

  prior: autoregressive.Keys = section(autoregressive.Keys)


def create_mixture(model: Any, spec: Spec) -> LatentPrior:
  """The LatentPrior of MixturePriorKeys, for a VQ-VAE on images of a Spec."""
  autoencoder = vqvae.create(model.vqvae, spec)
  prior = mixture.create(model.prior, autoencoder.latent_shape)
  return _create(VectorPrior, model, autoencoder, prior, num_points=model.prior.num_points)


def create_vae(model: Any, spec: Spec) -> LatentPrior:
  """The LatentPrior of VAEPriorKeys, for a VQ-VAE on images of a Spec."""
  autoencoder = vqvae.create(model.vqvae, spec)
  of_latents = dataclasses.replace(spec, image_shape=autoencoder.latent_shape)
  prior = vae.create(model.prior, of_latents, network=networks.dense_vae, family=LatentVAE)
  return _create(VectorPrior, model, autoencoder, prior, num_points=model.prior.num_points)


def create_autoregressive(model: Any, spec: Spec) -> LatentPrior:
  """The LatentPrior of AutoregressivePriorKeys, for a VQ-VAE on images of a Spec."""
  autoencoder = vqvae.create(model.vqvae, spec)
  prior = autoregressive.create(model.prior, autoencoder.codebook_size, autoencoder.codes_per_image, spec.num_classes)
  return _create(CodePrior, model, autoencoder, prior)


def _create(kind, model, autoencoder, prior, **more):
  return kind(vqvae=autoencoder, prior=prior, folder=model.vqvae_dir, step=model.vqvae_step, ema_decay=prior.ema_decay,
              **more)
