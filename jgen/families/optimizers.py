"""A network's optimizer from its section of the config."""

import dataclasses

import optax

from jgen.errors import choose
from jgen.keys import key


def adam(section):
  """Kingma & Ba 2015; eps 1e-8 as in PyTorch."""
  return optax.adam(section.learning_rate, b1=section.b1, b2=section.b2, eps=1e-8)


def rmsprop(section):
  """Hinton 2012, lecture 6e; eps 1e-8 beside the root, as in PyTorch."""
  return optax.rmsprop(section.learning_rate, decay=section.decay, eps=1e-8, eps_in_sqrt=False,
                       momentum=section.momentum or None)


def sgd(section):
  return optax.sgd(section.learning_rate, momentum=section.momentum or None)


OPTIMIZERS = {'adam': adam, 'rmsprop': rmsprop, 'sgd': sgd}


@dataclasses.dataclass(frozen=True)
class Optimizer:
  """The keys of one network's optimizer."""

  name: str = key('adam', 'the update rule', names=OPTIMIZERS)
  learning_rate: float = key(2e-4, 'step size', at_least=0)
  b1: float = key(0.5, 'decay of the first moment', at_least=0, below=1, read_with={'name': ('adam',)})
  b2: float = key(0.999, 'decay of the second moment', at_least=0, below=1, read_with={'name': ('adam',)})
  decay: float = key(0.99, 'decay of the mean square', at_least=0, below=1, read_with={'name': ('rmsprop',)})
  momentum: float = key(0., 'share of the last update that is added; 0 for none', at_least=0, below=1,
                        read_with={'name': ('rmsprop', 'sgd')})


def create(section):
  """The optax transformation of a section with the keys of an Optimizer."""
  return choose('optimizer.name', section.name, OPTIMIZERS)(section)
