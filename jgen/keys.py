"""Config keys, declared where they are read: as fields of a dataclass, with default, unit, range and meaning.

  @dataclasses.dataclass(frozen=True)
  class Optimizer:
    name: str = key('adam', 'the update rule', names=OPTIMIZERS)
    learning_rate: float = key(2e-4, 'step size', at_least=0)
    momentum: float = key(0., 'of the update', at_least=0, below=1, read_with={'name': ('rmsprop', 'sgd')})

`default(Optimizer)` is the section of a config, a ConfigDict; `check` refuses a section that no run can work with, in
one line that names the key, its value and what was expected; `read` makes the dataclass of a section.
"""

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import math
import typing
from typing import Any

from ml_collections import ConfigDict

from jgen.errors import UserError, nearest

Values: typing.TypeAlias = Mapping[str, Any] | ConfigDict   # of a section
_DECLARED = 'jgen key'                  # the entry of a field's metadata
_WORDS = {int: 'a whole number', float: 'a number', str: 'a text', bool: 'True or False'}


@dataclasses.dataclass(frozen=True)
class Key:
  """What is declared of a key; bounds and names hold for each entry of a tuple."""

  default: Any
  meaning: str
  at_least: float | None
  above: float | None
  at_most: float | None
  below: float | None
  names: Collection[str] | None         # that a text may be; None for any
  finite: bool
  read_with: Mapping[str, object]       # {key of the same section: values, or whether it is set}; else it is not read

  def range(self) -> str:
    """The numbers that it may be, in words; '' for any."""
    high = ' to below {self.below:.10g}' if self.below is not None else ' to {self.at_most:.10g}'
    if self.below is None and self.at_most is None:
      high, word = '', 'at least'
    else:
      word = 'from'
    low = f'above {self.above:g}' if self.above is not None else f'{word} {self.at_least:g}' if (
        self.at_least is not None) else ''
    return (low + high.format(self=self)).strip()

  def holds(self, entry: Any) -> bool:
    """Whether a number or text is within the range."""
    if isinstance(entry, str):
      return self.names is None or entry in self.names
    if isinstance(entry, int) and abs(entry) > 2**1023:   # no number of floating point
      return False
    return (math.isfinite(entry) or not self.finite and not math.isnan(entry)) and (
        self.at_least is None or entry >= self.at_least) and (self.above is None or entry > self.above) and (
        self.at_most is None or entry <= self.at_most) and (self.below is None or entry < self.below)


