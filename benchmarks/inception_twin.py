"""The 2015-12-05 Inception-v3 in plain PyTorch, batch normalisation unfolded: what jgen's is tested and timed against.

Written from the network's description, with the keys of the published port. `mutation` makes one of the
classic mistakes on purpose.
"""

import torch
from torch import nn
from torch.nn import functional


class Unit(nn.Module):
  """Convolution without bias, batch normalisation, ReLU."""

  def __init__(self, inputs, outputs, kernel, stride=1, padding=0, eps=1e-3):
    super().__init__()
    self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    self.bn = nn.BatchNorm2d(outputs, eps=eps)

  def forward(self, x):
    return functional.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
  """Images [B, 3, S, S] to {'64', '192', '768', '2048', 'logits', 'unbiased_logits': [B, ...]}."""

  def __init__(self, mutation=''):
    super().__init__()
    self.mutation = mutation
    self.fc = nn.Linear(2048, 1008)
    self.add('Conv2d_1a_3x3', 3, 32, 3, 2)
    self.add('Conv2d_2a_3x3', 32, 32, 3)
    self.add('Conv2d_2b_3x3', 32, 64, 3, 1, 1)
    self.add('Conv2d_3b_1x1', 64, 80, 1)
    self.add('Conv2d_4a_3x3', 80, 192, 3)
    for name, inputs, pooled in (('Mixed_5b', 192, 32), ('Mixed_5c', 256, 64), ('Mixed_5d', 288, 64)):
      self.add(f'{name}.branch1x1', inputs, 64, 1)
      self.add(f'{name}.branch5x5_1', inputs, 48, 1)
      self.add(f'{name}.branch5x5_2', 48, 64, 5, 1, 2)
      self.add(f'{name}.branch3x3dbl_1', inputs, 64, 1)
      self.add(f'{name}.branch3x3dbl_2', 64, 96, 3, 1, 1)
      self.add(f'{name}.branch3x3dbl_3', 96, 96, 3, 1, 1)
      self.add(f'{name}.branch_pool', inputs, pooled, 1)
    self.add('Mixed_6a.branch3x3', 288, 384, 3, 2)
    self.add('Mixed_6a.branch3x3dbl_1', 288, 64, 1)
    self.add('Mixed_6a.branch3x3dbl_2', 64, 96, 3, 1, 1)
    self.add('Mixed_6a.branch3x3dbl_3', 96, 96, 3, 2)
    for name, width in (('Mixed_6b', 128), ('Mixed_6c', 160), ('Mixed_6d', 160), ('Mixed_6e', 192)):
      self.add(f'{name}.branch1x1', 768, 192, 1)
      self.add(f'{name}.branch7x7_1', 768, width, 1)
      self.add(f'{name}.branch7x7_2', width, width, (1, 7), 1, (0, 3))
      self.add(f'{name}.branch7x7_3', width, 192, (7, 1), 1, (3, 0))
      self.add(f'{name}.branch7x7dbl_1', 768, width, 1)
      self.add(f'{name}.branch7x7dbl_2', width, width, (7, 1), 1, (3, 0))
      self.add(f'{name}.branch7x7dbl_3', width, width, (1, 7), 1, (0, 3))
      self.add(f'{name}.branch7x7dbl_4', width, width, (7, 1), 1, (3, 0))
      self.add(f'{name}.branch7x7dbl_5', width, 192, (1, 7), 1, (0, 3))
      self.add(f'{name}.branch_pool', 768, 192, 1)
    self.add('Mixed_7a.branch3x3_1', 768, 192, 1)
    self.add('Mixed_7a.branch3x3_2', 192, 320, 3, 2)
    self.add('Mixed_7a.branch7x7x3_1', 768, 192, 1)
    self.add('Mixed_7a.branch7x7x3_2', 192, 192, (1, 7), 1, (0, 3))
    self.add('Mixed_7a.branch7x7x3_3', 192, 192, (7, 1), 1, (3, 0))
    self.add('Mixed_7a.branch7x7x3_4', 192, 192, 3, 2)
    for name, inputs in (('Mixed_7b', 1280), ('Mixed_7c', 2048)):
      self.add(f'{name}.branch1x1', inputs, 320, 1)
      self.add(f'{name}.branch3x3_1', inputs, 384, 1)
      self.add(f'{name}.branch3x3_2a', 384, 384, (1, 3), 1, (0, 1))
      self.add(f'{name}.branch3x3_2b', 384, 384, (3, 1), 1, (1, 0))
      self.add(f'{name}.branch3x3dbl_1', inputs, 448, 1)
      self.add(f'{name}.branch3x3dbl_2', 448, 384, 3, 1, 1)
      self.add(f'{name}.branch3x3dbl_3a', 384, 384, (1, 3), 1, (0, 1))
      self.add(f'{name}.branch3x3dbl_3b', 384, 384, (3, 1), 1, (1, 0))
      self.add(f'{name}.branch_pool', inputs, 192, 1)
    self.eval()

  def add(self, name, *geometry):
    """A Unit under its published key, which may have a dot: the block's own module is made where there is none."""
    parent, _, child = name.rpartition('.')
    if parent and parent not in self._modules:
      self.add_module(parent, nn.Module())
    unit = Unit(*geometry, **({'eps': 1e-5} if self.mutation == 'eps 1e-5' else {}))
    (self._modules[parent] if parent else self).add_module(child, unit)

  def chain(self, block, x, *names):
    for name in names:
      x = self.get_submodule(f'{block}.{name}')(x)
    return x

  def average(self, x):
    return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=self.mutation == 'padding counted')

  def block_a(self, block, x):
    return torch.cat([
        self.chain(block, x, 'branch1x1'),
        self.chain(block, x, 'branch5x5_1', 'branch5x5_2'),
        self.chain(block, x, 'branch3x3dbl_1', 'branch3x3dbl_2', 'branch3x3dbl_3'),
        self.chain(block, self.average(x), 'branch_pool')], 1)

  def block_b(self, block, x):
    return torch.cat([
        self.chain(block, x, 'branch3x3'),
        self.chain(block, x, 'branch3x3dbl_1', 'branch3x3dbl_2', 'branch3x3dbl_3'),
        functional.max_pool2d(x, 3, 2)], 1)

  def block_c(self, block, x):
    return torch.cat([
        self.chain(block, x, 'branch1x1'),
        self.chain(block, x, *(f'branch7x7_{i}' for i in range(1, 4))),
        self.chain(block, x, *(f'branch7x7dbl_{i}' for i in range(1, 6))),
        self.chain(block, self.average(x), 'branch_pool')], 1)

  def block_d(self, block, x):
    return torch.cat([
        self.chain(block, x, 'branch3x3_1', 'branch3x3_2'),
        self.chain(block, x, *(f'branch7x7x3_{i}' for i in range(1, 5))),
        functional.max_pool2d(x, 3, 2)], 1)

  def block_e(self, block, x, pooled):
    once = self.chain(block, x, 'branch3x3_1')
    twice = self.chain(block, x, 'branch3x3dbl_1', 'branch3x3dbl_2')
    return torch.cat([
        self.chain(block, x, 'branch1x1'),
        self.chain(block, once, 'branch3x3_2a'), self.chain(block, once, 'branch3x3_2b'),
        self.chain(block, twice, 'branch3x3dbl_3a'), self.chain(block, twice, 'branch3x3dbl_3b'),
        self.chain(block, pooled, 'branch_pool')], 1)

  @torch.no_grad()
  def forward(self, x):
    outputs = {}
    for name in ('Conv2d_1a_3x3', 'Conv2d_2a_3x3', 'Conv2d_2b_3x3'):
      x = self.get_submodule(name)(x)
    x = functional.max_pool2d(x, 3, 2)
    outputs['64'] = x.mean((2, 3))
    for name in ('Conv2d_3b_1x1', 'Conv2d_4a_3x3'):
      x = self.get_submodule(name)(x)
    x = functional.max_pool2d(x, 3, 2)
    outputs['192'] = x.mean((2, 3))
    for block in ('Mixed_5b', 'Mixed_5c', 'Mixed_5d'):
      x = self.block_a(block, x)
    x = self.block_b('Mixed_6a', x)
    for block in ('Mixed_6b', 'Mixed_6c', 'Mixed_6d', 'Mixed_6e'):
      x = self.block_c(block, x)
    outputs['768'] = x.mean((2, 3))
    x = self.block_d('Mixed_7a', x)
    x = self.block_e('Mixed_7b', x, self.average(x))
    average = self.mutation == 'average pool in 7c'
    x = self.block_e('Mixed_7c', x, self.average(x) if average else functional.max_pool2d(x, 3, 1, 1))
    outputs['2048'] = x.mean((2, 3))
    outputs['unbiased_logits'] = outputs['2048'] @ self.fc.weight.T
    outputs['logits'] = self.fc(outputs['2048'])
    return outputs


def randomized(seed):
  """The state of an Inception with random weights and statistics that keep the signal's scale."""
  twin, generator = Inception(), torch.Generator().manual_seed(seed)
  for name, tensor in twin.state_dict().items():
    if name.endswith('num_batches_tracked'):
      continue
    normal = torch.randn(tensor.shape, generator=generator)
    if tensor.ndim > 1:                 # kernels
      tensor.copy_(normal * (2 / tensor[0].numel())**0.5)
    elif name.endswith('running_var'):
      tensor.copy_(0.3 + 0.2 * normal.abs())
    elif name.endswith('bn.weight'):
      tensor.copy_(0.8 + 0.1 * normal)
    else:
      tensor.copy_(0.05 * normal)
  return twin.state_dict()
