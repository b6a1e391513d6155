"""Generative adversarial networks: one class with values for its parts."""

from collections.abc import Callable
import dataclasses

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import optax

from jgen import keys, networks
from jgen.augmentation import critic_inputs as presentation
from jgen.augmentation.diff_augment import POLICIES
from jgen.errors import UserError, choose
from jgen.families import optimizers, train_state
from jgen.families.base import Family
from jgen.families.optimizers import Optimizer
from jgen.keys import key, section
from jgen.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss
from jgen.losses.penalties import PENALTIES, Penalty
from jgen.losses.targets import Targets
from jgen.networks import sections
from jgen.networks.dcgan import FIRST_LAYER
from jgen.networks.products import products_in
from jgen.parallel import per_image

_PENALISED = tuple(name for name, penalty in PENALTIES.items() if penalty)   # the losses that a penalty is added to

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
  critic: nn.Module                     # [B, H, W, C (+ Y)] -> (logits [B], what a further head says or needs)
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
    networks, inputs, optimizers = ({name: part[i] for name, part in self.parts().items()} for i in range(3))
    return train_state.create(key, networks, inputs, optimizers, averaged=('generator',) if self.ema_decay else ())

  def parts(self):
    """{network: (module, the arguments of its call, optimizer)}."""
    labels = self.example_labels()
    latents = self.generator_input(jnp.zeros((1, self.latent_size)), labels)
    images = self.critic_input(jnp.zeros((1, *self.image_shape)), labels)
    return {'generator': (self.generator, (latents,), self.generator_optimizer),
            'critic': (self.critic, (images,), self.critic_optimizer)}

  def example_labels(self):
    """Labels of one image."""
    return jnp.zeros((1,), jnp.int32)

  def generator_partners(self):
    """{network that the generator's update moves beside the generator: its optimizer}."""
    return {}

  def generator_input(self, noise, labels):
    """What the generator is given for noise [B, Z]."""
    return self.with_label(noise, labels)

  def critic_input(self, images, labels):
    """What the critic is given for images [B, H, W, C]."""
    return self.with_label(images, labels)

  def with_label(self, x, labels):
    """Appends the one-hot of labels [B] to the last axis of x [B, ...], constant over the axes between."""
    if not self.num_classes:
      return x
    one_hot = jax.nn.one_hot(labels, self.num_classes, dtype=x.dtype)
    one_hot = one_hot.reshape(x.shape[0], *(1,) * (x.ndim - 2), self.num_classes)
    return jnp.concatenate([x, jnp.broadcast_to(one_hot, (*x.shape[:-1], self.num_classes))], axis=-1)

  def latents(self, key, labels):
    """The generator's input: standard normal [B, Z], with the label."""
    noise = per_image(key, len(labels), lambda k: jax.random.normal(k, (self.latent_size,)))
    return self.generator_input(noise, labels)

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

    `params` are of all networks, `model_state` is the critic's. Real and generated images are two minibatches, so that
    BatchNorm never mixes their statistics. They are as the critic is shown them, for the penalty too.
    """
    key_of = lambda purpose: jax.random.fold_in(key, purpose)
    real, labels = batch['image'], batch['label']
    judge = lambda state, images, purpose: self.judge(params['critic'], state, images, labels, key_of(purpose))
    real_logits, of_real, model_state = judge(model_state, real, _JUDGE_REAL)
    fake_logits, of_fake, model_state = judge(model_state, fake, _JUDGE_FAKE)
    real_loss, fake_loss = self.answer_losses(real_logits, fake_logits, key_of(_TARGETS))
    further_terms, further = self.further_critic_terms(params, of_real, of_fake, labels)
    terms = {'adversarial': real_loss + fake_loss, **further_terms}
    watched = {'real_loss': real_loss, 'fake_loss': fake_loss, 'real_logit': real_logits, 'fake_logit': fake_logits,
               **self.loss.monitor(real_logits, fake_logits), **further}
    if self.penalty:
      score = lambda x: judge(model_state, x, _JUDGE_POINTS)[0]
      drawn = per_image(key, len(fake), lambda k: self.penalty.draw(k, self.image_shape))
      with products_in('float32'):      # its second derivatives need more than 8 bits
        watched['penalty'], slopes = self.penalty.function(score, real, fake, drawn)
      watched.update(slopes)
      terms['weighted_penalty'] = self.penalty_weight * watched['penalty']
    return terms, watched, model_state

  def judge(self, params, model_state, images, labels, key):
    """(logits [B], what a further head says or needs, new model_state) of a critic of these params in training."""
    (logits, further), model_state = train_state.apply(
        self.critic, params, model_state, self.critic_input(images, labels), train=True, dropout_key=key)
    return logits, further, model_state

  def further_critic_terms(self, params, of_real, of_fake, labels):
    """({term: [B]}, {name: [B]}) of what the critic returns beside its logits."""
    del params, of_real, of_fake, labels   # for families with a further head
    return {}, {}

  def further_generator_terms(self, params, of_fake, labels):
    """The same in the generator's update."""
    del params, of_fake, labels
    return {}, {}

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
      terms, watched, model_state = self.critic_terms(
          {**state.params, 'critic': params}, state.model_state['critic'], batch, fake, key)
      total = sum(terms.values()).mean()
      return total, ({'loss': total, **means({**terms, **watched})}, model_state)
    gradients, (metrics, model_state) = jax.grad(loss, has_aux=True)(state.params['critic'])
    state, gradients = train_state.descend(state, 'critic', gradients, self.critic_optimizer)
    metrics.update(gradient_norms(gradients))
    return state.replace(model_state={**state.model_state, 'critic': model_state}), metrics

  def generator_terms(self, params, model_state, fake, labels, key):
    """({term: [B]} that the generator minimises, {name: [B]} worth watching).

    `params` are of all networks, `model_state` is the critic's.
    """
    key = jax.random.fold_in(key, _JUDGE_FAKE)
    logits, of_fake, _ = self.judge(params['critic'], model_state, fake, labels, key)
    further_terms, further = self.further_generator_terms(params, of_fake, labels)
    return {'adversarial': self.loss.generator(logits), **further_terms}, further

  def generator_step(self, state, generated, labels, key):
    """One update of the generator through the critic, whose own gradients are not computed.

    The critic's running statistics stay as its own update left them.
    """
    partners = self.generator_partners()
    def loss(images, partners):
      shown = self.present(jax.random.fold_in(key, _SHOW_FAKE), state.step, images)
      terms, watched = self.generator_terms(
          {**state.params, **partners}, state.model_state['critic'], shown, labels, key)
      total = sum(terms.values()).mean()
      return total, {'loss': total, **means({**terms, **watched})}
    (gradient, of_partners), metrics = jax.grad(loss, argnums=(0, 1), has_aux=True)(
        generated.images, {name: state.params[name] for name in partners})
    state, gradients = train_state.descend(
        state, 'generator', generated.pullback(gradient), self.generator_optimizer)
    for name, optimizer in partners.items():
      state, _ = train_state.descend(state, name, of_partners[name], optimizer)
    metrics.update(gradient_norms(gradients))
    return state.replace(model_state={**state.model_state, 'generator': generated.model_state}), metrics

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
    return state, {**prefixed('critic', critic), **prefixed('generator', generator)}

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

  def training_pass(self, state, batch, key):
    return {**state.model_state, 'generator': self.generate(state, key, batch['label']).model_state}

  def sample(self, state, key, labels):
    return self.draw(state, key, self.latents(key, labels))

  def sample_at(self, state, key, latents, labels):
    """Images [B, H, W, C] of latents [B, Z]."""
    return self.draw(state, key, self.generator_input(latents, labels))

  def draw(self, state, key, inputs):
    """Images of the generator's inputs [B, Z (+ Y)], in evaluation."""
    images, _ = train_state.apply(
        self.generator, state.params['generator'], state.model_state['generator'], inputs, train=False,
        dropout_key=jax.random.fold_in(key, _DROPOUT))
    return images

  def trust(self, state, images, labels):
    """The critic's logits [B] in evaluation, on images [B, H, W, C] as they are: higher is more sure."""
    (logits, _), _ = train_state.apply(self.critic, state.params['critic'], state.model_state['critic'],
                                       self.critic_input(images, labels), train=False)
    return logits


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


