"""Config keys, declared where they are read as fields of a dataclass, with default, unit, range and meaning.

  @dataclasses.dataclass(frozen=True)
  class Optimizer:
    name: str = key('adam', 'the update rule', names=OPTIMIZERS)
    learning_rate: float = key(2e-4, 'step size', at_least=0)
    momentum: float = key(0., 'of the update', at_least=0, below=1, read_with={'name': ('rmsprop', 'sgd')})

`default(Optimizer)` returns the section as a ConfigDict of default values; `check` raises a UserError for an invalid
section, in one line with the key, its value and what was expected; `read` converts a section to the dataclass.
"""

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import math
import typing
from typing import Any

from ml_collections import ConfigDict

from jgen.errors import UserError, nearest

Values: typing.TypeAlias = Mapping[str, Any] | ConfigDict   # the values of a section
_DECLARED = 'jgen key'                  # the entry of a field's metadata
_WORDS = {int: 'a whole number', float: 'a number', str: 'a string', bool: 'True or False'}


@dataclasses.dataclass(frozen=True)
class Key:
  """The declaration of a key; for a tuple, bounds and names apply to each entry."""

  default: Any
  meaning: str
  at_least: float | None
  above: float | None
  at_most: float | None
  below: float | None
  names: Collection[str] | None         # allowed strings; None for any
  finite: bool
  read_with: Mapping[str, object]       # {key of the same section: values, or whether it is set} with which it is read

  def range(self) -> str:
    """The allowed numbers, in words; '' for any."""
    high = ' to below {self.below:.10g}' if self.below is not None else ' to {self.at_most:.10g}'
    if self.below is None and self.at_most is None:
      high, word = '', 'at least'
    else:
      word = 'from'
    low = f'above {self.above:g}' if self.above is not None else f'{word} {self.at_least:g}' if (
        self.at_least is not None) else ''
    return (low + high.format(self=self)).strip()

  def holds(self, entry: Any) -> bool:
    """Whether a number or string is allowed."""
    if isinstance(entry, str):
      return self.names is None or entry in self.names
    if isinstance(entry, int) and abs(entry) > 2**1023:   # too large for a float
      return False
    return (math.isfinite(entry) or not self.finite and not math.isnan(entry)) and (
        self.at_least is None or entry >= self.at_least) and (self.above is None or entry > self.above) and (
        self.at_most is None or entry <= self.at_most) and (self.below is None or entry < self.below)


@dataclasses.dataclass(frozen=True)
class Section:
  """A nested section: of one dataclass, of the dataclass that another key names, or a table of sections by name."""

  meaning: str
  declarations: Mapping[str, type]      # {name: dataclass}; the name is '' for a single dataclass
  by: str                               # the key whose value is the name; '' for a single dataclass
  names: tuple[str, ...]                # for a table: the sections it has by default
  overrides: Mapping[str, object]       # {key: another default}
  optional: bool                        # whether it may be missing; then it is missing by default
  read_with: Mapping[str, object]       # as for a Key

  @property
  def is_table(self) -> bool:
    return not self.by and '' not in self.declarations


@dataclasses.dataclass(frozen=True)
class _Nothing:
  """A section without keys."""


def key(default: Any, meaning: str, *, at_least: float | None = None, above: float | None = None,
        at_most: float | None = None, below: float | None = None, names: Collection[str] | None = None,
        finite: bool = True, read_with: Mapping[str, object] | None = None) -> Any:
  """A field of a dataclass that is a key of a config.

  Args:
    default: the default value; the field's type is the type of all values
    meaning: what the key does, with its unit, as printed in docs/config.md
    at_least, above, at_most, below: bounds of a number, or of each entry of a tuple
    names: allowed values of a string, or of each entry of a tuple; usually the table in which it is looked up
    finite: False if .inf is allowed; NaN never is
    read_with: {another key of the section: the values with which this key is read}; True instead of values if this key
      is read when the other one is set (neither 0, '' nor empty), False if it is read when the other one is not set.
      Otherwise only the default is accepted, because any other value would be ignored silently.
  """
  declared = Key(default, meaning, at_least, above, at_most, below, names, finite, read_with or {})
  return dataclasses.field(default=default, metadata={_DECLARED: declared})


