"""Priors over the latents or codes of a trained VQ-VAE, as a family that takes and samples images.

The VQ-VAE, frozen, is kept in the state: images are encoded inside the compiled step, samples are decoded where they
are drawn. So a prior is trained, sampled, measured and stored as any family is.
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
_CHUNK = 128                            # images that are encoded at a time before the first step
_DRAW_SEED = 0                          # the same images whatever a run's seed


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatentPrior(Family):
  """A family over what `read` gives of images; `write` makes images of what it samples."""

  vqvae: vqvae.VQVAE
  prior: Family                         # its batches carry what `read` gives, by the name `data`
  folder: str                           # the run folder of the VQ-VAE, read before the first step alone
  step: int                             # that its checkpoint must have
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

  data = ''                             # the name of what the prior models in its batches

  def read(self, state: TrainState, images: Images) -> Array:
    """What the prior models, [B, ...], for images [B, H, W, C]."""
    raise NotImplementedError

  def write(self, state: TrainState, drawn: Array) -> Images:
    """Images [B, H, W, C] of what `read` gives or the prior samples."""
    raise NotImplementedError

  def init(self, key: PRNGKey) -> TrainState:
    frozen = jax.eval_shape(self.vqvae.init, key)
    frozen = {'params': frozen.params, 'model_state': frozen.model_state}
    empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), frozen)   # until `init_from_data` has read it
    return self.with_entries(self.prior.init(key), vqvae=empty)

  def with_entries(self, state: TrainState, **entries: Any) -> TrainState:
    return state.replace(model_state={**state.model_state, **entries})

  def init_from_data(self, state: TrainState, dataset: Dataset) -> TrainState:
    """The state with the VQ-VAE's newest checkpoint in it, its averaged parameters where it has them.

    Raises UserError if the checkpoint is not the one of `step`.
    """
    like = jax.eval_shape(self.vqvae.init, jax.random.key(0))
    trained = checkpoints.newest(self.folder, like)
    if int(trained.step) != self.step:
      raise UserError(f'the newest checkpoint in {self.folder} is of step {int(trained.step):,}, but config.model.'
                      f'vqvae_step is {self.step:,}; start a prior with --mode=prior --workdir={self.folder}')
    trained = averaging.on_one_device(self.vqvae, trained, dataset)
    return self.with_entries(state, vqvae={'params': trained.params, 'model_state': trained.model_state})

  def frozen(self, state: TrainState) -> TrainState:
    """The VQ-VAE's TrainState."""
    return TrainState(step=state.step, opt_state={}, ema_params={}, **state.model_state['vqvae'])

  def check_data(self, dataset: Dataset) -> None:
    """Raises UserError where the prior cannot be trained on the data set."""
    self.prior.check_data(dataset)

  def train_step(self, state: TrainState, batches: dict[str, Array],
                 key: PRNGKey) -> tuple[TrainState, dict[str, Array]]:
    """As the prior's, on what `read` gives; its metrics are named 'prior/...'."""
    images = batches['image']
    read = self.read(state, images.reshape(-1, *images.shape[2:]))
    read = read.reshape(*images.shape[:2], *read.shape[1:])
    state, metrics = self.prior.train_step(state, {self.data: read, 'label': batches['label']}, key)
    return state, {f'prior/{name}': value for name, value in metrics.items()}

  def eval_step(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> dict[str, Array]:
    """{name: [B]}: the prior's losses and likelihoods of images."""
    assert isinstance(self.prior, MeasuresImages)   # as all families do that can be one
    return self.prior.eval_step(state, {self.data: self.read(state, batch['image']), 'label': batch['label']}, key)

  def reconstruct(self, state: TrainState, images: Images) -> Images:
    """The VQ-VAE's reconstructions: what the images are to the prior."""
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

  Standardised: less the mean, one a value, divided by one number for all, with which their mean variance is 1. What a
  prior reports in nats is a density of these.
  """

  num_points: int                       # training images, at most, that are encoded before the first step

  data = 'latents'

  def init(self, key: PRNGKey) -> TrainState:
    unknown = {'mean': jnp.zeros(self.vqvae.latent_shape), 'scale': jnp.ones(())}
    return self.with_entries(super().init(key), latents=unknown)

  def init_from_data(self, state: TrainState, dataset: Dataset) -> TrainState:
    """As above, and with mean and scale of these images' latents, to which the prior then adapts."""
    state = super().init_from_data(state, dataset)
    count = len(dataset.images)
    rows = np.sort(np.random.default_rng(_DRAW_SEED).permutation(count)[:self.num_points])
    latents = self.encode(state, dataset.images, rows)
    mean = latents.mean(axis=0, dtype=np.float64)
    scale = np.sqrt(np.square(latents - mean).mean())
    if not scale > 0:
      raise UserError(f'the VQ-VAE in {self.folder} gives the same latents for all images; train it further first')
    points = dataclasses.replace(dataset, images=((latents - mean) / scale).astype(np.float32),
                                 labels=dataset.labels[rows], annotations=None)
    return self.prior.init_from_data(
        self.with_entries(state, latents={'mean': jnp.float32(mean), 'scale': jnp.float32(scale)}), points)

  def encode(self, state: TrainState, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The latents float32 [n, h, w, c] of the rows [n] of uint8 images, on the host."""
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
  """A VAE of latents: its batches carry 'latents', and it evaluates only what makes sense for their density."""

  data = 'latents'

  def eval_step(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> dict[str, Array]:
    """{name: [B]}: the ELBO and its terms in nats, and the mean squared error per value."""
    metrics = super().eval_step(state, batch, key)
    return {name: metrics[name] for name in ('elbo', 'kl', 'reconstruction_nats', 'mse')}


@dataclasses.dataclass(frozen=True)
class LatentVAEKeys(vae.Keys):
  """The keys of a VAE over the latents, which are standardised, its networks of linear layers."""

  num_points: int = key(5_000, 'training images, at most, that mean and scale of the latents are taken from',
                        at_least=2)
  latent_size: int = key(32, 'Z, latents of the latents', at_least=1)
  likelihood: str = key('unbounded_gaussian', 'p(x | z) of any numbers', names=_OF_ANY_NUMBERS)
  variance: float = key(1., 'variance of the likelihood at the start; 1 is that of the training latents', above=0)
  encoder: sections.DenseLayers = section(sections.DenseLayers)
  decoder: sections.DenseLayers = section(sections.DenseLayers)
  optimizer: Optimizer = section(Optimizer, learning_rate=1e-3, b1=0.9)


@dataclasses.dataclass(frozen=True)
class PriorKeys:
  """The keys of every prior's run, which --mode=prior sets."""

  vqvae_dir: str = key('', 'the run folder of the VQ-VAE')
  vqvae_step: int = key(0, 'that its checkpoint must have', at_least=0)
  vqvae: VQVAEKeys = section(VQVAEKeys, 'as the VQ-VAE was trained')


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
  """The LatentPrior of MixturePriorKeys for a VQ-VAE of images of a Spec."""
  autoencoder = vqvae.create(model.vqvae, spec)
  prior = mixture.create(model.prior, autoencoder.latent_shape)
  return _create(VectorPrior, model, autoencoder, prior, num_points=model.prior.num_points)


def create_vae(model: Any, spec: Spec) -> LatentPrior:
  """The same of VAEPriorKeys."""
  autoencoder = vqvae.create(model.vqvae, spec)
  of_latents = dataclasses.replace(spec, image_shape=autoencoder.latent_shape)
  prior = vae.create(model.prior, of_latents, network=networks.dense_vae, family=LatentVAE)
  return _create(VectorPrior, model, autoencoder, prior, num_points=model.prior.num_points)


def create_autoregressive(model: Any, spec: Spec) -> LatentPrior:
  """The same of AutoregressivePriorKeys."""
  autoencoder = vqvae.create(model.vqvae, spec)
  prior = autoregressive.create(model.prior, autoencoder.codebook_size, autoencoder.codes_per_image, spec.num_classes)
  return _create(CodePrior, model, autoencoder, prior)


def _create(kind, model, autoencoder, prior, **more):
  return kind(vqvae=autoencoder, prior=prior, folder=model.vqvae_dir, step=model.vqvae_step, ema_decay=prior.ema_decay,
              **more)