@dataclasses.dataclass(frozen=True)
class AdversarialKeys:
  """The keys of every adversarial family."""

  latent_size: int = key(100, 'Z, entries of the normal noise vector', at_least=1)
  loss: str = key('non_saturating', 'what critic and generator minimise', names=ADVERSARIAL_LOSSES)
  penalty: str = key('none', "what the critic's slope is penalised by", names=PENALTIES)
  penalty_weight: float = key(10., "factor of the penalty in the critic's loss", at_least=0,
                              read_with={'penalty': _PENALISED})
  allow_penalty_with_batch_norm: bool = key(
      False, 'whether a penalty, which is per image, is allowed beside BatchNorm in the critic',
      read_with={'penalty': _PENALISED})
  critic_steps: int = key(1, 'critic updates a step, each on a fresh batch; they come first', at_least=1)
  generator_steps: int = key(1, 'generator updates a step, each on latents of its own', at_least=1)
  ema_decay: float = key(0., 'decay a step of the averaged generator that is sampled; 0 for none', at_least=0, below=1)
  critic_targets: Targets = section(Targets, 'what the critic is to answer: 1 is real, 0 is generated')
  instance_noise: presentation.InstanceNoise = section(
      presentation.InstanceNoise, 'normal noise on all that the critic sees, real and generated')
  diff_augment: tuple[str, ...] = key(
      (), 'changes at random of all that the critic sees, in this order, before the noise', names=POLICIES)
  generator: sections.Generator = section(sections.Generator)
  critic: sections.Critic = section(sections.Critic)
  generator_optimizer: Optimizer = section(Optimizer)
  critic_optimizer: Optimizer = section(Optimizer)


