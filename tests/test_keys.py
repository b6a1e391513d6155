"""Config keys: each is declared with its range, refused out of it or where nothing reads it, and read somewhere."""

import ast
import dataclasses
import functools
import inspect
from pathlib import Path

from helpers import tiny
from ml_collections import ConfigDict
import pytest

from jgen import evaluation, families, keys
from jgen.errors import UserError
from jgen.families.optimizers import Optimizer
from jgen.keys import Key, key, section
from jgen.recipes import page
from jgen.training import doctor
from jgen.training.config import Config, check

ROOT = Path(__file__).parent.parent
NAN, INFINITE = float('nan'), float('inf')


@dataclasses.dataclass(frozen=True)
class Tool:
  """A declaration to test with."""

  kind: str = key('saw', 'what it is', names=('saw', 'drill'))
  teeth: int = key(30, 'along the blade', at_least=1, at_most=100, read_with={'kind': ('saw',)})
  speed: float = key(0., 'turns a minute', at_least=0, below=5_000, read_with={'kind': ('drill',)})
  limit: float = key(1., 'of something', above=0, finite=False)
  sizes: tuple[int, ...] = key((), 'mm each', at_least=1)
  spare: bool = key(False, 'whether there is another', read_with={'sizes': True})


@dataclasses.dataclass(frozen=True)
class Box:
  """A section with sections."""

  first: Tool = section(Tool, 'the usual one')
  second: Tool = section(Tool, kind='drill', speed=100.)


def line_of(changes, declaration=Box):
  """What is said of a section of the declaration with these keys changed; '' where it is accepted."""
  values = keys.default(declaration).to_dict()
  for path, value in changes.items():
    *sections, name = path.split('.')
    inner = values
    for each in sections:
      inner = inner[each]
    inner[name] = value
  try:
    keys.check(declaration, ConfigDict(values), 'config')
  except UserError as error:
    return str(error)
  return ''


def test_a_section_has_the_declared_defaults_and_is_read_as_its_dataclass():
  box = keys.default(Box)
  assert box.to_dict() == {
      'first': {'kind': 'saw', 'teeth': 30, 'speed': 0., 'limit': 1., 'sizes': (), 'spare': False},
      'second': {'kind': 'drill', 'teeth': 30, 'speed': 100., 'limit': 1., 'sizes': (), 'spare': False}}
  assert keys.read(Tool, box.second, 'x') == Tool(kind='drill', speed=100.)
  assert keys.read(Tool, {**box.first, 'sizes': [1, 2], 'limit': 2}, 'x') == Tool(sizes=(1, 2), limit=2)


