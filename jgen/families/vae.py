"""Variational autoencoders (Kingma & Welling 2014): one family, parametrised by network, likelihood and regulariser."""

from collections.abc import Callable
import dataclasses
import math
from typing import Any

from flax import linen as nn
import jax
from jax import lax
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
from jgen.keys import key, section
from jgen.losses.likelihoods import LIKELIHOODS, Likelihood, sum_over_values
from jgen.losses.regularizers import ACTIVE_VARIANCE, Regularizer, kl_per_latent
from jgen.networks import sections
from jgen.parallel import AXIS, per_image
from jgen.shapes import Array, Labels, Latents, PerImage, PRNGKey, Scalar, Step, Values

# The likelihoods whose initial variance is that of the training pixels, or a given one.
_OF_THE_DATA = tuple(name for name, likelihood in LIKELIHOODS.items() if likelihood.fixed_variance(1., 1) is None)
_CHUNK = 1_000                          # images processed at a time when pixels are counted


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAE(Family):
  """An encoder q(z | x) and a decoder p(x | z) with a standard normal prior, trained with one sample per image."""

  network: nn.Module                    # jgen.networks.vae.VAE
  optimizer: optax.GradientTransformation
  likelihood: Likelihood
  regularizer: Regularizer
  variance: float                       # of a pixel; 0 for the variance of the training pixels
  image_shape: tuple[int, int, int]
  latent_size: int
  ema_decay: float = 0.

  statistics_need_images = True
  data = 'image'                        # name of the modelled array in batches

  @property
  def couples_batch(self) -> str:
    bounded = 'its regularizer is not a sum over the mean divergences of a batch'
    return '' if self.regularizer.name == 'kl' else bounded

  def inputs(self) -> tuple[Values, Latents]:
    """One image and its noise, for their shapes."""
    return jnp.zeros((1, *self.image_shape)), jnp.zeros((1, self.latent_size))

  def passes(self) -> dict[str, Callable[[], Any]]:
    run = lambda: self.network.init_with_output(jax.random.key(0), *self.inputs(), train=True)[0]
    return {'vae': lambda: self.likelihood.mean(run()[-1])}

  def init(self, key: PRNGKey) -> TrainState:
    state = train_state.create(key, {'vae': self.network}, {'vae': self.inputs()}, {'vae': self.optimizer},
                               averaged=('vae',) if self.ema_decay else ())
    fixed = {'variance': jnp.ones(())}  # until `init_from_data` computes it
    return state.replace(model_state={**state.model_state, 'likelihood': fixed})

  def init_from_data(self, state: TrainState, dataset: Dataset) -> TrainState:
    """The state with the variance of the likelihood, computed from the training pixels unless it is given."""
    fixed = self.likelihood.fixed_variance(self.regularizer.weight, math.prod(self.image_shape))
    variance = fixed or self.variance or pixel_variance(dataset.images)
    if not variance > 0:
      raise UserError(f'all pixels of {dataset.spec.name} are equal, so their variance is 0; set '
                      'config.model.variance above 0 or use other images')
    return state.replace(model_state={**state.model_state, 'likelihood': {'variance': jnp.float32(variance)}})

  def pixel_variance(self, params: Any, model_state: Any) -> Scalar:
    """The variance of the likelihood, []: the value stored by `init_from_data`, times the learned factor, if any."""
    return model_state['likelihood']['variance'] * jnp.exp(params['vae'].get('log_variance', 0.))

  def noise(self, key: PRNGKey, count: int) -> Latents:
    return per_image(key, count, lambda k: jax.random.normal(k, (self.latent_size,)))

  def posterior_noise(self, key: PRNGKey, count: int) -> Latents:
    """Noise [B, Z] for samples from q(z | x); zeros if the KL weight is 0, for a plain autoencoder."""
    noise = self.noise(key, count)
    return noise if self.regularizer.weight else jnp.zeros_like(noise)

  def run(self, params: Any, model_state: Any, images: Values, noise: Latents, train: bool) -> tuple[Any, Any]:
    """((mean [B, Z], log variance [B, Z], output [B, H, W, C]), new model_state) of the network."""
    outputs, state = train_state.apply(self.network, params['vae'], model_state['vae'], images, noise, train=train)
    return outputs, {**model_state, 'vae': state}

  def ledger(self, output: Values, images: Values, kl: PerImage, variance: Scalar) -> dict[str, Array]:
    """{name: [B]}: reconstruction errors and bounds in all units, for outputs and the divergence kl [B] in nats."""
    nats, size = self.likelihood.nats(output, images, variance), images[0].size
    elbo = -nats - kl
    return {
        'reconstruction': self.likelihood.reconstruction(output, images, variance),   # the objective's own term
        'mse': sum_over_values(jnp.square(images - self.likelihood.mean(output))) / size,
        'reconstruction_nats': nats, 'kl': kl, 'elbo': elbo,
        'bits_per_dimension': -elbo / (size * jnp.log(2.)) + self.likelihood.bits_of_a_value}

  def weights(self, step: Step, variance: Scalar) -> dict[str, Any]:
    """{name: []}: the weight of the KL at a step, relative to the mean error per pixel and to the summed error."""
    of_pixel, of_image = self.likelihood.weights(
        self.regularizer.weight_at(step), variance, math.prod(self.image_shape))
    return {'kl_weight_per_pixel': of_pixel, 'kl_weight_per_image': of_image, 'pixel_variance': variance}

  def train_step(self, state: TrainState, batches: dict[str, Array],
                 key: PRNGKey) -> tuple[TrainState, dict[str, Array]]:
    images = batches[self.data][0]
    noise = self.posterior_noise(key, len(images))
    def loss(params, images, noise):
      (mean, log_variance, output), model_state = self.run(params, state.model_state, images, noise, train=True)
      variance = self.pixel_variance(params, state.model_state)
      kl = kl_per_latent(mean, log_variance)
      regularization = self.regularizer(lax.pmean(kl.mean(0), AXIS), state.step)
      ledger = {name: value.mean() for name, value in self.ledger(output, images, kl.sum(1), variance).items()}
      total = ledger['reconstruction'] + regularization
      metrics = {'loss': total, 'regularization': regularization, **ledger, **self.weights(state.step, variance)}
      return total, (metrics, model_state, mean)
    def of_part(inputs):
      gradients, (*means, mean) = jax.grad(loss, has_aux=True)(state.params, *inputs)
      return (gradients, *means), mean
    (gradients, metrics, model_state), mean = over_microbatches(of_part, (images, noise))
    state, gradients = train_state.apply_gradients(state, 'vae', gradients['vae'], self.optimizer)
    metrics |= {'active_units': active_units(mean), 'gradient_norm': optax.tree.norm(gradients)}
    return state.replace(model_state=model_state), {f'vae/{name}': value for name, value in metrics.items()}

  def training_pass(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> Any:
    noise = self.posterior_noise(key, len(batch[self.data]))
    return self.run(state.params, state.model_state, batch[self.data], noise, train=True)[1]

  def eval_step(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> dict[str, Array]:
    """{name: [B]}: the values of `ledger` and the weights of the objective's terms, which are the same for all images.

    Latents are sampled once per image, as in training; `mse_of_mean` is the error for their mean instead.
    """
    images, noise = batch[self.data], self.posterior_noise(key, len(batch[self.data]))
    (mean, log_variance, output), _ = self.run(state.params, state.model_state, images, noise, train=False)
    variance = self.pixel_variance(state.params, state.model_state)
    kl = kl_per_latent(mean, log_variance).sum(1)
    of_mean = sum_over_values(jnp.square(images - self.decode(state, mean))) / images[0].size
    weights = {name: jnp.full(len(images), value) for name, value in self.weights(state.step, variance).items()}
    return {**self.ledger(output, images, kl, variance), **weights, 'mse_of_mean': of_mean}

  def log_weight(self, state: TrainState, images: Values, key: PRNGKey) -> PerImage:
    """log p(x | z) + log p(z) - log q(z | x) in nats, [B], for one sample z of q: Burda et al. 2016, eq. 8."""
    noise = self.noise(key, len(images))
    (mean, log_variance, output), _ = self.run(state.params, state.model_state, images, noise, train=False)
    latents = mean + jnp.exp(log_variance / 2) * noise
    variance = self.pixel_variance(state.params, state.model_state)
    prior_over_posterior = (jnp.square(noise) + log_variance - jnp.square(latents)).sum(1) / 2
    return prior_over_posterior - self.likelihood.nats(output, images, variance)

  def regularization(self, kl: Float[Array, ' Z'], step: Step) -> Scalar:
    """The regularisation term of the objective for divergences kl [Z] averaged over any number of images."""
    return self.regularizer(kl, step)

  def encode(self, state: TrainState, images: Values) -> tuple[Latents, Latents]:
    return self._evaluate(state, images, method='encode')

  def decode(self, state: TrainState, latents: Latents) -> Values:
    return self.likelihood.mean(self._evaluate(state, latents, method='decode'))

  def reconstruct(self, state: TrainState, images: Values) -> Values:
    return self.decode(state, self.encode(state, images)[0])

  def sample(self, state: TrainState, key: PRNGKey, labels: Labels) -> Values:
    return self.decode(state, self.noise(key, len(labels)))

  def sample_at(self, state: TrainState, key: PRNGKey, latents: Latents, labels: Labels) -> Values:
    """Images [B, H, W, C] of latents [B, Z]."""
    del key, labels
    return self.decode(state, latents)

  def _evaluate(self, state, inputs, method):
    variables = {'params': state.params['vae'], **state.model_state['vae']}
    return self.network.apply(variables, inputs, train=False, method=method)


def active_units(mean: Latents) -> Scalar:
  """The number of latents whose means [B, Z] vary over the batch of all devices (Burda et al. 2016, sec. 5.2)."""
  first, second = lax.pmean((mean.mean(0), jnp.square(mean).mean(0)), AXIS)
  return (second - jnp.square(first) > ACTIVE_VARIANCE).sum().astype(jnp.float32)


def pixel_variance(images: np.ndarray) -> float:
  """The variance of all values of uint8 images [N, H, W, C], scaled to [-1, 1]; exact, from their counts."""
  chunks = (images[i:i + _CHUNK] for i in range(0, len(images), _CHUNK))
  counts = sum(np.bincount(np.ravel(chunk), minlength=256) for chunk in chunks)
  values = np.arange(256) / 127.5 - 1
  mean = np.average(values, weights=counts)
  return float(np.average((values - mean)**2, weights=counts))


@dataclasses.dataclass(frozen=True)
class Keys:
  """The keys of a VAE."""

  latent_size: int = key(128, 'Z, latents of an image', at_least=1)
  likelihood: str = key('gaussian', "p(x | z), given by the decoder's output", names=LIKELIHOODS)
  variance: float = key(0., 'initial variance of a pixel in [-1, 1]; 0 for that of the training pixels',
                        at_least=0, read_with={'likelihood': _OF_THE_DATA})
  regularizer: Regularizer = section(Regularizer)
  encoder: sections.Encoder | sections.DenseLayers = section(
      sections.Encoder, features=(32, 64, 128, 256), normalization='batch', kernel_init='pytorch')
  decoder: sections.Decoder | sections.DenseLayers = section(
      sections.Decoder, features=(256, 128, 64, 32), normalization='batch', kernel_init='pytorch')
  ema_decay: float = key(0., 'decay per step of the averaged parameters, used for samples and scores; 0 for none',
                         at_least=0, below=1)
  optimizer: Optimizer = section(Optimizer)


def create(model: Any, spec: Spec, network: Callable = networks.vae, family: type[VAE] = VAE) -> VAE:
  """The VAE of a section with these Keys for a data set's Spec; callers may pass another `network` or class.

  Raises:
    UserError: a network that does not fit the image.
  """
  likelihood = choose('model.likelihood', model.likelihood, LIKELIHOODS)
  regularizer = keys.read(Regularizer, model.regularizer, 'config.model.regularizer')
  return family(
      network=network(model, spec.image_shape, likelihood.learns_variance),
      optimizer=optimizers.create(model.optimizer), likelihood=likelihood, regularizer=regularizer,
      image_shape=spec.image_shape, **keys.numbers(VAE, model))