@dataclasses.dataclass(frozen=True)
class Keys(AdversarialKeys):
  """The keys of a GAN."""

  conditional: bool = key(False, 'whether generator and critic are told the label')


def create(model, spec):
  """The GAN of a section with these Keys for a data set's Spec.

  Raises:
    UserError: what `fields` refuses; a conditional model on unlabelled images.
  """
  if model.conditional and not spec.num_classes:
    raise UserError(f'config.model.conditional: the data set {spec.name} has no labels; set it to False '
                    'or choose a labelled data set')
  return GAN(**fields(model, spec), num_classes=spec.num_classes if model.conditional else 0)


def fields(model, spec):
  """All of a GAN but its `num_classes`, from the section of an adversarial family.

  Raises:
    UserError: what `check` refuses; a network that does not fit the image; an unknown name.
  """
  penalty = choose('model.penalty', model.penalty, PENALTIES)
  check(model, penalty)
  return dict(
      generator=networks.generator(model.generator, spec.image_shape),
      critic=networks.critic(model.critic, spec.image_shape),
      generator_optimizer=optimizers.create(model.generator_optimizer),
      critic_optimizer=optimizers.create(model.critic_optimizer),
      loss=choose('model.loss', model.loss, ADVERSARIAL_LOSSES), targets=Targets(**model.critic_targets),
      penalty=penalty, present=presentation.create(model.diff_augment, model.instance_noise),
      image_shape=spec.image_shape, batches_per_step=model.critic_steps,
      **keys.numbers(GAN, model))


def check(model, penalty):
  """Raises UserError for what no GAN can work with, and for

  a penalty with BatchNorm in the critic, unless `allow_penalty_with_batch_norm` says so.
  """
  if penalty and model.critic.normalization == 'batch' and not model.allow_penalty_with_batch_norm:
    raise UserError(
        f"config.model.penalty '{model.penalty}' is a penalty per image, which BatchNorm in the critic makes "
        "meaningless; set config.model.critic.normalization to 'none', 'layer' or 'instance', or ask for the "
        'pair with config.model.allow_penalty_with_batch_norm=True')