@pytest.mark.parametrize('changes, expected', [
    ({}, ''),
    ({'first.teeth': 0}, 'config.first.teeth is 0; expected a whole number, from 1 to 100'),
    ({'first.teeth': 101}, 'config.first.teeth is 101; expected a whole number, from 1 to 100'),
    ({'first.teeth': 2.5}, 'config.first.teeth is 2.5; expected a whole number'),
    ({'first.teeth': True}, 'config.first.teeth is True; expected a whole number'),
    ({'first.teeth': '3'}, "config.first.teeth is '3'; expected a whole number"),
    ({'second.speed': 5_000.}, 'config.second.speed is 5000.0; expected a number, from 0 to below 5000'),
    ({'second.speed': 3}, ''),
    ({'second.speed': NAN}, 'config.second.speed is nan; expected a number, from 0 to below 5000'),
    ({'first.limit': 0.}, 'config.first.limit is 0.0; expected a number, above 0'),
    ({'first.limit': INFINITE}, ''),
    ({'first.limit': NAN}, 'config.first.limit is nan; expected a number, above 0'),
    ({'first.sizes': (3, 0)}, 'config.first.sizes is (3, 0); expected a tuple of whole numbers, at least 1'),
    ({'first.sizes': (3, 'a')}, "config.first.sizes is (3, 'a'); expected a tuple of whole numbers"),
    ({'first.sizes': 'abc'}, "config.first.sizes is 'abc'; expected a tuple of whole numbers"),
    ({'first.kind': 'sow'}, "config.first.kind: 'sow' is not known; did you mean 'saw'?"),
    ({'first.kind': 3}, 'config.first.kind is 3; expected a string'),
    ({'first': 3}, 'config.first is 3; expected a section, with the keys kind, teeth, speed, limit, sizes, spare'),
    ({'first': {'kind': 'saw'}}, "config.first: key 'teeth' is missing; its meaning: along the blade"),
    ({'first.teth': 3}, "config.first: key 'teth' is not known; did you mean 'teeth'?"),
    ({'first.speed': 3.}, "config.first.speed is 3.0, but config.first.kind is 'saw', which does not read it; leave it "
                          "at 0.0, or set kind to 'drill'"),
    ({'second.teeth': 31}, "config.second.teeth is 31, but config.second.kind is 'drill', which does not read it; "
                           "leave it at 30, or set kind to 'saw'"),
    ({'second.kind': 'saw'}, ''),       # 100 is the default of the second
    ({'first.spare': True}, 'config.first.spare is True, but it is read only if config.first.sizes is set; that is '
                            '(); leave it at False, or change sizes'),
    ({'first.spare': True, 'first.sizes': (1,)}, ''),
    ({'first.kind': 'a\x1b[31m\nb'}, "config.first.kind: 'a\\x1b[31m\\nb' is not known; available: saw, drill"),
], ids=str)
def test_a_section_that_no_run_can_work_with_is_refused_in_one_line(changes, expected):
  assert line_of(changes) == expected


def test_a_section_by_a_name_that_stands_for_none_is_empty():
  @dataclasses.dataclass(frozen=True)
  class Either:
    """A tool or none."""

    which: str = key('', 'the tool', names=('tool', ''))
    tool: object = keys.chosen('which', {'tool': Tool})

  assert keys.default(Either).to_dict() == {'which': '', 'tool': {}}
  assert line_of({}, Either) == '' and "config.tool: key 'teeth' is not known" in line_of({'tool.teeth': 3}, Either)
  assert "config.tool: key 'kind' is missing" in line_of({'which': 'tool'}, Either)


REFUSED = [   # (config, key, value, what the line names beside the key)
    ('dcgan', 'model.generator_optimizer.learning_rate', -1e-3, 'at least 0'),
    ('dcgan', 'model.critic_optimizer.b1', -0.9, 'from 0 to below 1'),
    ('dcgan', 'model.critic_optimizer.b2', 2., 'from 0 to below 1'),
    *(('dcgan', 'model.ema_decay', value, 'from 0 to below 1') for value in (1., 2., -1., NAN)),
    ('wgan', 'model.critic.negative_slope', -1., 'from 0 to 1'),
    ('wgan', 'model.penalty_weight', INFINITE, 'at least 0'),
    ('wgan', 'doctor.largest_gradient_norm', NAN, 'above 0'),
    ('vae', 'model.regularizer.weight', NAN, 'at least 0'),
    ('vqvae', 'model.quantizer.decay', 1., 'from 0 to below 1'),
    ('dcgan', 'model.generator_optimizer.momentum', 0.9, "'rmsprop' or 'sgd'"),
    ('learned_vae', 'model.optimizer.b2', 0.9, "'adam'"),
    ('dcgan', 'model.critic.paddings', (1, 1), 'config.model.critic.strides'),
    ('dcgan', 'model.critic.kernel_size', 3, 'config.model.critic.strides'),
    ('dcgan', 'model.penalty_weight', 3., "'gradient_penalty'"),
    ('dcgan', 'model.instance_noise.decay_steps', 3, 'config.model.instance_noise.stddev'),
    ('dcgan', 'model.generator.dropout_at_sampling', True, 'config.model.generator.dropout'),
    ('vae', 'model.regularizer.capacity_nats', 3., "'capacity'"),
    ('learned_vae', 'model.regularizer.free_nats', 3., "'free_bits'"),
    ('dcgan', 'data.label_file', 'x.csv', "'folder'"),
    ('dcgan', 'data.sprites.num_images', 3, "'sprites'"),
    ('dcgan', 'log_every_steps', 0, 'at least 1'),
    ('dcgan', 'seed', 2**32, 'from 0 to below 4294967296')]


