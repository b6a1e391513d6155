"""A network's optimizer from its section of the config."""

import optax

from jgen.errors import choose


def adam(section):
  """Kingma & Ba 2015; eps 1e-8 as in PyTorch."""
  return optax.adam(section.learning_rate, b1=section.b1, b2=section.b2, eps=1e-8)


OPTIMIZERS = {'adam': adam}


def create(section):
  """The optax transformation of a `common.optimizer()` section."""
  return choose('optimizer.name', section.name, OPTIMIZERS)(section)
