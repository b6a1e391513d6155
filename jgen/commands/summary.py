"""A table of every network's parameters."""

import math

import jax

from jgen import data, families
from jgen.errors import UserError
from jgen.host import terminal


def run(config, workdir, command):
  """Prints each parameter's shape and size and, last, their total. Needs no run folder.

  Nor does it need the data, unless the networks depend on the classes and the files alone say which these are.

  Raises:
    UserError: the networks cannot be built; missing data on which they depend.
  """
  del workdir, command
  spec, missing = data.outline(config.data)
  try:
    networks = families.create(config, spec).networks()
  except UserError as error:
    raise (missing or error) from error
  terminal.say(table(networks))


def table(params):
  """The table of {network: parameters}, one line a parameter; the last line is their total."""
  rows = [(jax.tree_util.keystr(path, simple=True, separator='/'), leaf.shape)
          for path, leaf in jax.tree_util.tree_leaves_with_path(params)]
  width = max(len(name) for name, _ in rows)
  lines = [f'{name:<{width}}  {"x".join(map(str, shape)):>16}  {math.prod(shape):>12,}' for name, shape in rows]
  for network in params:
    lines.append(f'{network:<{width}}  {"":>16}  {count(params[network]):>12,}')
  return '\n'.join([*lines, f'total parameters: {count(params)}'])


def count(params):
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
