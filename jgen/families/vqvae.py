"""Vector-quantised autoencoders (van den Oord et al. 2017): one family, with network, loss and upkeep as parameters."""

from collections.abc import Callable
import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np
import optax

from jgen import keys, networks
from jgen.data.spec import Dataset, Spec
from jgen.errors import UserError, choose
from jgen.families import optimizers, train_state
from jgen.families.accumulation import over_microbatches
from jgen.families.base import Family
from jgen.families.optimizers import Optimizer
from jgen.families.train_state import TrainState
from jgen.images.pixels import to_float
from jgen.keys import key, section
from jgen.losses.likelihoods import cross_entropy, sigmoid_mean, sum_over_values
from jgen.losses.quantization import RECONSTRUCTIONS, codebook_loss, commitment_loss, perplexity
from jgen.networks import sections
from jgen.networks.codebook_upkeep import Upkeep, reset_moments
from jgen.networks.quantizer import GROUPINGS
from jgen.parallel import AXIS, per_image
from jgen.shapes import Array, Codes, Images, Labels, Map, PerImage, PRNGKey

_LEARNED_BY = {'gradient': False, 'moving_average': True}   # whether codes are moving averages of their vectors
_MAX_VECTORS = 20_000                   # vectors from which the initial codes are chosen, to take about a second


