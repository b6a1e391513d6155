"""A network's optimizer from its section of the config."""

import optax

from jgen.errors import choose


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


def create(section):
  """The optax transformation of a `models.optimizer()` section."""
  return choose('optimizer.name', section.name, OPTIMIZERS)(section)
