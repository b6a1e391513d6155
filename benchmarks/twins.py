"""The same models in plain PyTorch, written from the published layers: what jgen is timed and tested against."""

import torch
from torch import nn
from torch.nn import functional


def generator(inputs, features, channels):
  """ConvTranspose 4x4 without bias: s1 p0 from one pixel, then s2 p1; BatchNorm, ReLU; tanh."""
  layers, last = [], inputs
  for i, width in enumerate(features):
    layers += [nn.ConvTranspose2d(last, width, 4, 2 if i else 1, 1 if i else 0, bias=False)]
    layers += [nn.BatchNorm2d(width), nn.ReLU()]
    last = width
  return nn.Sequential(*layers, nn.ConvTranspose2d(last, channels, 4, 2, 1, bias=False), nn.Tanh())


def critic(channels, features, batch_norm):
  """Conv 4x4 s2 p1 without bias, LeakyReLU(0.2), BatchNorm on all but the first; Conv 4x4 s1 p0 to one logit."""
  layers, last = [], channels
  for i, width in enumerate(features):
    layers += [nn.Conv2d(last, width, 4, 2, 1, bias=False)]
    layers += [nn.BatchNorm2d(width)] if i and batch_norm else []
    layers += [nn.LeakyReLU(0.2)]
    last = width
  return nn.Sequential(*layers, nn.Conv2d(last, 1, 4, 1, 0, bias=False), nn.Flatten(0))


def gradient_penalty(judge, real, fake, mix):
  """Mean (|grad D(x)| - 1)^2 between real and fake [B, C, H, W], mix [B]; Gulrajani et al. 2017, eq. 3."""
  points = (real + mix[:, None, None, None] * (fake - real)).requires_grad_()
  slope, = torch.autograd.grad(judge(points).sum(), points, create_graph=True)
  return ((slope.flatten(1).norm(dim=1) - 1)**2).mean()


def wasserstein_critic_loss(judge, real, fake, mix):
  return (judge(fake) - judge(real)).mean() + 10 * gradient_penalty(judge, real, fake, mix)


def non_saturating_critic_loss(judge, real, fake, mix):
  del mix
  return (functional.softplus(-judge(real)) + functional.softplus(judge(fake))).mean()


LOSSES = {
    'wasserstein': (wasserstein_critic_loss, lambda logits: -logits.mean()),
    'non_saturating': (non_saturating_critic_loss, lambda logits: functional.softplus(-logits).mean()),
}


class Trainer:
  """Trains a conditional GAN as PyTorch users do, at PyTorch's best: channels last, the critic frozen in G's update."""

  def __init__(self, model, num_classes, image_size=64, channels=3):
    """`model` is a `common.gan()` section."""
    self.generator = generator(model.latent_size + num_classes, model.generator.features, channels)
    self.critic = critic(channels + num_classes, model.critic.features, model.critic.normalization == 'batch')
    for network in (self.generator, self.critic):
      network.to(memory_format=torch.channels_last)
    self._optimizers = [
        torch.optim.Adam(network.parameters(), section.learning_rate, (section.b1, section.b2))
        for network, section in ((self.critic, model.critic_optimizer), (self.generator, model.generator_optimizer))]
    self._critic_loss, self._generator_loss = LOSSES[model.loss]
    self._latent_size, self._num_classes, self._image_size = model.latent_size, num_classes, image_size

  def step(self, images, labels):
    """One critic update for each of the batches images [K, B, C, H, W] in [-1, 1], labels [K, B], then one of G.

    Returns:
      (critic loss, generator loss), as tensors.
    """
    critic_optimizer, generator_optimizer = self._optimizers
    for k, (real, label) in enumerate(zip(images, labels, strict=True)):
      one_hot = functional.one_hot(label, self._num_classes).float()
      planes = one_hot[:, :, None, None].expand(-1, -1, self._image_size, self._image_size)
      judge = lambda x, planes=planes: self.critic(
          torch.cat([x, planes], 1).contiguous(memory_format=torch.channels_last))
      with torch.set_grad_enabled(k == len(images) - 1):   # the last images serve the generator's update too
        latents = torch.cat([torch.randn(len(label), self._latent_size), one_hot], 1)
        fake = self.generator(latents[:, :, None, None])
      critic_loss = self._critic_loss(judge, real, fake.detach(), torch.rand(len(label)))
      critic_optimizer.zero_grad()
      critic_loss.backward()
      critic_optimizer.step()
    self.critic.requires_grad_(False)
    generator_loss = self._generator_loss(judge(fake))
    generator_optimizer.zero_grad()
    generator_loss.backward()
    generator_optimizer.step()
    self.critic.requires_grad_(True)
    return critic_loss.detach(), generator_loss.detach()
