"""The same models in plain PyTorch, written from the published layers: what jgen is timed and tested against."""

import torch
from torch import nn
from torch.nn import functional


def generator(inputs, features, channels, slope=0., side=4):
  """ConvTranspose 4x4 without bias: s1 p0 from one pixel to `side`, then s2 p1; BatchNorm, (leaky) ReLU; tanh."""
  layers, last = [], inputs
  for i, width in enumerate(features):
    layers += [nn.ConvTranspose2d(last, width, *((4, 2, 1) if i else (side, 1, 0)), bias=False)]
    layers += _activation(width, True, slope)
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


def vae_encoder(channels, features, latent_size, side, *, kernel=4, bias=False, batch_norm=True, slope=0., valid=False):
  """Images [B, C, H, W] -> [B, 2 Z], the mean beside the log variance.

  Conv s2 p1 to each of `features`, BatchNorm if asked, (leaky) ReLU; two linear heads of the last map, of `side` pixels
  a side, or two `valid` convolutions of it to one pixel.
  """
  layers, last = [], channels
  for width in features:
    layers += [nn.Conv2d(last, width, kernel, 2, 1, bias=bias), *_activation(width, batch_norm, slope)]
    last = width
  if valid:
    heads = [nn.Sequential(nn.Conv2d(last, latent_size, side), nn.Flatten()) for _ in range(2)]
  else:
    heads = [nn.Sequential(nn.Flatten(), nn.Linear(last * side**2, latent_size)) for _ in range(2)]
  return nn.Sequential(*layers, Heads(*heads))


class Heads(nn.Module):
  """What several layers make of the same input, side by side."""

  def __init__(self, *heads):
    super().__init__()
    self.heads = nn.ModuleList(heads)

  def forward(self, x):
    return torch.cat([head(x) for head in self.heads], 1)


def vae_decoder(latent_size, side, features, channels, *, up=(4, 2, 1), last=(4, 2, 1), bias=False, batch_norm=True,
                slope=0., valid=False, activate_first=False):
  """Latents [B, Z] -> images [B, C, H, W] in [-1, 1].

  A linear layer, or a `valid` transposed convolution of one pixel, to features[0] maps of `side` pixels a side; the
  transposed convolutions `up` = (kernel, stride, padding) to each further width, BatchNorm if asked, (leaky) ReLU;
  the one of `last` to the channels, with bias; tanh. An odd kernel of stride 2 has an output padding of 1.
  """
  first, *widths = features
  if valid:
    layers = [nn.Unflatten(1, (latent_size, 1, 1)), nn.ConvTranspose2d(latent_size, first, side)]
  else:
    layers = [nn.Linear(latent_size, first * side**2), nn.Unflatten(1, (first, side, side))]
  layers += _activation(first, False, slope) if activate_first else []
  for width in widths:
    layers += [nn.ConvTranspose2d(first, width, *up, up[0] % 2, bias=bias), *_activation(width, batch_norm, slope)]
    first = width
  return nn.Sequential(*layers, nn.ConvTranspose2d(first, channels, *last, last[0] % 2 * (last[1] - 1)), nn.Tanh())


def _activation(width, batch_norm, slope):
  return [*([nn.BatchNorm2d(width)] if batch_norm else []), nn.LeakyReLU(slope) if slope else nn.ReLU()]


def kl_divergence(mean, log_variance):
  """Of N(mean, exp(log_variance)) [B, Z] from N(0, 1), summed over the latents, [B]; Kingma & Welling 2014, app. B."""
  return -(1 + log_variance - mean**2 - log_variance.exp()).sum(1) / 2


def squared_error_loss(output, images, kl, weight, variance):
  del variance
  return functional.mse_loss(output, images) + weight * kl.mean()


def gaussian_loss(output, images, kl, weight, variance):
  return (((output - images)**2).flatten(1).sum(1) / (2 * variance) + weight * kl).mean()


VAE_LOSSES = {'squared_error': squared_error_loss, 'gaussian': gaussian_loss}


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


class VAETrainer:
  """Trains a VAE as PyTorch users do, channels last."""

  batches_per_step = 1

  def __init__(self, model, num_classes, image_size=64, channels=3, variance=1 / 3):
    """`model` is a `recipes.model('vae')` section; `variance` is that of the training pixels, here of uniform noise."""
    del num_classes
    encoder, decoder = model.encoder, model.decoder
    up = (decoder.kernel_size, 2, decoder.padding)
    last = (decoder.last_kernel_size, decoder.last_stride, decoder.last_padding)
    side = image_size >> len(encoder.features)
    self.encoder = vae_encoder(channels, encoder.features, model.latent_size, side, kernel=encoder.kernel_size,
                               bias=encoder.use_bias, batch_norm=encoder.normalization == 'batch',
                               slope=encoder.negative_slope, valid=decoder.fully_convolutional)
    self.decoder = vae_decoder(model.latent_size, side, decoder.features, channels, up=up, last=last,
                               bias=decoder.use_bias, batch_norm=decoder.normalization == 'batch',
                               slope=decoder.negative_slope, valid=decoder.fully_convolutional,
                               activate_first=decoder.activate_first)
    self.network = nn.ModuleList([self.encoder, self.decoder]).to(memory_format=torch.channels_last)
    section = model.optimizer
    self._optimizer = torch.optim.Adam(self.network.parameters(), section.learning_rate, (section.b1, section.b2))
    self._loss, self._weight, self._variance = VAE_LOSSES[model.likelihood], model.regularizer.weight, variance

  def step(self, images, labels):
    """One update on images [1, B, C, H, W] in [-1, 1]; returns the loss as a tensor."""
    del labels
    images = images[0].contiguous(memory_format=torch.channels_last)
    mean, log_variance = self.encoder(images).chunk(2, 1)
    output = self.decoder(mean + (log_variance / 2).exp() * torch.randn_like(mean))
    loss = self._loss(output, images, kl_divergence(mean, log_variance), self._weight, self._variance)
    self._optimizer.zero_grad()
    loss.backward()
    self._optimizer.step()
    return loss.detach()