def section(declaration: type, meaning: str = '', *, optional: bool = False,
            read_with: Mapping[str, object] | None = None, **overrides: Any) -> Any:
  """A field that is a nested section with the keys of a dataclass; `overrides` replace some of their defaults."""
  return _field(Section(meaning, {'': declaration}, '', (), overrides, optional, read_with or {}))


def chosen(by: str, declarations: Mapping[str, type], meaning: str = '') -> Any:
  """A field that is a section of the dataclass `declarations[name]`, where `name` is the value of the key `by`."""
  return _field(Section(meaning, declarations, by, (), {}, False, {}))


def table(declarations: Mapping[str, type], meaning: str = '', names: Sequence[str] = ()) -> Any:
  """A field that is a table {name: section of declarations[name]}; by default it has the sections `names`."""
  return _field(Section(meaning, declarations, '', tuple(names), {}, False, {}))


def _field(declared):
  return dataclasses.field(default_factory=ConfigDict, metadata={_DECLARED: declared})


def declared(declaration: type) -> dict[str, Key | Section]:
  """{name: Key or Section} of a dataclass, in order of declaration; other fields are not keys."""
  return {field.name: field.metadata[_DECLARED] for field in dataclasses.fields(declaration)
          if _DECLARED in field.metadata}


def plain(declaration: type) -> dict[str, Key]:
  """{name: Key} of a dataclass, without its sections."""
  return {name: member for name, member in declared(declaration).items() if isinstance(member, Key)}


def places(declaration: type, name: str = '') -> dict[type, set[str]]:
  """{dataclass: the names of its sections}, of a dataclass and of all sections nested in it."""
  names: dict[type, set[str]] = {}
  remaining = [(declaration, name)]
  while remaining:
    declaration, name = remaining.pop()
    if name not in names.setdefault(declaration, set()):
      names[declaration].add(name)
      remaining += [(inner, entry) for entry, member in declared(declaration).items() if isinstance(member, Section)
                    for inner in member.declarations.values()]
  return names


def default(declaration: type, **overrides: Any) -> ConfigDict:
  """The section of a dataclass with its default values, a ConfigDict; `overrides` are {key: another default}."""
  values = ConfigDict()
  for name, member in declared(declaration).items():
    if isinstance(member, Key):
      values[name] = overrides.get(name, member.default)
    elif not member.optional:
      values[name] = _default_section(member, values)
  return values


