"""Parameters of the PyTorch twins in jgen's names and order of axes; `get` reads what is wanted of a tensor."""

from torch import nn


def values(tensor):
  """The tensor as a numpy array of its own."""
  return tensor.detach().numpy().copy()


def convolution(layer, get=values):
  bias = {} if layer.bias is None else {'bias': get(layer.bias)}
  return {'kernel': get(layer.weight).transpose(2, 3, 1, 0), **bias}   # [in, out] of a transposed one, else [out, in]


def norms(layers, get=values):
  found = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
  return {f'BatchNorm_{i}': {'scale': get(norm.weight), 'bias': get(norm.bias)} for i, norm in enumerate(found)}


def statistics(layers):
  """The running statistics of all BatchNorms."""
  found = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
  return {f'BatchNorm_{i}': {'mean': values(norm.running_mean), 'var': values(norm.running_var)}
          for i, norm in enumerate(found)}


def flat(weight, channels):
  """The kernel [pixels channels, outputs] of a layer that sees a map of so many channels whole."""
  return weight.reshape(len(weight), channels, -1).transpose(2, 1, 0).reshape(-1, len(weight))


def generator(twin, get=values):
  """Of `twins.generator`."""
  first, *rest = [layer for layer in twin if isinstance(layer, nn.ConvTranspose2d)]
  weight = get(first.weight)
  return {'layer_0': {'kernel': weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)}, **norms(twin, get),
          **{f'layer_{i}': convolution(layer, get) for i, layer in enumerate(rest, start=1)}}


def critic(twin, get=values):
  """Of `twins.critic`."""
  *layers, head = [layer for layer in twin if isinstance(layer, nn.Conv2d)]
  return {**{f'layer_{i}': convolution(layer, get) for i, layer in enumerate(layers)}, **norms(twin, get),
          f'layer_{len(layers)}': {'kernel': flat(get(head.weight), head.in_channels)}}


def two_headed_critic(twin, further='class_head', get=values):
  """Of a `two_headed_twins.TwoHeadedCritic`; its second head by the name `further`."""
  layers = [layer for layer in twin.body if isinstance(layer, nn.Conv2d)]
  params = {**{f'layer_{i}': convolution(layer, get) for i, layer in enumerate(layers)}, **norms(twin.body, get)}
  for name, head in ((f'layer_{len(layers)}', twin.head), (further, twin.further)):
    params[name] = {'kernel': flat(get(head.weight), layers[-1].out_channels), 'bias': get(head.bias)}
  return params


def vae(trainer, get=values):
  """Of a `twins.VAETrainer`."""
  layers = [layer for layer in trainer.encoder if isinstance(layer, nn.Conv2d)]
  encoder = {f'layer_{i}': convolution(layer, get) for i, layer in enumerate(layers)}
  for name, head in zip(('mean', 'log_variance'), trainer.encoder[-1].heads, strict=True):
    layer = next(child for child in head if isinstance(child, nn.Linear | nn.Conv2d))
    encoder[name] = {'kernel': flat(get(layer.weight), layers[-1].out_channels), 'bias': get(layer.bias)}
  first, *rest = [layer for layer in trainer.decoder if isinstance(layer, nn.Linear | nn.ConvTranspose2d)]
  decoder = _first_of_decoder(first, rest[0].in_channels, get)
  decoder |= {f'layer_{i}': convolution(layer, get) for i, layer in enumerate(rest, start=1)}
  return {'encoder': encoder | norms(trainer.encoder, get), 'decoder': decoder | norms(trainer.decoder, get)}


def _first_of_decoder(layer, channels, get):
  weight, bias = get(layer.weight), get(layer.bias)
  if isinstance(layer, nn.ConvTranspose2d):
    return {'layer_0': {'kernel': weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)}, 'layer_0_bias': bias}
  side = int((len(weight) / channels)**0.5)
  return {'layer_0': {
      'kernel': weight.reshape(channels, side, side, -1).transpose(3, 1, 2, 0).reshape(weight.shape[1], -1),
      'bias': bias.reshape(channels, side, side).transpose(1, 2, 0).ravel()}}


def vqvae(trainer, get=values):
  """Of a `twins.VQVAETrainer`."""
  def network(twin, first):
    layers = [layer for layer in twin if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    return {f'layer_{i}': convolution(layer, get) for i, layer in enumerate(layers, start=first)} | norms(twin, get)
  return {'encoder': network(trainer.encoder, 0), 'decoder': network(trainer.decoder, 1),
          'quantizer': {'codebook': get(trainer.quantizer.codebook.weight)}}
