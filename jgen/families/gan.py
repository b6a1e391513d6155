"""Generative adversarial networks: one class with values for its parts."""

from collections.abc import Callable
import dataclasses

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import optax

from jgen import networks, optimizers, presentation, train_state
from jgen.errors import UserError, choose
from jgen.families.base import Family
from jgen.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss
from jgen.losses.penalties import PENALTIES, Penalty
from jgen.losses.targets import Targets
from jgen.networks.dcgan import FIRST_LAYER
from jgen.parallel import per_image

# Folded into keys, one for each purpose. Images' positions, which are folded into the same keys, are below.
_DROPOUT, _SHOW_REAL, _SHOW_FAKE, _JUDGE_REAL, _JUDGE_FAKE, _JUDGE_POINTS, _TARGETS, _UPDATE = range(2**31, 2**31 + 8)


@dataclasses.dataclass(frozen=True)
class Generated:
  """The generator's forward pass on one batch, kept so that it serves the critic's update and its own."""

  images: jax.Array                     # [B, H, W, C]
  model_state: dict                     # of the generator after it
  pullback: Callable                    # gradient at the images -> gradient at the parameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class GAN(Family):
  """A generator against a critic; conditional, the label's one-hot is a further input of both.

  The label is appended to the latents, and to the image as Y constant channels (Mirza & Osindero 2014).
  """

  generator: nn.Module                  # latents [B, Z (+ Y)] -> [B, H, W, C]
  critic: nn.Module                     # [B, H, W, C (+ Y)] -> logits [B]
  generator_optimizer: optax.GradientTransformation
  critic_optimizer: optax.GradientTransformation
  loss: AdversarialLoss
  targets: Targets
  penalty: Penalty | None
  penalty_weight: float
  present: Callable                     # (key, step, images) -> what the critic is shown of them
  image_shape: tuple[int, int, int]
  latent_size: int
  num_classes: int                      # Y; 0 is unconditional
  batches_per_step: int                 # critic updates a step
  generator_steps: int                  # generator updates a step
  ema_decay: float

  def init(self, key):
    label = jnp.zeros((1,), jnp.int32)
    latents = self.with_label(jnp.zeros((1, self.latent_size)), label)
    images = self.with_label(jnp.zeros((1, *self.image_shape)), label)
    return train_state.create(
        key, {'generator': self.generator, 'critic': self.critic},
        {'generator': (latents,), 'critic': (images,)},
        {'generator': self.generator_optimizer, 'critic': self.critic_optimizer},
        averaged=('generator',) if self.ema_decay else ())

  def with_label(self, x, labels):
    """Appends the one-hot of labels [B] to the last axis of x [B, ...], constant over the axes between."""
    if not self.num_classes:
      return x
    one_hot = jax.nn.one_hot(labels, self.num_classes, dtype=x.dtype)
    one_hot = one_hot.reshape(len(x), *(1,) * (x.ndim - 2), self.num_classes)
    return jnp.concatenate([x, jnp.broadcast_to(one_hot, (*x.shape[:-1], self.num_classes))], axis=-1)

  def latents(self, key, labels):
    """The generator's input: standard normal [B, Z], with the label."""
    noise = per_image(key, len(labels), lambda k: jax.random.normal(k, (self.latent_size,)))
    return self.with_label(noise, labels)

  def generate(self, state, key, labels):
    """The forward pass in training, with all that the generator's own update needs of it."""
    latents = self.latents(key, labels)
    def forward(params):
      return train_state.apply(self.generator, params, state.model_state['generator'], latents, train=True,
                               dropout_key=jax.random.fold_in(key, _DROPOUT))
    images, pullback, model_state = jax.vjp(forward, state.params['generator'], has_aux=True)
    return Generated(images, model_state, lambda gradient: pullback(gradient)[0])

  def critic_terms(self, params, model_state, batch, fake, key):
    """({term: [B]} that the critic minimises, {name: [B]} worth watching, the critic's new model_state).

    Real and generated images are two minibatches, so that BatchNorm never mixes their statistics. They are as the
    critic is shown them, for the penalty too.
    """
    key_of = lambda purpose: jax.random.fold_in(key, purpose)
    real, labels = batch['image'], batch['label']
    real_logits, model_state = self.judge(params, model_state, real, labels, key_of(_JUDGE_REAL))
    fake_logits, model_state = self.judge(params, model_state, fake, labels, key_of(_JUDGE_FAKE))
    real_loss, fake_loss = self.answer_losses(real_logits, fake_logits, key_of(_TARGETS))
    terms = {'adversarial': real_loss + fake_loss}
    watched = {'real_loss': real_loss, 'fake_loss': fake_loss, 'real_logit': real_logits, 'fake_logit': fake_logits,
               **self.loss.monitor(real_logits, fake_logits)}
    if self.penalty:
      score = lambda x: self.judge(params, model_state, x, labels, key_of(_JUDGE_POINTS))[0]
      drawn = per_image(key, len(fake), lambda k: self.penalty.draw(k, self.image_shape))
      watched['penalty'], slopes = self.penalty.function(score, real, fake, drawn)
      watched.update(slopes)
      terms['weighted_penalty'] = self.penalty_weight * watched['penalty']
    return terms, watched, model_state

  def judge(self, params, model_state, images, labels, key):
    """(logits [B], new model_state) of the critic in training."""
    return train_state.apply(self.critic, params, model_state, self.with_label(images, labels), train=True,
                             dropout_key=key)

  def answer_losses(self, real_logits, fake_logits, key):
    """What the critic's answers to real and to generated images cost it, [B] each."""
    if self.targets == Targets():
      return self.loss.real(real_logits), self.loss.generated(fake_logits)
    real, generated = per_image(key, len(real_logits), self.targets.draw).T
    return self.loss.towards(real_logits, real), self.loss.towards(fake_logits, generated)

  def critic_step(self, state, batch, fake, key):
    """One update of the critic on a batch of real images and as many generated ones."""
    show = lambda purpose, images: self.present(jax.random.fold_in(key, purpose), state.step, images)
    batch, fake = {**batch, 'image': show(_SHOW_REAL, batch['image'])}, show(_SHOW_FAKE, fake)
    def loss(params):
      terms, watched, model_state = self.critic_terms(params, state.model_state['critic'], batch, fake, key)
      total = sum(terms.values()).mean()
      return total, ({'loss': total, **means({**terms, **watched})}, model_state)
    gradients, (metrics, model_state) = jax.grad(loss, has_aux=True)(state.params['critic'])
    state, gradients = train_state.descend(state, 'critic', gradients, self.critic_optimizer)
    metrics.update(gradient_norms(gradients))
    return state.replace(model_state={**state.model_state, 'critic': model_state}), metrics

  def generator_terms(self, params, model_state, fake, labels, key):
    """{term: [B]} that the generator minimises, through a critic of these params and model_state."""
    logits, _ = self.judge(params, model_state, fake, labels, jax.random.fold_in(key, _JUDGE_FAKE))
    return {'adversarial': self.loss.generator(logits)}

  def generator_step(self, state, generated, labels, key):
    """One update of the generator through the critic, whose own gradients are not computed.

    The critic's running statistics stay as its own update left them.
    """
    def loss(images):
      shown = self.present(jax.random.fold_in(key, _SHOW_FAKE), state.step, images)
      terms = self.generator_terms(state.params['critic'], state.model_state['critic'], shown, labels, key)
      total = sum(terms.values()).mean()
      return total, {'loss': total, **means(terms)}
    gradient, metrics = jax.grad(loss, has_aux=True)(generated.images)
    state, gradients = train_state.descend(
        state, 'generator', generated.pullback(gradient), self.generator_optimizer)
    metrics.update(gradient_norms(gradients))
    return state.replace(model_state={**state.model_state, 'generator': generated.model_state}), metrics

  def average(self, state):
    """Moves the averaged generator, if there is one, towards the generator."""
    ema_params = {name: optax.incremental_update(state.params[name], averaged, 1. - self.ema_decay)
                  for name, averaged in state.ema_params.items()}
    return state.replace(ema_params=ema_params)

  def train_step(self, state, batches, key):
    """K critic updates, each on fresh real and generated images, then the generator's.

    The generator's first update uses the images of the last critic update: one forward pass serves both, as the
    generator does not change in between. Each further one has latents of its own, with the labels of that batch.
    Metrics are means over the updates of a network.
    """
    keys = jax.random.split(key, (self.batches_per_step, 2))   # [K, 2]: latents, all else
    def earlier_step(state, xs):
      batch, step_keys = xs
      fake = self.generate(state, step_keys[0], batch['label']).images
      return self.critic_step(state, batch, fake, step_keys[1])
    last = self.batches_per_step - 1
    earlier, batch = jax.tree.map(lambda x: x[:last], batches), jax.tree.map(lambda x: x[last], batches)
    generated = self.generate(state, keys[last, 0], batch['label'])
    if last:
      state, earlier_metrics = lax.scan(earlier_step, state, (earlier, keys[:last]))
    state, critic = self.critic_step(state, batch, generated.images, keys[last, 1])
    if last:
      critic = means_over_updates(earlier_metrics, critic)
    state, generator = self.update_generator(state, generated, batch['label'], jax.random.fold_in(key, _UPDATE))
    return self.average(state), {**prefixed('critic', critic), **prefixed('generator', generator)}

  def update_generator(self, state, generated, labels, key):
    """All updates of the generator in a step, the first with what it has generated."""
    state, metrics = self.generator_step(state, generated, labels, key)
    if self.generator_steps == 1:
      return state, metrics
    def later_step(state, key):
      latents_key, step_key = jax.random.split(key)
      return self.generator_step(state, self.generate(state, latents_key, labels), labels, step_key)
    state, later_metrics = lax.scan(later_step, state, jax.random.split(key, self.generator_steps - 1))
    return state, means_over_updates(later_metrics, metrics)

  def sample(self, state, key, labels):
    params = state.ema_params.get('generator', state.params['generator'])
    images, _ = train_state.apply(
        self.generator, params, state.model_state['generator'], self.latents(key, labels), train=False,
        dropout_key=jax.random.fold_in(key, _DROPOUT))
    return images