def completed(declaration: type, values: Values,
              overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
  """A section, as a dict, in which missing keys have their defaults; undeclared keys are left as they are.

  Args:
    declaration: the dataclass.
    values: the section, a nested mapping.
    overrides: {key: another default}.
  """
  complete = dict(values)
  for name, member in declared(declaration).items():
    if isinstance(member, Key):
      complete.setdefault(name, (overrides or {}).get(name, member.default))
    elif name not in complete and not member.optional and isinstance(complete.get(member.by, ''), str):
      complete[name] = _default_section(member, complete).to_dict()
    elif isinstance(complete.get(name), Mapping):
      complete[name] = _completed_section(member, complete, complete[name])
  return complete


def _completed_section(member, parent, values):
  if member.is_table:
    return {name: completed(member.declarations[name], entry)
            if name in member.declarations and isinstance(entry, Mapping) else entry for name, entry in values.items()}
  name = parent.get(member.by) if member.by else ''
  is_declared = isinstance(name, str) and name in member.declarations
  return completed(member.declarations[name], values, member.overrides) if is_declared else values


def _default_section(member, parent):
  if member.is_table:
    return ConfigDict({name: default(member.declarations[name]) for name in member.names})
  name = parent[member.by] if member.by else ''
  return default(member.declarations[name], **member.overrides) if name in member.declarations else ConfigDict()


def read(declaration: type, values: Any, where: str) -> Any:
  """The section `values`, checked and converted to the dataclass `declaration`; raises UserError as `check` does."""
  check(declaration, values, where)
  return declaration(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def numbers(declaration: type, values: Values) -> dict[str, Any]:
  """{name: number or bool} of the entries of a section that are named as a field of a dataclass."""
  fields = {field.name for field in dataclasses.fields(declaration)}
  return {name: value for name, value in values.items() if name in fields and isinstance(value, (int, float))}


def check(declaration: type, values: Any, where: str, overrides: Mapping[str, Any] | None = None) -> None:
  """Raises UserError unless `values`, a section of a config, is valid for the dataclass `declaration`.

  A valid section has the declared keys and no others, each of the declared type and within its range. Keys that the
  chosen alternative does not read have their defaults.

  Args:
    where: the section's name, as 'config.model'
    overrides: {key: another default}
  """
  if not hasattr(values, 'items'):
    raise UserError(f'{where} is {shown(values)}; expected a section, with the keys {", ".join(declared(declaration))}')
  members = declared(declaration)
  for name in values:
    if name not in members:
      raise UserError(f'{where}: key {shown(name)} is not known; {nearest(name, members)}')
  for name, member in members.items():
    if name in values:
      _check_entry(declaration, name, member, values, where)
    elif not getattr(member, 'optional', False):
      raise UserError(f"{where}: key '{name}' is missing; its meaning: {member.meaning}")
  for name in values:
    _check_read(name, members[name], values, where, overrides or {})


def _check_entry(declaration, name, member, values, where):
  path, value = f'{where}.{name}', values[name]
  if isinstance(member, Key):
    return _check_value(member, typing.get_type_hints(declaration)[name], value, path)
  if not member.is_table:
    chosen_name = values[member.by] if member.by else ''
    if chosen_name not in member.declarations:   # an alternative without keys
      return check(_Nothing, value, path)
    return check(member.declarations[chosen_name], value, path, member.overrides)
  if not hasattr(value, 'items'):
    raise UserError(f'{path} is {shown(value)}; expected sections by name')
  for entry in value:
    if entry not in member.declarations:
      raise UserError(f'{path}: {shown(entry)} is not known; {nearest(entry, member.declarations)}')
    check(member.declarations[entry], value[entry], f'{path}.{entry}')
  return None


def _check_value(member, kind, value, path):
  """Raises UserError unless a value has the type `kind` and is in the range of its Key."""
  entries = value
  if typing.get_origin(kind) is tuple:
    kind, is_right = typing.get_args(kind)[0], isinstance(value, (tuple, list))
    expected = f'a tuple of {_WORDS[kind].removeprefix("a ")}s'
  else:
    entries, is_right, expected = [value], True, _WORDS[kind]
  if not is_right or not all(_is(kind, entry) for entry in entries):
    raise UserError(f'{path} is {shown(value)}; expected {expected}')
  for entry in entries:
    if isinstance(entry, str) and not member.holds(entry):
      raise UserError(f'{path}: {shown(entry)} is not known; {nearest(entry, member.names)}')
    if not member.holds(entry):
      raise UserError(f'{path} is {shown(value)}; expected ' + ', '.join(filter(None, [expected, member.range()])))


def _is(kind, entry):
  if kind is bool or isinstance(entry, bool):
    return kind is bool and isinstance(entry, bool)
  return isinstance(entry, (int, float) if kind is float else kind)


def _check_read(name, member, values, where, overrides):
  """Raises UserError if a key is set that the chosen alternative does not read."""
  for other, needed in member.read_with.items():
    if _reads(needed, values[other]):
      continue
    usual = overrides.get(name, member.default) if isinstance(member, Key) else _default_section(member, values)
    if _same(values[name], usual):
      continue
    problem = f'{where}.{name} is {shown(values[name])}' if isinstance(member, Key) else f'{where}.{name} is set'
    remedy = f'leave it at {shown(usual)}' if isinstance(member, Key) else 'leave its keys at their defaults'
    if isinstance(needed, bool):
      raise UserError(f'{problem}, but it is read only if {where}.{other} is {"set" if needed else "not set"}; that is '
                      f'{shown(values[other])}; {remedy}, or change {other}')
    raise UserError(f'{problem}, but {where}.{other} is {shown(values[other])}, which does not read it; {remedy}, or '
                    f'set {other} to {" or ".join(map(shown, needed))}')


def _reads(needed, value):
  return bool(value) is needed if isinstance(needed, bool) else value in needed


def _same(value, usual):
  """Whether a value, or every value of a section, is the default."""
  if hasattr(usual, 'items'):
    return hasattr(value, 'items') and all(_same(value.get(name), entry) for name, entry in usual.items())
  return (tuple(value) if isinstance(value, list) else value) == usual


def shown(value: object) -> str:
  """A value for an error line: on one line, at most 60 characters, without control characters."""
  text = ascii(value) if not isinstance(value, str) else repr(value)
  text = ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
  return text if len(text) <= 60 else text[:57] + '...'
