"""Generative adversarial networks: one class, parametrised by its networks, loss, penalty and other parts."""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import optax

from jgen import keys, networks
from jgen.augmentation import critic_inputs
from jgen.augmentation.diff_augment import POLICIES
from jgen.data.spec import Spec
from jgen.errors import UserError, choose
from jgen.families import conditioning, heads, optimizers, train_state
from jgen.families.accumulation import over_microbatches, pullback
from jgen.families.base import Family
from jgen.families.metrics import gradient_norms, means, means_over_updates, prefixed
from jgen.families.optimizers import Optimizer
from jgen.families.train_state import TrainState
from jgen.keys import key, section
from jgen.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss
from jgen.losses.information import LatentCodes
from jgen.losses.penalties import PENALTIES, Penalty
from jgen.losses.targets import Targets
from jgen.networks import sections
from jgen.networks.products import products_in
from jgen.parallel import per_image
from jgen.shapes import Array, Images, Labels, Latents, PerImage, PRNGKey

_PENALISED = tuple(name for name, penalty in PENALTIES.items() if penalty)   # penalties that add a term to the loss

# Folded into keys, one for each purpose. Positions of images, which are folded into the same keys, are smaller.
(_DROPOUT, _AUGMENT_REAL, _AUGMENT_FAKE, _CRITIC_REAL, _CRITIC_FAKE, _CRITIC_POINTS, _TARGETS,
 _UPDATE) = range(2**31, 2**31 + 8)


