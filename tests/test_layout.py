"""Levels of imports against docs/architecture.md, lengths of files and functions against CONTRIBUTING.md."""

import ast
import functools
from pathlib import Path
import re

ROOT = Path(__file__).parent.parent
SOURCES = {path.relative_to(ROOT / 'jgen'): ast.parse(path.read_text('utf-8'))
           for path in sorted((ROOT / 'jgen').rglob('*.py'))}


def part(path):
  """The package or module of jgen/ that a path below it belongs to; '__init__' is jgen/__init__.py."""
  return path.parts[0].removesuffix('.py')


def imported(tree):
  """The packages and modules of jgen/ that a file imports, at its top or within a function."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, 'imports are absolute'
      names = [f'{node.module}.{alias.name}' for alias in node.names]
    else:
      continue
    yield from (name.split('.')[1] for name in names if name.startswith('jgen.'))


IMPORTS = {}
for file, source in SOURCES.items():
  IMPORTS.setdefault(part(file), set()).update(set(imported(source)) - {part(file)})


@functools.cache
def level(name, importers=()):
  """1 for what imports nothing of jgen, else one more than the highest level that it imports."""
  assert name not in importers, f'import cycle: {" -> ".join((*importers, name))}'
  return 1 + max((level(other, (*importers, name)) for other in IMPORTS[name]), default=0)


def test_each_package_has_the_level_that_the_architecture_page_gives():
  page = (ROOT / 'docs/architecture.md').read_text('utf-8')
  rows = re.findall(r'^\| (\d+) \| `jgen/(\S+?)/?` \|', page, re.MULTILINE)
  listed = {part(Path(name)): int(number) for number, name in rows}
  assert listed == {name: level(name) for name in IMPORTS}


def test_files_and_functions_are_as_short_as_the_contributing_page_says():
  long_files = [path for path in SOURCES if len((ROOT / 'jgen' / path).read_text('utf-8').splitlines()) > 400]
  long_functions = [(path, node.name) for path, tree in SOURCES.items() for node in ast.walk(tree)
                    if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60]
  assert (long_files, long_functions) == ([], [])