@dataclasses.dataclass(frozen=True, kw_only=True)
class VQVAE(Family):
  """An encoder whose output is quantised to codes, and a decoder.

  The order of codes int32 [B, N] depends on the grouping: for 'positions' by position in row-major order, and at
  each position by group of channels; for 'maps' by channel.
  """

  network: nn.Module                    # jgen.networks.vqvae.VQVAE
  optimizer: optax.GradientTransformation
  reconstruction: Callable              # (output, images) -> [B], of RECONSTRUCTIONS
  commitment_weight: float              # beta
  upkeep: Upkeep
  init_images: int                      # training images for the initial codes; 0: random codes
  image_shape: tuple[int, int, int]
  latent_shape: tuple[int, int, int]    # (h, w, c) of the encoder's output
  codebook_size: int                    # K
  codes_per_image: int                  # N
  ema_decay: float = 0.

  statistics_need_images = True

  samples_note = 'codes drawn uniformly, without a prior'

  def passes(self) -> dict[str, Callable[[], Any]]:
    images = jnp.zeros((1, *self.image_shape))
    run = lambda: self.network.init_with_output(jax.random.key(0), images, train=True)[0]
    return {'vqvae': lambda: sigmoid_mean(run()[-1])}

  def init(self, key: PRNGKey) -> TrainState:
    images = jnp.zeros((1, *self.image_shape))
    state = train_state.create(key, {'vqvae': self.network}, {'vqvae': (images,)}, {'vqvae': self.optimizer},
                               averaged=('vqvae',) if self.ema_decay else ())
    averages = self.upkeep.begin(codebook_of(state.params))
    return state.replace(model_state={**state.model_state, 'codebook': averages})

  def init_from_data(self, state: TrainState, dataset: Dataset) -> TrainState:
    """The state with an initial codebook: vectors of training images, by k-means++ (Arthur & Vassilvitskii 2007).

    The encoder runs in training mode, with the statistics of these images. Each code equals one of their vectors.
    """
    if not self.init_images:
      return state
    from sklearn.cluster import kmeans_plusplus
    count = min(self.init_images, len(dataset.images))
    images = to_float(np.asarray(dataset.images[np.arange(count) * len(dataset.images) // count]))
    vectors = np.asarray(self._vectors_in_training(state, images)).reshape(-1, self.network.quantizer.code_size)
    if len(vectors) < self.codebook_size:
      raise UserError(f'config.model.quantizer.codebook_size is {self.codebook_size}, but {count} images have only '
                      f'{len(vectors)} vectors; set it lower, or config.model.quantizer.init_images to 0')
    # Random, because every k-th vector could come from the same groups of channels.
    vectors = vectors[np.sort(np.random.default_rng(0).permutation(len(vectors))[:_MAX_VECTORS])]
    codebook, _ = kmeans_plusplus(vectors, self.codebook_size, random_state=0)
    codebook = jnp.asarray(codebook)
    averaged = with_codebook(state.ema_params, jnp.copy(codebook)) if state.ema_params else {}
    return state.replace(params=with_codebook(state.params, codebook), ema_params=averaged,
                         model_state={**state.model_state, 'codebook': self.upkeep.begin(codebook)})

  def _vectors_in_training(self, state, images):
    def run(images):
      (latents, *_), _ = self.run(state.params, state.model_state, images, train=True)
      return self.network.quantizer.split(latents)
    return jax.jit(jax.vmap(run, axis_name=AXIS))(images[None])[0]

  def run(self, params: Any, model_state: Any, images: Images, train: bool) -> tuple[Any, Any]:
    """((map, quantised map, codes, output), new model_state) of the network."""
    outputs, state = train_state.apply(self.network, params['vqvae'], model_state['vqvae'], images, train=train)
    return outputs, {**model_state, 'vqvae': state}

  def terms(self, latents: Map, quantized: Map, output: Images, images: Images) -> dict[str, PerImage]:
    """{term of the objective: [B]}. Codes that are moving averages get no gradient."""
    terms = {'reconstruction': self.reconstruction(output, images),
             'commitment': self.commitment_weight * commitment_loss(latents, quantized)}
    return terms if self.upkeep.by_average else {**terms, 'codebook': codebook_loss(latents, quantized)}

  def errors(self, latents: Map, quantized: Map, output: Images, images: Images) -> dict[str, PerImage]:
    """{name: [B]}, mean squared errors over the pixels in [-1, 1] and over the encoder's output."""
    return {'mse': sum_over_values(jnp.square(images - sigmoid_mean(output))) / images[0].size,
            'quantization_error': sum_over_values(jnp.square(latents - quantized)) / latents[0].size}

  def train_step(self, state: TrainState, batches: dict[str, Array],
                 key: PRNGKey) -> tuple[TrainState, dict[str, Array]]:
    def loss(params, images):
      (latents, quantized, codes, output), model_state = self.run(params, state.model_state, images, train=True)
      terms = self.terms(latents, quantized, output, images)
      total = jnp.asarray(sum(terms.values())).mean()
      values = {**terms, **self.errors(latents, quantized, output, images)}
      metrics = {'loss': total, **{name: value.mean() for name, value in values.items()}}
      return total, (metrics, model_state, latents, codes)
    def of_part(images):
      gradients, (metrics, model_state, *made) = jax.grad(loss, has_aux=True)(state.params, images)
      return (gradients, metrics, model_state), made
    (gradients, metrics, model_state), (latents, codes) = over_microbatches(of_part, batches['image'][0])
    state, gradients = train_state.apply_gradients(state, 'vqvae', gradients['vqvae'], self.optimizer)
    metrics['gradient_norm'] = optax.tree.norm(gradients)
    state, of_codebook = self.keep_up(state.replace(model_state=model_state), latents, codes, key)
    return state, {f'vqvae/{name}': value for name, value in {**metrics, **of_codebook}.items()}

  def keep_up(self, state: TrainState, latents: Map, codes: Codes, key: PRNGKey) -> Any:
    """(state, metrics of the codebook) after a step in which these latents were assigned these codes."""
    vectors = self.network.quantizer.split(latents)
    codebook, averages, shares = self.upkeep.follow(
        codebook_of(state.params), state.model_state['codebook'], codes, vectors)
    dead = self.upkeep.dead(averages)
    if self.upkeep.revive_every_steps:
      revived = dead & ((state.step + 1) % self.upkeep.revive_every_steps == 0)
      codebook, averages = self.upkeep.revive(codebook, averages, revived, vectors, key)
      state = state.replace(opt_state=reset_moments(state.opt_state, revived))
      if state.ema_params:              # otherwise the average of a dead code would stay dead for long
        averaged = jnp.where(revived[:, None], codebook, codebook_of(state.ema_params))
        state = state.replace(ema_params=with_codebook(state.ema_params, averaged))
    state = state.replace(params=with_codebook(state.params, codebook),
                          model_state={**state.model_state, 'codebook': averages})
    return state, {'perplexity': perplexity(shares), 'dead_share': dead.mean(dtype=jnp.float32)}

  def training_pass(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> Any:
    del key
    return self.run(state.params, state.model_state, batch['image'], train=True)[1]

  def eval_step(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> dict[str, Array]:
    """{name: [B]}: `loss` and its terms, and errors of the reconstruction and of the quantisation.

    `cross_entropy` is in nats, for any objective; `mse` is per pixel; `quantization_error` is the squared distance from
    the codes per value of the encoder's output.
    """
    del key
    images = batch['image']
    (latents, quantized, _, output), _ = self.run(state.params, state.model_state, images, train=False)
    terms = self.terms(latents, quantized, output, images)
    return {'loss': jnp.asarray(sum(terms.values())), **terms, **self.errors(latents, quantized, output, images),
            'cross_entropy': cross_entropy(output, images)}

  def latents(self, state: TrainState, images: Images) -> Map:
    """The encoder's output float32 [B, h, w, c] for images [B, H, W, C], before it is quantised."""
    return self._evaluate(state, 'encode', images, train=False)

  def codes(self, state: TrainState, images: Images) -> Codes:
    """int32 [B, N] for images [B, H, W, C]."""
    return self._evaluate(state, 'quantize', self.latents(state, images))[1]

  def decode(self, state: TrainState, latents: Map) -> Images:
    """Images [B, H, W, C] of maps [B, h, w, c], which are quantised first."""
    return self._from_quantized(state, self._evaluate(state, 'quantize', latents)[0])

  def decode_codes(self, state: TrainState, codes: Codes) -> Images:
    """Images [B, H, W, C] of codes int32 [B, N]."""
    return self._from_quantized(state, self._evaluate(state, 'look_up', codes, self.latent_shape))

  def reconstruct(self, state: TrainState, images: Images) -> Images:
    return self.decode(state, self.latents(state, images))

  def sample(self, state: TrainState, key: PRNGKey, labels: Labels) -> Images:
    """Images of uniform, independent codes: the prior that training assumes (sec. 3.2), not a learned one."""
    draw = lambda key: jax.random.randint(key, (self.codes_per_image,), 0, self.codebook_size)
    return self.decode_codes(state, per_image(key, len(labels), draw))

  def _from_quantized(self, state, quantized):
    return sigmoid_mean(self._evaluate(state, 'decode', quantized, train=False))

  def _evaluate(self, state, method, *inputs, **keywords):
    variables = {'params': state.params['vqvae'], **state.model_state['vqvae']}
    return self.network.apply(variables, *inputs, method=method, **keywords)


def codebook_of(params: Any) -> Float[Array, 'K D']:
  """[K, D]"""
  return params['vqvae']['quantizer']['codebook']


def with_codebook(params: Any, codebook: Float[Array, 'K D']) -> Any:
  return {**params, 'vqvae': {**params['vqvae'], 'quantizer': {'codebook': codebook}}}


@dataclasses.dataclass(frozen=True)
class QuantizerKeys:
  """The keys of the codebook."""

  codebook_size: int = key(256, 'K, codes', at_least=2)
  code_size: int = key(16, "D, values of a code's vector", at_least=1)
  grouping: str = key('positions', 'which D values form a vector', names=GROUPINGS)
  learned_by: str = key('gradient', 'how the codes are learned', names=_LEARNED_BY)
  decay: float = key(0.99, "decay per step, of the moving averages of each code's vectors and of its frequency",
                     at_least=0, below=1)
  dead_below: float = key(0.01, 'share of uniform use, 1 / K, below which a code is dead', at_least=0)
  revive_every_steps: int = key(0, 'steps between revivals of dead codes; 0 for none', at_least=0)
  init_images: int = key(500, 'training images from whose vectors the initial codes are chosen; 0 for random codes',
                         at_least=0)


@dataclasses.dataclass(frozen=True)
class Keys:
  """The keys of a VQ-VAE."""

  reconstruction: str = key('cross_entropy', 'the error of a reconstruction, summed over the pixels',
                            names=RECONSTRUCTIONS)
  commitment_weight: float = key(0.25, "beta: factor of the encoder's squared distance from its codes, summed over an "
                                       'image', at_least=0)
  quantizer: QuantizerKeys = section(QuantizerKeys)
  encoder: sections.Encoder = section(
      sections.Encoder, features=(32, 64, 128, 128), negative_slope=0.01, kernel_init='pytorch', use_bias=True,
      kernel_size=3)
  decoder: sections.MapDecoder = section(
      sections.MapDecoder, 'its features are those of the layers that double the image', features=(64, 32, 16, 16),
      negative_slope=0.01, kernel_init='pytorch', use_bias=True, kernel_size=3, last_kernel_size=3, last_stride=1)
  ema_decay: float = key(0., 'decay per step of the averaged parameters, used for samples and scores; 0 for none',
                         at_least=0, below=1)
  optimizer: Optimizer = section(Optimizer, learning_rate=2e-3, b1=0.9)


def create(model: Any, spec: Spec) -> VQVAE:
  """The VQVAE of a section with these Keys for a data set's Spec.

  Raises:
    UserError: a network that does not fit the image; vectors that do not fit the encoder's output.
  """
  quantizer = model.quantizer
  network = networks.vqvae(model, spec.image_shape)
  latent_shape = networks.latent_shape(model, spec.image_shape)
  return VQVAE(
      network=network, optimizer=optimizers.create(model.optimizer),
      reconstruction=choose('model.reconstruction', model.reconstruction, RECONSTRUCTIONS),
      upkeep=Upkeep(by_average=choose('model.quantizer.learned_by', quantizer.learned_by, _LEARNED_BY),
                    **keys.numbers(Upkeep, quantizer)),
      image_shape=spec.image_shape, latent_shape=latent_shape,
      codes_per_image=int(np.prod(latent_shape)) // quantizer.code_size,
      **keys.numbers(VQVAE, model), **keys.numbers(VQVAE, quantizer))
