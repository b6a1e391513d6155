"""Mutates configs at random and checks that each is accepted for a reason or refused in one line.

  JAX_PLATFORMS=cpu python -m benchmarks.config_fuzz --count=3000 --seed=0

Nothing is trained: networks are built as shapes. A mutation is of a kind that no config may have (a number that is NaN,
infinite or below 0, a value of another type, a misspelt name or key, a missing key, a section replaced), or one that a
run may work with (another number, another name of a table, two keys of two alternatives). Counted are

  refused     one line, as it should be
  accepted    of the second kind, and the model can be built
  traceback   any other error, or raw control characters in the line that the terminal shows: a fault
  silent      accepted although it is of the first kind: a fault

The exit status is 1 where there is a fault; each is printed with the mutation that shows it.
"""

import argparse
import collections
import contextlib
import importlib
import io
from pathlib import Path
import random
import sys
import traceback

import jax
from ml_collections import ConfigDict

from jgen import keys
from jgen.errors import UserError
from jgen.host import terminal
from jgen.keys import Key
from jgen.run import config as config_lib
from jgen.training import setup
from jgen.training.config import Config

ROOT = Path(__file__).parent.parent
NAN, INFINITE = float('nan'), float('inf')
# Keys that may be below 0 (the number of an image, where -1 is none) or infinite (limits of what is only watched).
BELOW_ZERO = ('image',)
MAY_BE_INFINITE = ('largest_gradient_norm', 'largest_loss_variation', 'largest_generator_fall')
JUNK = (None, 'text', 'a\x1b[31mb\n', '', b'bytes', (), [], {}, (None,), ('x',), {'a': 1}, [[1]], object, 1j)


def bases():
  """{name: config} of all configs, on images that need no file."""
  made = {}
  for path in sorted((ROOT / 'configs').glob('*.py')):
    config = importlib.import_module(f'configs.{path.stem}').get_config()
    if config.data.name != 'digits':
      needs_label = config.data.label or config.model.get('conditional')
      config.data.update(name='sprites', splits=('train',), label='shape' if needs_label else '', label_file='',
                         crop=0., partition_file='', test_splits=('test',) if config.data.test_splits else ())
      if 'tsne' in config.evaluators:
        config.evaluators.tsne.annotation = 'shape'
    config.study.variations = ()
    made[path.stem] = config.to_dict()
  return made


def paths(values, prefix=()):
  """All (path, value) of a nested dict, sections included."""
  for name, value in values.items():
    yield (*prefix, name), value
    if isinstance(value, dict):
      yield from paths(value, (*prefix, name))


def holder(values, path):
  """The section of a path."""
  for name in path[:-1]:
    values = values[name]
  return values


def pick(draw, values, wanted):
  """A random (path, value) for which `wanted(path, value)` holds."""
  return draw.choice([(path, value) for path, value in paths(values) if wanted(path, value)])


def is_number(path, value):
  del path
  return isinstance(value, (int, float)) and not isinstance(value, bool)


# ------------------------------------------- mutations (draw, values) -> what was changed, in place


def not_a_number(draw, values):
  """A number that no key may be."""
  path, value = pick(draw, values, is_number)
  bad = [NAN, *([-INFINITE, INFINITE] if path[-1] not in MAY_BE_INFINITE else []),
         *([-value - 1, -0.5] if path[-1] not in BELOW_ZERO else [])]
  holder(values, path)[path[-1]] = draw.choice(bad)
  return path


def entry_below_zero(draw, values):
  """A tuple of whole numbers with one below 0."""
  path, value = pick(draw, values, lambda path, value: isinstance(value, tuple) and value and is_number(path, value[0]))
  holder(values, path)[path[-1]] = (*value[:-1], -value[-1] - 1)
  return path


def another_type(draw, values):
  """A value of a type that the key cannot have."""
  path, value = pick(draw, values, lambda path, value: True)
  junk = [each for each in JUNK if not isinstance(each, type(value)) and not (
      isinstance(value, tuple) and isinstance(each, list) and not any(isinstance(entry, list) for entry in each))]
  holder(values, path)[path[-1]] = draw.choice(junk)
  return path


def section_replaced(draw, values):
  """A section that is empty, of another section's keys, or none."""
  path, value = pick(draw, values, lambda path, value: isinstance(value, dict) and value and path[-1] != 'evaluators')
  _, other = pick(draw, values, lambda path, other: isinstance(other, dict) and other.keys() != value.keys())
  holder(values, path)[path[-1]] = draw.choice([{}, dict(other), 'text', 3, None, (), {'a\x07': 1}])
  return path


