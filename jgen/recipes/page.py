"""The page docs/config.md: every key with its default, range and meaning, made from the declarations.

  python -m jgen.recipes.page > docs/config.md
"""

import typing

from jgen import evaluation, families, keys
from jgen.host import terminal
from jgen.keys import Key
from jgen.training.config import Config

_INTRODUCTION = """# Every key of a config

<!-- Made by `python -m jgen.recipes.page > docs/config.md` from the declarations in jgen/; edit those. -->

A config is a file with a function `get_config`; those in `configs/` start from `jgen.recipes` and override defaults. On
the command line a key is `--config.KEY=VALUE`, a tuple `--config.KEY="(1, 2)"`.

Before anything is trained, `jgen.keys.check` refuses a key that is misspelt or missing, a value of another type, NaN,
infinity where it has no meaning, a value out of its range, and a value other than the default of a key that the chosen
alternative does not read: `momentum` with `name='adam'`.
"""


def page() -> str:
  """The text of docs/config.md."""
  shared = _shared()
  parts = [_INTRODUCTION, '## The whole config\n\n' + _table(Config, shared)]
  parts += ['## Evaluators: `evaluators.NAME`\n\nEach is documented where it is defined, in `jgen/evaluation/`.']
  parts += [f'### `evaluators.{name}`\n\n{_summary(evaluator)}\n\n{_table(evaluator, shared)}'
            for name, evaluator in sorted(evaluation.EVALUATORS.items())]
  parts += ['## Models: `model`, by `family`']
  parts += [f'### `family={name}`\n\n{_summary(declaration)}\n\n{_table(declaration, shared)}'
            for name, declaration in families.KEYS.items()]
  parts += ['## Sections that occur in several places']
  parts += [f'### {title}\n\n{_summary(declaration)}\n\n{_table(declaration, shared)}'
            for declaration, title in shared.items()]
  return '\n\n'.join(part.strip() for part in parts) + '\n'


def _shared():
  """{dataclass: its heading} of the sections within sections that have others' places too, as an optimizer has."""
  places: dict[type, int] = {}
  def visit(declaration):
    for member in keys.declared(declaration).values():
      if not isinstance(member, Key) and not member.by and not member.is_table:
        inner = member.declarations['']
        places[inner] = places.get(inner, 0) + 1
        if places[inner] == 1:
          visit(inner)
  for declaration in (Config, *families.KEYS.values()):
    visit(declaration)
  return {declaration: _title(declaration) for declaration, count in places.items() if count > 1}


def _title(declaration):
  module = declaration.__module__.rsplit('.', 1)[-1]
  return f'`{module}.{declaration.__name__}`'


def _summary(declaration):
  return declaration.__doc__.split('\n\n')[0].replace('\n', ' ')


def _table(declaration, shared):
  rows = list(_rows(declaration, '', {}, shared))
  return '\n'.join(['| key | default | range | meaning |', '|---|---|---|---|', *rows])


def _rows(declaration, prefix, overrides, shared):
  hints = typing.get_type_hints(declaration)
  for name, member in keys.declared(declaration).items():
    if isinstance(member, Key):
      yield _row(prefix + name, member, hints[name], overrides.get(name, member.default))
    else:
      yield from _section_rows(prefix + name, member, shared)


def _row(path, member, kind, default):
  """A line of the table of one Key."""
  kind = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind
  values = 'one of ' + ', '.join(f'`{name or repr(name)}`' for name in member.names) if member.names else member.range()
  values = values or ('True or False' if kind is bool else 'any string' if kind is str else 'any')
  return f'| `{path}` | `{default!r}` | {values} | {member.meaning}{_read_with(member)} |'


def _read_with(member):
  """When a key is read, in words."""
  words = []
  for other, needed in member.read_with.items():
    words.append(f'where `{other}` is {"set" if needed else "not set"}' if isinstance(needed, bool) else
                 f'where `{other}` is ' + ' or '.join(f'`{value}`' for value in needed))
  return f'; read {" and ".join(words)}' if words else ''


def _section_rows(path, member, shared):
  meaning = member.meaning or 'a section'
  if member.is_table:
    yield f'| `{path}.NAME` | | | {meaning}: [below](#evaluators-evaluatorsname) |'
  elif member.by:
    yield f'| `{path}` | | | {meaning}: [below](#models-model-by-family) |'
  elif member.declarations[''] in shared:
    changed = ', '.join(f'`{name}={value!r}`' for name, value in member.overrides.items())
    title = shared[member.declarations['']]
    anchor = title.strip('`').lower().replace('.', '')
    yield f'| `{path}` | {changed} | | {meaning}, with the keys of [{title}](#{anchor}){_read_with(member)} |'
  else:
    yield f'| `{path}` | | | {meaning}{_read_with(member)}: |'
    yield from _rows(member.declarations[''], f'{path}.', member.overrides, shared)


if __name__ == '__main__':
  terminal.say(page(), end='')