@pytest.mark.parametrize('name, changed, value, words', REFUSED, ids=[f'{case[1]}={case[2]}' for case in REFUSED])
def test_numbers_out_of_range_and_keys_that_nothing_reads_are_refused(name, changed, value, words):
  config = tiny.CONFIGS[name]()
  check(config)
  config.update_from_flattened_dict({changed: value})
  with pytest.raises(UserError) as error:
    check(config)
  named = changed if words != "'sprites'" else 'data.sprites'
  assert f'config.{named} ' in str(error.value) and words in str(error.value) and '\n' not in str(error.value)


def declarations():
  """{dataclass: the names that its section has} of all that a config holds."""
  return keys.places(Config, 'config')


def test_every_key_has_a_meaning_and_a_default_within_its_range():
  assert len(declarations()) > 50 and {*families.KEYS.values(), *evaluation.EVALUATORS.values()} <= {*declarations()}
  for declaration in declarations():
    for name, each in keys.declared(declaration).items():
      assert each.meaning or not isinstance(each, Key), (declaration, name)
      if isinstance(each, Key) and (declaration, name) not in ((Config, 'family'), (Config, 'data')):
        entries = each.default if isinstance(each.default, tuple) else (each.default,)
        assert each.names and each.default == '' or all(map(each.holds, entries)), (declaration, name)


@functools.cache
def attributes(file):
  """{(what it is an attribute of, attribute)} of all that a file reads: a name, or the last of a dotted one."""
  found = set()
  for node in ast.walk(ast.parse(file.read_text())):
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
      owner = node.value
      found.add((getattr(owner, 'id', getattr(owner, 'attr', '')), node.attr))
  return found


def read_in(files):
  """As `attributes`, of all files."""
  return set().union(*(attributes(file) for file in files))


def unread(declaration, names):
  """The keys of a dataclass that nothing reads as its own: not the bare word, but the attribute of its section.

  That is an attribute of the section by a name that it has; or, where it is declared, of a `section` or `model`, or of
  `self`: of the dataclass, where it is more than a section, or of the model or layer that is made of it.
  """
  modules = {Path(inspect.getfile(each)) for each in declaration.__mro__ if dataclasses.is_dataclass(each)}
  folder = Path(inspect.getfile(declaration)).parent
  near = {*modules, *(ROOT / 'jgen/networks').glob('*.py')} if folder.name == 'families' else {*folder.rglob('*.py')}
  does = any(inspect.isfunction(each) and name[:2] != '__' for name, each in vars(declaration).items())
  wanted = keys.declared(declaration)
  read = {name for owner, name in read_in(modules) if owner in ('self', 'settings')} if does else {
      name for owner, name in read_in(near) if owner in ('section', 'model', 'self', 'limits', 'upkeep')} | {
      name for owner, name in read_in((ROOT / 'jgen').rglob('*.py')) if owner in {'config', *names} - {'model'}}
  return [name for name, each in wanted.items() if isinstance(each, Key) and name not in read]


def test_every_key_is_read_as_one_of_its_own_section():
  found = {declaration: unread(declaration, names) for declaration, names in declarations().items()}
  by_name = {sign.threshold for sign in doctor.SIGNS}
  found[doctor.Limits] = [name for name in found[doctor.Limits] if name not in by_name]
  assert not {declaration: names for declaration, names in found.items() if names}


def test_a_key_that_only_others_read_is_found():
  @dataclasses.dataclass(frozen=True)
  class Unread(Optimizer):
    """One that declares the key of another."""

    commitment_weight: float = key(0., 'read of a VQ-VAE alone')

  assert unread(Optimizer, ['optimizer']) == []
  Unread.__module__ = Optimizer.__module__
  assert unread(Unread, ['optimizer']) == ['commitment_weight']


def test_the_page_of_all_keys_is_current():
  assert (ROOT / 'docs/config.md').read_text() == page.page(), 'python -m jgen.recipes.page > docs/config.md'