@dataclasses.dataclass(frozen=True)
class Generated:
  """The generator's forward pass on one batch, for the critic's update and for its own."""

  images: jax.Array                     # [B, H, W, C]
  model_state: dict                     # of the generator after it
  pullback: Callable                    # gradient at the images -> gradient at the parameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class GAN(Family):
  """A generator and a critic (discriminator).

  Batches inside the family are {'image': [B, H, W, C], 'condition': [B, ...]}; the condition is that of the
  generated images.
  """

  generator: nn.Module                  # [B, Z + n] -> [B, H, W, C]
  critic: nn.Module                     # [B, H, W, C + n] -> (logits [B], input of the second head [B, ...])
  generator_optimizer: optax.GradientTransformation
  critic_optimizer: optax.GradientTransformation
  condition: conditioning.Condition
  head: heads.NoHead                    # or a subclass
  loss: AdversarialLoss
  targets: Targets
  penalty: Penalty | None
  penalty_weight: float
  augment_for_critic: Callable          # (key, step, images) -> the critic's input images
  image_shape: tuple[int, int, int]
  latent_size: int                      # Z
  critic_steps: int                     # critic updates per step, each on a separate batch
  generator_steps: int                  # generator updates per step
  ema_decay: float

  @property
  def batches_per_step(self) -> int:
    return self.critic_steps

  @property
  def num_classes(self) -> int:
    return self.condition.num_classes

  @property
  def couples_batch(self) -> str:
    return 'its loss compares with the mean logit of a batch' if self.loss.couples_batch else ''

  def init(self, key: PRNGKey) -> TrainState:
    networks, inputs, optimizers = ({name: part[i] for name, part in self.parts().items()} for i in range(3))
    return train_state.create(key, networks, inputs, optimizers, averaged=('generator',) if self.ema_decay else ())

  def parts(self) -> dict[str, Any]:
    """{network: (module, the arguments of its call, optimizer)}."""
    condition = self.condition.example()
    latents = self.condition.generator_input(jnp.zeros((1, self.latent_size)), condition)
    images = self.condition.critic_input(jnp.zeros((1, *self.image_shape)), condition)
    features = lambda: jax.eval_shape(
        lambda: self.critic.init_with_output(jax.random.key(0), images, train=True)[0][1])
    return {'generator': (self.generator, (latents,), self.generator_optimizer),
            'critic': (self.critic, (images,), self.critic_optimizer), **self.head.networks(features)}

  def passes(self) -> dict[str, Callable[[], Any]]:
    return {name: functools.partial(module.init_with_output, jax.random.key(0), *inputs, train=True)
            for name, (module, inputs, _) in self.parts().items()}

  def latents(self, key: PRNGKey, condition: Array) -> Array:
    """The generator's input for conditions [B, ...]: standard normal noise [B, Z] with the condition."""
    noise = per_image(key, len(condition), lambda k: jax.random.normal(k, (self.latent_size,)))
    return self.condition.generator_input(noise, condition)

  def generate(self, state: TrainState, key: PRNGKey, condition: Array) -> Generated:
    """The generator's forward pass in training, with all that its own update needs."""
    latents = self.latents(key, condition)
    def forward(params, latents):
      return train_state.apply(self.generator, params, state.model_state['generator'], latents, train=True,
                               dropout_key=jax.random.fold_in(key, _DROPOUT))
    return Generated(*pullback(forward, state.params['generator'], latents))

  def run_critic(self, params: Any, model_state: Any, images: Images, condition: Array,
                 key: PRNGKey) -> tuple[PerImage, Any, Any]:
    """(logits [B], input of the second head, new model_state) of the critic in training, for its params."""
    (logits, features), model_state = train_state.apply(
        self.critic, params, model_state, self.condition.critic_input(images, condition), train=True, dropout_key=key)
    return logits, features, model_state

  def critic_terms(self, params: Any, model_state: Any, batch: dict[str, Array], fake: Images,
                   key: PRNGKey) -> tuple[dict[str, PerImage], dict[str, PerImage], Any]:
    """({term: [B]} that the critic minimises, {name: [B]} that is logged, the critic's new model_state).

    `params` are of all networks, `model_state` is the critic's. Real and generated images are two minibatches, so that
    BatchNorm never mixes their statistics. Both are already augmented, for the penalty too.
    """
    key_of = lambda purpose: jax.random.fold_in(key, purpose)
    real, condition = batch['image'], batch['condition']
    run = lambda state, images, purpose: self.run_critic(params['critic'], state, images, condition, key_of(purpose))
    real_logits, real_features, model_state = run(model_state, real, _CRITIC_REAL)
    fake_logits, fake_features, model_state = run(model_state, fake, _CRITIC_FAKE)
    real_loss, fake_loss = self.critic_losses(real_logits, fake_logits, key_of(_TARGETS))
    head_terms, head_metrics = self.head.critic_terms(params, real_features, fake_features, condition)
    terms = {'adversarial': real_loss + fake_loss, **head_terms}
    metrics = {'real_loss': real_loss, 'fake_loss': fake_loss, 'real_logit': real_logits, 'fake_logit': fake_logits,
               **self.loss.monitor(real_logits, fake_logits), **head_metrics}
    if penalty := self.penalty:
      score = lambda x: run(model_state, x, _CRITIC_POINTS)[0]
      drawn = per_image(key, len(fake), lambda k: penalty.draw(k, self.image_shape))
      with products_in('float32'):      # second derivatives need more than 8 bits
        metrics['penalty'], slopes = penalty.function(score, real, fake, drawn)
      metrics.update(slopes)
      terms['weighted_penalty'] = self.penalty_weight * metrics['penalty']
    return terms, metrics, model_state

  def critic_losses(self, real_logits: PerImage, fake_logits: PerImage, key: PRNGKey) -> tuple[PerImage, PerImage]:
    """The adversarial losses on real and on generated images, [B] each, with the targets."""
    if self.targets == Targets():
      return self.loss.critic(real_logits, fake_logits)
    real, generated = per_image(key, len(real_logits), self.targets.draw).T
    return self.loss.critic_towards(real_logits, fake_logits, real, generated)

  def critic_step(self, state: TrainState, batch: dict[str, Array], fake: Images,
                  key: PRNGKey) -> tuple[TrainState, dict[str, Array]]:
    """One update of the critic on a batch of real images and as many generated ones."""
    augment = lambda purpose, images: self.augment_for_critic(jax.random.fold_in(key, purpose), state.step, images)
    batch, fake = {**batch, 'image': augment(_AUGMENT_REAL, batch['image'])}, augment(_AUGMENT_FAKE, fake)
    def loss(params, batch, fake):
      terms, metrics, model_state = self.critic_terms(
          {**state.params, 'critic': params}, state.model_state['critic'], batch, fake, key)
      total = jnp.asarray(sum(terms.values())).mean()
      return total, ({'loss': total, **means({**terms, **metrics})}, model_state)
    of_part = lambda inputs: (jax.grad(loss, has_aux=True)(state.params['critic'], *inputs), ())
    (gradients, (metrics, model_state)), _ = over_microbatches(of_part, (batch, fake))
    state, gradients = train_state.apply_gradients(state, 'critic', gradients, self.critic_optimizer)
    metrics.update(gradient_norms(gradients))
    return state.replace(model_state={**state.model_state, 'critic': model_state}), metrics

  def generator_terms(self, params: Any, model_state: Any, batch: dict[str, Array], fake: Images, key: PRNGKey) -> Any:
    """({term: [B]} that the generator minimises, {name: [B]} that is logged); arguments as in `critic_terms`.

    The critic runs on the real images only where the loss depends on its logits for them.
    """
    run = lambda images, purpose: self.run_critic(
        params['critic'], model_state, images, batch['condition'], jax.random.fold_in(key, purpose))
    real_logits = run(batch['image'], _CRITIC_REAL)[0] if self.loss.relativistic else None
    fake_logits, features, _ = run(fake, _CRITIC_FAKE)
    head_terms, head_metrics = self.head.generator_terms(params, features, batch['condition'])
    return {'adversarial': self.loss.generator(real_logits, fake_logits), **head_terms}, head_metrics

  def generator_step(self, state: TrainState, generated: Generated, batch: dict[str, Array], key: PRNGKey) -> Any:
    """One update of the generator through the critic; gradients for the critic are not computed.

    The critic's running statistics do not change. A network of the second head is updated as well.
    """
    augment = lambda purpose, images: self.augment_for_critic(jax.random.fold_in(key, purpose), state.step, images)
    if self.loss.relativistic:
      batch = {**batch, 'image': augment(_AUGMENT_REAL, batch['image'])}
    partners = self.head.optimizers
    def loss(images, partners, batch):
      terms, metrics = self.generator_terms({**state.params, **partners}, state.model_state['critic'], batch,
                                            augment(_AUGMENT_FAKE, images), key)
      total = sum(terms.values()).mean()
      return total, {'loss': total, **means({**terms, **metrics})}
    def of_part(inputs):
      images, batch = inputs
      (gradient, of_partners), metrics = jax.grad(loss, argnums=(0, 1), has_aux=True)(
          images, {name: state.params[name] for name in partners}, batch)
      return (of_partners, metrics), gradient
    (of_partners, metrics), gradient = over_microbatches(of_part, (generated.images, batch))
    state, gradients = train_state.apply_gradients(
        state, 'generator', generated.pullback(gradient), self.generator_optimizer)
    for name, optimizer in partners.items():
      state, _ = train_state.apply_gradients(state, name, of_partners[name], optimizer)
    metrics.update(gradient_norms(gradients))
    return state.replace(model_state={**state.model_state, 'generator': generated.model_state}), metrics

  def train_step(self, state: TrainState, batches: dict[str, Array],
                 key: PRNGKey) -> tuple[TrainState, dict[str, Array]]:
    """K critic updates, each on fresh real and generated images, then the generator's.

    The generator's first update uses the images of the last critic update: one forward pass serves both, as the
    generator does not change in between. Each further update draws new latents, with the conditions of that batch.
    Metrics are averaged over the updates of a network.
    """
    count = self.critic_steps
    conditions = jax.vmap(self.condition.draw)(jax.random.split(key, count), batches['label'])
    batches = {'image': batches['image'], 'condition': conditions}
    keys = jax.random.split(key, (count, 2))   # [K, 2]: for latents, for everything else
    def earlier_step(state, xs):
      batch, step_keys = xs
      fake = self.generate(state, step_keys[0], batch['condition']).images
      return self.critic_step(state, batch, fake, step_keys[1])
    last = count - 1
    earlier, batch = jax.tree.map(lambda x: x[:last], batches), jax.tree.map(lambda x: x[last], batches)
    generated = self.generate(state, keys[last, 0], batch['condition'])
    if last:
      state, earlier_metrics = lax.scan(earlier_step, state, (earlier, keys[:last]))
    state, critic = self.critic_step(state, batch, generated.images, keys[last, 1])
    if last:
      critic = means_over_updates(earlier_metrics, critic)
    state, generator = self.update_generator(state, generated, batch, jax.random.fold_in(key, _UPDATE))
    return state, {**prefixed('critic', critic), **prefixed('generator', generator)}

  def update_generator(self, state: TrainState, generated: Generated, batch: dict[str, Array],
                       key: PRNGKey) -> tuple[TrainState, Any]:
    """All updates of the generator in a step; the first reuses the generated images."""
    state, metrics = self.generator_step(state, generated, batch, key)
    if self.generator_steps == 1:
      return state, metrics
    def later_step(state, key):
      latents_key, step_key = jax.random.split(key)
      generated = self.generate(state, latents_key, batch['condition'])
      return self.generator_step(state, generated, batch, step_key)
    state, later_metrics = lax.scan(later_step, state, jax.random.split(key, self.generator_steps - 1))
    return state, means_over_updates(later_metrics, metrics)

  def training_pass(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> Any:
    condition = self.condition.draw(key, batch['label'])
    return {**state.model_state, 'generator': self.generate(state, key, condition).model_state}

  def sample(self, state: TrainState, key: PRNGKey, labels: Labels) -> Images:
    return self.draw(state, key, self.latents(key, self.condition.draw(key, labels)))

  def sample_at(self, state: TrainState, key: PRNGKey, latents: Latents, labels: Labels) -> Images:
    """Images [B, H, W, C] of latents [B, Z] from a standard normal distribution, for labels int32 [B]."""
    return self.draw(state, key, self.condition.generator_input(latents, self.condition.draw_shared(key, labels)))

  def draw(self, state: TrainState, key: PRNGKey, inputs: Array) -> Images:
    """Images of the generator's inputs [B, Z + n], in evaluation."""
    images, _ = train_state.apply(
        self.generator, state.params['generator'], state.model_state['generator'], inputs, train=False,
        dropout_key=jax.random.fold_in(key, _DROPOUT))
    return images

  def critic_logits(self, state: TrainState, images: Images, labels: Labels) -> PerImage:
    """The critic's logits [B] in evaluation, on images [B, H, W, C] without augmentation: higher is more real."""
    (logits, _), _ = train_state.apply(self.critic, state.params['critic'], state.model_state['critic'],
                                       self.condition.critic_input(images, labels), train=False)
    return logits


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeGAN(GAN):
  """A GAN conditioned on latent codes, which can be given (Chen et al. 2016)."""

  condition: conditioning.Codes

  @property
  def latent_codes(self) -> LatentCodes:
    """The `jgen.losses.information.LatentCodes`."""
    return self.condition.latent_codes

  def sample_at(self, state: TrainState, key: PRNGKey, latents: Latents, labels: Labels,
                codes: Array | None = None) -> Images:
    """Images of latents [B, Z] with codes [B, M + N]; without codes, all with the same random ones."""
    if codes is None:                   # so that an interpolation changes the latents alone
      return super().sample_at(state, key, latents, labels)
    return self.draw(state, key, self.condition.generator_input(latents, codes))

  def sample_codes(self, state: TrainState, key: PRNGKey, codes: Array) -> Images:
    """Images [B, H, W, C] of codes [B, M + N], with the same noise for the same key and position."""
    return self.draw(state, key, self.latents(key, codes))


@dataclasses.dataclass(frozen=True)
class AdversarialKeys:
  """The keys of every adversarial family."""

  latent_size: int = key(100, 'Z, size of the normal noise vector', at_least=1)
  loss: str = key('non_saturating', 'the losses of critic and generator', names=ADVERSARIAL_LOSSES)
  penalty: str = key('none', "penalty on the critic's gradient", names=PENALTIES)
  penalty_weight: float = key(10., "factor of the penalty in the critic's loss", at_least=0,
                              read_with={'penalty': _PENALISED})
  allow_penalty_with_batch_norm: bool = key(
      False, 'whether a penalty, which is per image, is allowed with BatchNorm in the critic',
      read_with={'penalty': _PENALISED})
  critic_steps: int = key(1, 'critic updates per step, each on a new batch; they come first', at_least=1)
  generator_steps: int = key(1, 'generator updates per step, each on new latents', at_least=1)
  ema_decay: float = key(0., 'decay per step of the averaged generator, for samples; 0 for none', at_least=0, below=1)
  critic_targets: Targets = section(Targets, 'targets of the critic: 1 is real, 0 is generated')
  instance_noise: critic_inputs.InstanceNoise = section(
      critic_inputs.InstanceNoise, "normal noise on the critic's inputs, real and generated")
  diff_augment: tuple[str, ...] = key(
      (), "random augmentations of the critic's inputs, in this order, before the noise", names=POLICIES)
  generator: sections.Generator = section(sections.Generator)
  critic: sections.Critic = section(sections.Critic)
  generator_optimizer: Optimizer = section(Optimizer)
  critic_optimizer: Optimizer = section(Optimizer)


@dataclasses.dataclass(frozen=True)
class Keys(AdversarialKeys):
  """The keys of a GAN."""

  conditional: bool = key(False, 'whether generator and critic receive the label')


def create(model: Any, spec: Spec) -> GAN:
  """The GAN of a section with these Keys for a data set's Spec.

  Raises:
    UserError: what `build` refuses; a conditional model on unlabelled images.
  """
  if model.conditional and not spec.num_classes:
    raise UserError(f'config.model.conditional: the data set {spec.name} has no labels; set it to False '
                    'or choose a labelled data set')
  condition = conditioning.OneHot(spec.num_classes) if model.conditional else conditioning.Unconditional()
  return build(model, spec, condition, heads.NoHead())


def build(model: Any, spec: Spec, condition: conditioning.Condition, head: heads.NoHead, kind: type[GAN] = GAN,
          **parts: Any) -> GAN:
  """The GAN of the section of an adversarial family for a data set's Spec.

  Args:
    model: the section.
    spec: a Spec.
    condition: an object of `jgen.families.conditioning`.
    head: an object of `jgen.families.heads`.
    kind: GAN, or a subclass.
    parts: fields that replace those built from the section, such as `generator`.

  Raises:
    UserError: what `check` refuses; a network that does not fit the image; an unknown name.
  """
  penalty = choose('model.penalty', model.penalty, PENALTIES)
  loss, targets = choose('model.loss', model.loss, ADVERSARIAL_LOSSES), Targets(**model.critic_targets)
  check(model, penalty, loss, targets)
  parts = {'generator': networks.generator(model.generator, spec.image_shape),
           'critic': networks.critic(model.critic, spec.image_shape), **parts}
  return kind(
      condition=condition, head=head, generator_optimizer=optimizers.create(model.generator_optimizer),
      critic_optimizer=optimizers.create(model.critic_optimizer), loss=loss, targets=targets, penalty=penalty,
      augment_for_critic=critic_inputs.create(model.diff_augment, model.instance_noise),
      image_shape=spec.image_shape, **parts, **keys.numbers(GAN, model))


def check(model: Any, penalty: Penalty | None, loss: AdversarialLoss, targets: Targets) -> None:
  """Raises UserError for a penalty with BatchNorm in the critic, and for targets if the loss has none.

  `allow_penalty_with_batch_norm` allows the first.
  """
  if penalty and model.critic.normalization == 'batch' and not model.allow_penalty_with_batch_norm:
    raise UserError(
        f"config.model.penalty '{model.penalty}' is a penalty per image, which BatchNorm in the critic makes "
        "meaningless; set config.model.critic.normalization to 'none', 'layer' or 'instance', or allow the "
        'combination with config.model.allow_penalty_with_batch_norm=True')
  if targets != Targets() and not loss.towards:
    raise UserError(f"config.model.critic_targets: the loss '{model.loss}' compares real with generated images and has "
                    'no targets; leave them at their defaults, or choose another loss')