def vqvae_encoder(channels, features, slope=0.01):
  """Images [B, C, H, W] -> [B, features[-1], h, w]: Conv 3x3 s2 p1 with bias, BatchNorm, LeakyReLU each."""
  layers, last = [], channels
  for width in features:
    layers += [nn.Conv2d(last, width, 3, 2, 1), *_activation(width, True, slope)]
    last = width
  return nn.Sequential(*layers)


def vqvae_decoder(inputs, features, channels, slope=0.01):
  """Maps [B, inputs, h, w] -> [B, C, H, W] in [0, 1].

  ConvTranspose 3x3 s2 p1 with bias and an output padding of 1 to each of `features`, BatchNorm, LeakyReLU;
  ConvTranspose 3x3 s1 p1 to the channels; sigmoid.
  """
  layers, last = [], inputs
  for width in features:
    layers += [nn.ConvTranspose2d(last, width, 3, 2, 1, 1), *_activation(width, True, slope)]
    last = width
  return nn.Sequential(*layers, nn.ConvTranspose2d(last, channels, 3, 1, 1), nn.Sigmoid())


class Quantizer(nn.Module):
  """Maps [B, c, h, w] to the nearest codes' maps, `code_size` values a vector: as they lie in memory ('maps') or of
  one position."""

  def __init__(self, codebook_size, code_size, grouping):
    super().__init__()
    self.codebook = nn.Embedding(codebook_size, code_size)
    self._by_position = grouping == 'positions'

  def forward(self, latents):
    x = latents.permute(0, 2, 3, 1) if self._by_position else latents
    vectors = x.reshape(-1, self.codebook.embedding_dim)
    codebook = self.codebook.weight
    distances = (vectors**2).sum(1, keepdim=True) - 2 * vectors @ codebook.T + (codebook**2).sum(1)
    quantized = self.codebook(distances.argmin(1)).reshape(x.shape)
    return quantized.permute(0, 3, 1, 2) if self._by_position else quantized


class VQVAETrainer:
  """Trains a VQ-VAE as PyTorch users do, channels last where the quantiser allows it, the codebook by gradient."""

  batches_per_step = 1

  def __init__(self, model, num_classes, channels=3):
    """`model` is a `recipes.model('vqvae')` section."""
    del num_classes
    section = model.quantizer
    self.encoder = vqvae_encoder(channels, model.encoder.features)
    self.decoder = vqvae_decoder(model.encoder.features[-1], model.decoder.features, channels)
    self.quantizer = Quantizer(section.codebook_size, section.code_size, section.grouping)
    self.network = nn.ModuleList([self.encoder, self.decoder, self.quantizer]).to(memory_format=torch.channels_last)
    self._optimizer = torch.optim.Adam(
        self.network.parameters(), model.optimizer.learning_rate, (model.optimizer.b1, model.optimizer.b2))
    self._commitment_weight = model.commitment_weight

  def loss(self, images):
    """The objective's mean over images [B, C, H, W] in [-1, 1]; van den Oord et al. 2017, eq. 3, as sums."""
    latents = self.encoder(images)
    quantized = self.quantizer(latents)
    output = self.decoder(latents + (quantized - latents).detach())
    reconstruction = functional.binary_cross_entropy(output, (images + 1) / 2, reduction='sum')
    codebook = ((quantized - latents.detach())**2).sum()
    commitment = ((latents - quantized.detach())**2).sum()
    return (reconstruction + codebook + self._commitment_weight * commitment) / len(images)

  def step(self, images, labels):
    """One update on images [1, B, C, H, W] in [-1, 1]; returns the loss as a tensor."""
    del labels
    loss = self.loss(images[0].contiguous(memory_format=torch.channels_last))
    self._optimizer.zero_grad()
    loss.backward()
    self._optimizer.step()
    return loss.detach()


class GANTrainer:
  """Trains a conditional GAN as PyTorch users do, at PyTorch's best: channels last, the critic frozen in G's update."""

  def __init__(self, model, num_classes, image_size=64, channels=3):
    """`model` is a `recipes.model('gan')` section."""
    self.generator = generator(model.latent_size + num_classes, model.generator.features, channels,
                               model.generator.negative_slope)
    self.critic = critic(channels + num_classes, model.critic.features, model.critic.normalization == 'batch')
    for network in (self.generator, self.critic):
      network.to(memory_format=torch.channels_last)
    self._optimizers = [
        torch.optim.Adam(network.parameters(), section.learning_rate, (section.b1, section.b2))
        for network, section in ((self.critic, model.critic_optimizer), (self.generator, model.generator_optimizer))]
    self._critic_loss, self._generator_loss = LOSSES[model.loss]
    self._latent_size, self._num_classes, self._image_size = model.latent_size, num_classes, image_size
    self.batches_per_step = model.critic_steps

  def step(self, images, labels):
    """One critic update for each of the batches images [K, B, C, H, W] in [-1, 1], labels [K, B], then one of G.

    Returns:
      (critic loss, generator loss), as tensors.
    """
    critic_optimizer, generator_optimizer = self._optimizers
    for k, (real, label) in enumerate(zip(images, labels, strict=True)):
      one_hot = functional.one_hot(label, max(1, self._num_classes))[:, :self._num_classes].float()
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