def means_over_updates(others, one):
  """Metrics of all updates, {name: []}, of those of all but one {name: [n]} and of that one {name: []}."""
  return jax.tree.map(lambda a, b: (a.sum(0) + b) / (len(a) + 1), others, one)


def means(terms):
  return {name: term.mean() for name, term in terms.items()}


def gradient_norms(gradients):
  """Euclidean norms of all of a network's gradients, and of those of its first layer."""
  return {'gradient_norm': optax.tree.norm(gradients),
          'first_layer_gradient_norm': optax.tree.norm(gradients[FIRST_LAYER])}


def prefixed(prefix, metrics):
  return {f'{prefix}/{name}': value for name, value in metrics.items()}


def create(model, spec):
  """The GAN of a `common.gan()` section for a data set's Spec.

  Raises:
    UserError: what `check` refuses; a network that does not fit the image; an unknown name; a number out of its range.
  """
  penalty = choose('model.penalty', model.penalty, PENALTIES)
  check(model, spec, penalty)
  return GAN(
      generator=networks.generator(model.generator, spec.image_shape),
      critic=networks.critic(model.critic, spec.image_shape),
      generator_optimizer=optimizers.create(model.generator_optimizer),
      critic_optimizer=optimizers.create(model.critic_optimizer),
      loss=choose('model.loss', model.loss, ADVERSARIAL_LOSSES), targets=Targets(**model.critic_targets),
      penalty=penalty, penalty_weight=model.penalty_weight,
      present=presentation.create(model.diff_augment, model.instance_noise), image_shape=spec.image_shape,
      latent_size=model.latent_size, num_classes=spec.num_classes if model.conditional else 0,
      batches_per_step=model.critic_steps, generator_steps=model.generator_steps, ema_decay=model.ema_decay)


def check(model, spec, penalty):
  """Raises UserError for what no GAN can work with, and for

  a conditional model on unlabelled images; a penalty with BatchNorm in the critic, unless
  `allow_penalty_with_batch_norm` says so.
  """
  if model.conditional and not spec.num_classes:
    raise UserError(f'config.model.conditional: the data set {spec.name} has no labels; set it to False '
                    'or choose a labelled data set')
  if penalty and model.critic.normalization == 'batch' and not model.allow_penalty_with_batch_norm:
    raise UserError(
        f"config.model.penalty '{model.penalty}' is a penalty per image, which BatchNorm in the critic makes "
        "meaningless; set config.model.critic.normalization to 'none', 'layer' or 'instance', or ask for the "
        'pair with config.model.allow_penalty_with_batch_norm=True')
  for key in ('critic_steps', 'generator_steps', 'latent_size'):
    if model[key] < 1:
      raise UserError(f'config.model.{key} is {model[key]}; at least 1 is needed')
