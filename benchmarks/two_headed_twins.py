"""ACGAN and InfoGAN in plain PyTorch, written from the published layers, as in `twins.py`."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.twins import generator


class TwoHeadedCritic(nn.Module):
  """Images [B, C, H, W] -> (logits [B], [B, outputs]): two linear heads on one body.

  Convolutions without bias of `layers` (features, kernel, stride, padding), BatchNorm on all but the first, LeakyReLU,
  dropout.
  """

  def __init__(self, channels, layers, map_size, outputs, *, batch_norm=True, bias=False, slope=0.2, dropout=0.):
    super().__init__()
    body, last = [], channels
    for i, (width, *geometry) in enumerate(layers):
      body += [nn.Conv2d(last, width, *geometry, bias=bias)]
      body += [nn.BatchNorm2d(width)] if i and batch_norm else []
      body += [nn.LeakyReLU(slope), nn.Dropout(dropout)]
      last = width
    self.body = nn.Sequential(*body, nn.Flatten())
    self.head, self.further = nn.Linear(last * map_size, 1), nn.Linear(last * map_size, outputs)

  def forward(self, x):
    x = self.body(x)
    return self.head(x)[:, 0], self.further(x)


def two_headed_critic(section, channels, image_size, outputs):
  """The TwoHeadedCritic of a `recipes.model('gan').critic` section whose layers are convolutions."""
  strides = section.strides or (2,) * len(section.features)
  paddings = section.paddings or (1,) * len(section.features)
  side = image_size
  for stride, padding in zip(strides, paddings, strict=True):
    side = (side + 2 * padding - section.kernel_size) // stride + 1
  sizes = (section.kernel_size,) * len(section.features)
  return TwoHeadedCritic(
      channels, list(zip(section.features, sizes, strides, paddings, strict=True)), side**2, outputs,
      batch_norm=section.normalization == 'batch', bias=section.use_bias, slope=section.negative_slope,
      dropout=section.dropout)


class ACGANTrainer:
  """Trains an ACGAN whose G is told the label as one number: channels last, the critic frozen in G's update."""

  def __init__(self, model, num_classes, image_size=64, channels=3):
    """`model` is a `recipes.model('acgan')` section."""
    side = image_size >> len(model.generator.features)
    self.generator = generator(model.latent_size + 1, model.generator.features, channels, side=side)
    self.critic = two_headed_critic(model.critic, channels, image_size, num_classes)
    self._optimizers = (adam([self.critic], model.critic_optimizer),
                        adam([self.generator], model.generator_optimizer))
    self._latent_size, self._num_classes = model.latent_size, num_classes
    self._class_weight, self.batches_per_step = model.class_weight, model.critic_steps

  def step(self, images, labels):
    """As `GANTrainer.step`."""
    critic_optimizer, generator_optimizer = self._optimizers
    for real, label in zip(images, labels, strict=True):
      real = real.contiguous(memory_format=torch.channels_last)
      numbers = label[:, None] / (self._num_classes - 1)
      fake = self.generator(torch.cat([torch.randn(len(label), self._latent_size), numbers], 1)[:, :, None, None])
      (real_logits, of_real), (fake_logits, of_fake) = self.critic(real), self.critic(fake.detach())
      class_loss = functional.cross_entropy(of_real, label) + functional.cross_entropy(of_fake, label)
      critic_loss = (functional.softplus(-real_logits) + functional.softplus(fake_logits)).mean()
      descend(critic_optimizer, critic_loss + self._class_weight * class_loss)
    self.critic.requires_grad_(False)
    logits, of_fake = self.critic(fake)
    generator_loss = functional.softplus(-logits).mean() + self._class_weight * functional.cross_entropy(of_fake, label)
    descend(generator_optimizer, generator_loss)
    self.critic.requires_grad_(True)
    return critic_loss.detach(), generator_loss.detach()


class InfoGANTrainer:
  """Trains an InfoGAN of categorical codes likewise; the critic's update moves all but Q's head, G's update that."""

  batches_per_step = 1

  def __init__(self, model, num_classes, image_size=64, channels=3):
    """`model` is a `recipes.model('infogan')` section."""
    del num_classes
    self._codes, self._values = model.codes.categorical, model.codes.num_values
    self._weight, self._latent_size = model.codes.categorical_weight, model.latent_size
    side = image_size >> len(model.generator.features)
    inputs = model.latent_size + self._codes * self._values
    self.generator = generator(inputs, model.generator.features, channels, side=side)
    self.critic = two_headed_critic(model.critic, channels, image_size, self._codes * self._values)
    self._optimizers = (adam([self.critic.body, self.critic.head], model.critic_optimizer),
                        adam([self.generator, self.critic.further], model.generator_optimizer))

  def step(self, images, labels):
    """As `GANTrainer.step`, on one batch, whose labels are ignored."""
    del labels
    real = images[0].contiguous(memory_format=torch.channels_last)
    codes = torch.randint(0, self._values, (len(real), self._codes))
    one_hot = functional.one_hot(codes, self._values).flatten(1).float()
    fake = self.generator(torch.cat([torch.randn(len(real), self._latent_size), one_hot], 1)[:, :, None, None])
    critic_optimizer, generator_optimizer = self._optimizers
    fake_logits, told = self.critic(fake.detach())
    critic_loss = (functional.softplus(-self.critic(real)[0]) + functional.softplus(fake_logits)).mean()
    self.critic.further.requires_grad_(False)
    descend(critic_optimizer, critic_loss + self._weight * self.code_loss(told, codes))
    self.critic.requires_grad_(False)
    self.critic.further.requires_grad_(True)
    logits, told = self.critic(fake)
    generator_loss = functional.softplus(-logits).mean() + self._weight * self.code_loss(told, codes)
    descend(generator_optimizer, generator_loss)
    self.critic.requires_grad_(True)
    return critic_loss.detach(), generator_loss.detach()

  def code_loss(self, told, codes):
    """Cross-entropy of all codes together: what the bound lacks to its maximum."""
    return self._codes * functional.cross_entropy(told.reshape(-1, self._values), codes.flatten())


def adam(networks, section):
  """Adam of these networks, which are made channels last."""
  modules = nn.ModuleList(networks).to(memory_format=torch.channels_last)
  return torch.optim.Adam(modules.parameters(), section.learning_rate, (section.b1, section.b2))


def descend(optimizer, loss):
  optimizer.zero_grad()
  loss.backward()
  optimizer.step()
