"""--mode=list: the included configs, what each reproduces and which data it needs."""

from collections.abc import Sequence
from pathlib import Path

from jgen import data
from jgen.errors import UserError
from jgen.host import terminal
from jgen.run import config_file


def run(paths: Sequence[Path], workdir: Path | None = None) -> None:
  """Prints a table of the configs in configs/, by data set; raises UserError for any argument."""
  del workdir
  if paths:
    raise UserError(f"--mode=list takes no argument, but '{paths[0]}' was given")
  terminal.say(listing())


def listing() -> str:
  """The table: for each data set what it needs, then one line per config with the first line of its docstring."""
  by_data: dict[str, list[tuple[str, str]]] = {}
  for file in sorted((config_file.ROOT / 'configs').glob('*.py')):
    config = config_file.load(str(file))
    by_data.setdefault(config.data.name, []).append((file.stem, abstract(file)))
  width = max(len(name) for entries in by_data.values() for name, _ in entries)
  lines = ['python launch.py --config=NAME trains one; the first lines of configs/NAME.py give the full command.']
  for name in sorted(by_data, key=lambda name: (name != 'digits', name)):
    lines += ['', f'{name}: {data.READERS[name].NEEDS}']
    lines += [f'  {config:<{width}}  {summary}' for config, summary in by_data[name]]
  return '\n'.join(lines)


def abstract(file: str | Path) -> str:
  """The first sentence of a config's docstring."""
  return Path(file).read_text('utf-8').removeprefix('"""').split('\n', 1)[0].strip().removesuffix('"""')