def misspelt_name(draw, values):
  """A name of a table with a letter more or less."""
  path, value = pick(draw, values, lambda path, value: isinstance(value, str) and value and path[-1] not in (
      'dir', 'cache_dir', 'weights', 'best_metric'))
  holder(values, path)[path[-1]] = draw.choice(
      [value[:-1] or 'x', value + 'x', f'{value.upper()}\x1b[0m', f'{value}\n'])
  return path


def key_added(draw, values):
  """A key that is not known."""
  path, _ = pick(draw, values, lambda path, value: not isinstance(value, dict))
  holder(values, path)[draw.choice([path[-1] + 's', path[-1][1:], 'x' * 300, 'é\x1b[31m', 'items', 'data'])] = 1
  return path


def key_missing(draw, values):
  """A key left out."""
  path, _ = pick(draw, values, lambda path, value: path[0] != 'score' and 'evaluators' not in path[-2:] and (
      path[0] != 'priors' or len(path) > 2))
  del holder(values, path)[path[-1]]
  return path


def other_number(draw, values):
  """A number of another size."""
  path, value = pick(draw, values, is_number)
  others = [0, 1, 2, 3, 7, 10**9] if isinstance(value, int) else [0., 1e-9, 0.5, 1., 3., 1e30]
  holder(values, path)[path[-1]] = draw.choice(others)
  return path


def other_features(draw, values):
  """Other layers."""
  path, _ = pick(draw, values, lambda path, value: path[-1] in ('features', 'strides', 'paddings'))
  holder(values, path)[path[-1]] = tuple(draw.choice([1, 2, 3, 8]) for _ in range(draw.choice([0, 1, 2, 3, 4, 7])))
  return path


def other_alternative(draw, values):
  """The name or truth value of another config's key."""
  path, value = pick(draw, values, lambda path, value: isinstance(value, (str, bool)))
  known = [other for other in OTHER_VALUES[path[-1]] if other != value]
  holder(values, path)[path[-1]] = not value if isinstance(value, bool) else draw.choice(known or [''])
  return path


def of_two(first, second):
  """Both mutations, one after the other."""
  def mutate(draw, values):
    return (*first(draw, values), 'and', *second(draw, values))
  mutate.__name__ = f'{first.__name__}_and_{second.__name__}'
  return mutate


NEVER = (not_a_number, entry_below_zero, another_type, section_replaced, misspelt_name, key_added, key_missing)
PERHAPS = (other_number, other_features, other_alternative, of_two(other_number, other_alternative),
           of_two(other_features, other_number))
OTHER_VALUES = collections.defaultdict(list)   # {key: names that it may have}


def judge(values, may_work):
  """('refused', line) and so on, of a mutated config."""
  try:
    config = ConfigDict(values)
    family, _, _ = setup.build(config)
    jax.eval_shape(family.init, jax.random.key(0))
  except UserError as error:
    line = terminal.one_line(error)     # as launch.py shows it
    return ('refused' if line.isprintable() else 'traceback'), line
  except Exception:
    return 'traceback', traceback.format_exc(limit=-4)
  return ('accepted' if may_work else 'silent'), ''


def learn_names():
  """Fills OTHER_VALUES from the declarations."""
  for declaration in keys.places(Config):
    for name, each in keys.declared(declaration).items():
      if isinstance(each, Key) and each.names:
        OTHER_VALUES[name] += [*each.names]


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--count', type=int, default=3_000)
  parser.add_argument('--seed', type=int, default=0)
  options = parser.parse_args()
  made, counts = bases(), collections.Counter()
  learn_names()
  for number in range(options.count):
    draw = random.Random(f'{options.seed} {number}')
    name, mutate = draw.choice([*made]), draw.choice(NEVER + PERHAPS)
    values = ConfigDict(made[name]).to_dict()
    before = config_lib.flatten(values)
    path = mutate(draw, values)
    if mutate in PERHAPS and config_lib.flatten(values) == before:
      continue
    with contextlib.redirect_stderr(io.StringIO()):   # warnings
      outcome, line = judge(values, mutate in PERHAPS)
    counts[mutate.__name__, outcome] += 1
    if outcome in ('traceback', 'silent'):
      sys.stdout.write(f'{number} {outcome} {name} {mutate.__name__} {".".join(path)!a}: {line}\n')
      sys.stdout.flush()
  return report(counts)


def report(counts):
  """Prints the counts; the exit status."""
  for kind in (*NEVER, *PERHAPS):
    told = {outcome: count for (name, outcome), count in counts.items() if name == kind.__name__}
    sys.stdout.write(f'{kind.__name__:<36} {told}\n')
  totals = collections.Counter()
  for (_, outcome), count in counts.items():
    totals[outcome] += count
  sys.stdout.write('all: ' + ', '.join(f'{outcome} {count}' for outcome, count in sorted(totals.items())) + '\n')
  return 1 if totals['traceback'] or totals['silent'] else 0


if __name__ == '__main__':
  sys.exit(main())
