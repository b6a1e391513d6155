"""A mixture of Gaussians on the principal components of vectors, fitted by scikit-learn before the first step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
import numpy as np

from jgen import keys
from jgen.data.spec import Dataset
from jgen.errors import UserError
from jgen.families import train_state
from jgen.families.base import Family
from jgen.families.train_state import TrainState
from jgen.keys import key
from jgen.parallel import per_image
from jgen.shapes import Array, Labels, PRNGKey

_MAX_ITERATIONS = 500                   # of expectation maximisation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture(Family):
  """p(x) = sum_m w_m N(P x; mu_m, L_m L_m^T), P the projection to F principal components.

  `model_state` holds the complete fit: a training step changes nothing and computes the likelihood of its
  batch. Samples lie in the span of the components.
  """

  shape: tuple[int, ...]                # of one x, with any axes
  num_points: int                       # vectors used for the fit
  pca_dimension: int                    # F
  num_components: int                   # Gaussians of the mixture
  smallest_variance: float              # added to the variances of every Gaussian

  def init(self, key: PRNGKey) -> TrainState:
    size, count, inner = int(np.prod(self.shape)), self.num_components, self.pca_dimension
    fit = {'seed': jax.random.bits(key, dtype=jnp.uint32), 'center': jnp.zeros(size),
           'axes': jnp.zeros((inner, size)), 'log_weights': jnp.zeros(count), 'means': jnp.zeros((count, inner)),
           'factors': jnp.broadcast_to(jnp.eye(inner), (count, inner, inner))}
    return train_state.create(key, {}, {}, {}).replace(model_state={'mixture': fit})

  def check_data(self, dataset: Dataset) -> None:
    """Raises UserError if the data set has too few images."""
    if self.num_points > len(dataset.images):
      raise UserError(f'config.priors.mixture.model.num_points is {self.num_points:,}, but there are '
                      f'{len(dataset.images):,} training images; set it to that or less')

  def init_from_data(self, state: TrainState, dataset: Dataset) -> TrainState:
    """The state with the fit to all vectors of the data set: PCA, then expectation maximisation from k-means."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture
    seed = int(state.model_state['mixture']['seed'])
    points = np.asarray(dataset.images, np.float64).reshape(len(dataset.images), -1)
    pca = PCA(self.pca_dimension, svd_solver='full').fit(points)
    mixture = GaussianMixture(self.num_components, reg_covar=self.smallest_variance, max_iter=_MAX_ITERATIONS,
                              random_state=seed)
    try:
      mixture.fit(pca.transform(points))
    except ValueError as error:
      raise UserError(f'{self.num_components} Gaussians in {self.pca_dimension} dimensions cannot be fitted to '
                      f'{len(points):,} points; raise config.priors.mixture.model.smallest_variance or lower '
                      'num_components') from error
    fit = {'center': pca.mean_, 'axes': pca.components_, 'log_weights': np.log(mixture.weights_),
           'means': mixture.means_, 'factors': np.linalg.cholesky(mixture.covariances_)}
    fit = {name: jnp.asarray(value, jnp.float32) for name, value in fit.items()}
    return state.replace(model_state={**state.model_state, 'mixture': {**state.model_state['mixture'], **fit}})

  def train_step(self, state: TrainState, batches: dict[str, Array],
                 key: PRNGKey) -> tuple[TrainState, dict[str, Array]]:
    metrics = self.eval_step(state, {'latents': batches['latents'][0]}, key)
    return state, {f'mixture/{name}': value.mean() for name, value in metrics.items()}

  def eval_step(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> dict[str, Array]:
    """{name: [B]}: the likelihood of each vector, and its share outside of the principal components.

    `log_likelihood` is in nats, a density of the principal components; `share_outside` is the share of the squared
    distance from the centre that lies outside of their span.
    """
    del key
    fit = state.model_state['mixture']
    centered = batch['latents'].reshape(len(batch['latents']), -1) - fit['center']
    inner = centered @ fit['axes'].T
    squares, inner_squares = (jnp.square(x).sum(1) for x in (centered, inner))
    log_densities = jax.vmap(log_normal, (None, 0, 0), 1)(inner, fit['means'], fit['factors'])
    return {'log_likelihood': jax.nn.logsumexp(log_densities + fit['log_weights'], axis=1),
            'share_outside': 1 - inner_squares / jnp.maximum(squares, 1e-30)}

  def sample(self, state: TrainState, key: PRNGKey, labels: Labels) -> Array:
    """[B, *shape]"""
    fit = state.model_state['mixture']
    def draw(key):
      which, noise = jax.random.split(key)
      chosen = jax.random.categorical(which, fit['log_weights'])
      inner = fit['means'][chosen] + fit['factors'][chosen] @ jax.random.normal(noise, (self.pca_dimension,))
      return (fit['center'] + inner @ fit['axes']).reshape(self.shape)
    return per_image(key, len(labels), draw)


def log_normal(points: Array, mean: Array, factor: Array) -> Array:
  """log N(x; mean, factor factor^T), [B], for points [B, F] and a lower triangular factor [F, F]."""
  whitened = solve_triangular(factor, (points - mean).T, lower=True)
  log_volume = jnp.log(jnp.diagonal(factor)).sum() + len(mean) / 2 * jnp.log(2 * jnp.pi)
  return -jnp.square(whitened).sum(0) / 2 - log_volume


@dataclasses.dataclass(frozen=True)
class Keys:
  """The keys of a mixture of Gaussians over standardised latents."""

  num_points: int = key(5_000, 'random training images, to whose latents the mixture is fitted', at_least=1)
  pca_dimension: int = key(256, 'principal components, the dimension of the Gaussians', at_least=1)
  num_components: int = key(16, 'Gaussians', at_least=1)
  smallest_variance: float = key(1e-6, 'added to the variances of each Gaussian; the latents have variance 1',
                                 above=0)


def create(model: Any, shape: tuple[int, ...]) -> Mixture:
  """The family of a section with these Keys for vectors of a shape; raises UserError if they cannot be fitted."""
  where = 'config.priors.mixture.model'
  for name in ('pca_dimension', 'num_components'):
    if model[name] > model.num_points:
      raise UserError(f'{where}.{name} is {model[name]}, above num_points, {model.num_points}; set it to that or less')
  if model.pca_dimension > np.prod(shape):
    raise UserError(f'{where}.pca_dimension is {model.pca_dimension}, but the latents of an image are '
                    f'{np.prod(shape)} values; set it to that or less')
  return Mixture(shape=shape, **keys.numbers(Mixture, model))