@dataclasses.dataclass(frozen=True)
class Section:
  """A section within another: of one dataclass, of the one that another key names, or any number of them by name."""

  meaning: str
  declarations: Mapping[str, type]      # {name: dataclass}; a single one has the name ''
  by: str                               # the key whose value is the name; '' for a single one
  names: tuple[str, ...]                # of the sections that there are by default, where there may be any number
  overrides: Mapping[str, object]       # {key: another default}
  optional: bool                        # whether it may be missing, and is by default
  read_with: Mapping[str, object]       # as of a Key

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
    default: its value; the field's type says what others may be
    meaning: what it does, with its unit, as docs/config.md prints it
    at_least, above, at_most, below: bounds of a number, or of each entry of a tuple
    names: what a text, or each entry of a tuple, may be; the table in which it is looked up
    finite: False where .inf is a value; NaN never is
    read_with: {another key of the section: the values with which this one is read}, or True where it is read if that
      one is set (neither 0, '' nor empty), False where it is read if that one is not. Elsewhere only the default is
      accepted, for anything else would be passed over in silence.
  """
  declared = Key(default, meaning, at_least, above, at_most, below, names, finite, read_with or {})
  return dataclasses.field(default=default, metadata={_DECLARED: declared})


def section(declaration: type, meaning: str = '', *, optional: bool = False,
            read_with: Mapping[str, object] | None = None, **overrides: Any) -> Any:
  """A field that is a section of its own, with the keys of a dataclass; `overrides` are other defaults of these."""
  return _field(Section(meaning, {'': declaration}, '', (), overrides, optional, read_with or {}))


def chosen(by: str, declarations: Mapping[str, type], meaning: str = '') -> Any:
  """A field that is the section of the dataclass `declarations[name]`, where the key `by` has that name."""
  return _field(Section(meaning, declarations, by, (), {}, False, {}))


def table(declarations: Mapping[str, type], meaning: str = '', names: Sequence[str] = ()) -> Any:
  """A field that is any number of sections, {name: section of declarations[name]}; by default those of `names`."""
  return _field(Section(meaning, declarations, '', tuple(names), {}, False, {}))


def _field(declared):
  return dataclasses.field(default_factory=ConfigDict, metadata={_DECLARED: declared})


def declared(declaration: type) -> dict[str, Key | Section]:
  """{name: Key or Section} of a dataclass, in its order; other fields are no keys."""
  return {field.name: field.metadata[_DECLARED] for field in dataclasses.fields(declaration)
          if _DECLARED in field.metadata}


def plain(declaration: type) -> dict[str, Key]:
  """{name: Key} of a dataclass, without its sections."""
  return {name: member for name, member in declared(declaration).items() if isinstance(member, Key)}


def places(declaration: type, name: str = '') -> dict[type, set[str]]:
  """{dataclass: the names that its section has} of a dataclass, of its sections, and of theirs."""
  found: dict[type, set[str]] = {}
  left = [(declaration, name)]
  while left:
    declaration, name = left.pop()
    if name not in found.setdefault(declaration, set()):
      found[declaration].add(name)
      left += [(inner, entry) for entry, member in declared(declaration).items() if isinstance(member, Section)
               for inner in member.declarations.values()]
  return found


def default(declaration: type, **overrides: Any) -> ConfigDict:
  """The section, a ConfigDict, of the defaults of a dataclass, with `overrides` {key: value}."""
  made = ConfigDict()
  for name, member in declared(declaration).items():
    if isinstance(member, Key):
      made[name] = overrides.get(name, member.default)
    elif not member.optional:
      made[name] = _default_section(member, made)
  return made


def completed(declaration: type, values: Values,
              overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
  """A section, as a dict, with the defaults of the keys that it lacks; what is not declared stays as it is.

  Args:
    declaration: the dataclass.
    values: the section, a nested mapping.
    overrides: {key: another default}.
  """
  made = dict(values)
  for name, member in declared(declaration).items():
    if isinstance(member, Key):
      made.setdefault(name, (overrides or {}).get(name, member.default))
    elif name not in made and not member.optional and isinstance(made.get(member.by, ''), str):
      made[name] = _default_section(member, made).to_dict()
    elif isinstance(made.get(name), Mapping):
      made[name] = _completed_section(member, made, made[name])
  return made


def _completed_section(member, made, values):
  if member.is_table:
    return {name: completed(member.declarations[name], entry)
            if name in member.declarations and isinstance(entry, Mapping) else entry for name, entry in values.items()}
  name = made.get(member.by) if member.by else ''
  known = isinstance(name, str) and name in member.declarations
  return completed(member.declarations[name], values, member.overrides) if known else values


def _default_section(member, made):
  if member.is_table:
    return ConfigDict({name: default(member.declarations[name]) for name in member.names})
  name = made[member.by] if member.by else ''
  return default(member.declarations[name], **member.overrides) if name in member.declarations else ConfigDict()


def read(declaration: type, values: Any, where: str) -> Any:
  """The dataclass `declaration` of a checked section `values`; raises UserError as `check`."""
  check(declaration, values, where)
  return declaration(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def numbers(declaration: type, values: Values) -> dict[str, Any]:
  """{name: number or truth value} of those entries of a section that have the name of a field of a dataclass."""
  fields = {field.name for field in dataclasses.fields(declaration)}
  return {name: value for name, value in values.items() if name in fields and isinstance(value, (int, float))}


def check(declaration: type, values: Any, where: str, overrides: Mapping[str, Any] | None = None) -> None:
  """Raises UserError unless `values`, a section of a config, can be read by the dataclass `declaration`.

  That is: it has the keys that are declared and no others, each of the declared type and within its range, and none
  but the default where the alternative that was chosen does not read it.

  Args:
    where: the section's name, as 'config.model'
    overrides: {key: another default}
  """
  if not hasattr(values, 'items'):
    raise UserError(f'{where} is {shown(values)}; expected a section, with the keys {", ".join(declared(declaration))}')
  known = declared(declaration)
  for name in values:
    if name not in known:
      raise UserError(f'{where}: key {shown(name)} is not known; {nearest(name, known)}')
  for name, member in known.items():
    if name in values:
      _check_entry(declaration, name, member, values, where)
    elif not getattr(member, 'optional', False):
      raise UserError(f"{where}: key '{name}' is missing; it says: {member.meaning}")
  for name in values:
    _check_read(name, known[name], values, where, overrides or {})


def _check_entry(declaration, name, member, values, where):
  path, value = f'{where}.{name}', values[name]
  if isinstance(member, Key):
    return _check_value(member, typing.get_type_hints(declaration)[name], value, path)
  if not member.is_table:
    chosen_name = values[member.by] if member.by else ''
    if chosen_name not in member.declarations:   # a name without a section
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
  """Raises UserError unless a value is of the kind and in the range of its Key."""
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
  """Raises UserError where a key is set that the chosen alternative does not read."""
  for other, needed in member.read_with.items():
    if _reads(needed, values[other]):
      continue
    usual = overrides.get(name, member.default) if isinstance(member, Key) else _default_section(member, values)
    if _same(values[name], usual):
      continue
    given = f'{where}.{name} is {shown(values[name])}' if isinstance(member, Key) else f'{where}.{name} is set'
    leave = f'leave it at {shown(usual)}' if isinstance(member, Key) else 'leave its keys as they are by default'
    if isinstance(needed, bool):
      raise UserError(f'{given}, but is read only where {where}.{other} is {"set" if needed else "not set"}, which is '
                      f'{shown(values[other])}; {leave}, or change the other')
    raise UserError(f'{given}, but {where}.{other} is {shown(values[other])}, which does not read it; {leave}, or set '
                    f'{other} to {" or ".join(map(shown, needed))}')


def _reads(needed, value):
  return bool(value) is needed if isinstance(needed, bool) else value in needed


def _same(value, usual):
  """Whether a value, or all of a section, is what it is by default."""
  if hasattr(usual, 'items'):
    return hasattr(value, 'items') and all(_same(value.get(name), entry) for name, entry in usual.items())
  return (tuple(value) if isinstance(value, list) else value) == usual


def shown(value: object) -> str:
  """A value as an error line shows it: on one line, at most 60 characters, none that a terminal obeys."""
  text = ascii(value) if not isinstance(value, str) else repr(value)
  text = ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
  return text if len(text) <= 60 else text[:57] + '...'
