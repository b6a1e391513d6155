"""Self-contained pages: one file with its pictures inside, without scripts and without external resources."""

import base64
from collections.abc import Iterable, Sequence
import dataclasses
import io
import itertools
from pathlib import Path
import re
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from jgen.host.files import write_text

_TEMPLATES = Path(__file__).parent / 'templates'
MAX_PIXELS = 4_000_000    # of a picture inside a page; a larger one is reduced, and its caption says so
MAX_SIDE = 4_000          # pixels


@dataclasses.dataclass(frozen=True)
class Picture:
  """A numbered figure of a page."""

  number: int
  title: str
  caption: str
  alt: str                              # the alternative text for screen readers
  uri: str                              # data URI of the picture
  width: int
  height: int
  file: str                             # path of the file relative to the page; '' for none


@dataclasses.dataclass(frozen=True)
class Table:
  """A numbered table of a page: rows of texts."""

  number: int
  title: str
  caption: str
  rows: list
  header: tuple[str, ...] = ()
  numeric: bool = False                 # whether all columns but the first hold numbers


class Best(str):
  """The text of a cell that holds the best value of its row."""

  best = True


class Numbering:
  """Numbers figures and tables in the order in which they are created."""

  def __init__(self):
    self._figures, self._tables = itertools.count(1), itertools.count(1)

  def picture(self, path: Path, title: str, caption: str, alt: str = '', folder: Path | None = None) -> Picture:
    """The Picture of an image file; `folder` is the folder of the page, for the relative path of the file."""
    uri, (width, height), reduced = _embedded(path)
    if reduced:
      caption = f'{caption} Reduced here; the file has the full size.'
    file = str(path.relative_to(folder)) if folder else ''
    return Picture(next(self._figures), title, caption, alt or title, uri, width, height, file)

  def table(self, title: str, caption: str, rows: Iterable[Sequence[str]], header: Sequence[str] = (),
            numeric: bool = False) -> Table:
    """The Table of rows of texts; an empty table gets no number."""
    rows = [*rows]
    return Table(next(self._tables) if rows else 0, title, caption, rows, tuple(header), numeric)

  def note(self, text: str) -> Table:
    """A Table without rows whose caption is `text`."""
    return self.table('', text, [])


def _embedded(path):
  """(data URI, (width, height), whether it was reduced) of an image file."""
  content = path.read_bytes()
  with Image.open(io.BytesIO(content)) as image:
    size, kind = image.size, image.get_format_mimetype()
    share = min(1., (MAX_PIXELS / (size[0] * size[1]))**0.5, MAX_SIDE / max(size))
    if share < 1:
      size = max(1, int(size[0] * share)), max(1, int(size[1] * share))
      file = io.BytesIO()
      image.convert('RGB').resize(size, Image.Resampling.BOX).save(file, format='PNG')
      content, kind = file.getvalue(), 'image/png'
  return f'data:{kind};base64,{base64.b64encode(content).decode("ascii")}', size, share < 1


def config_text(value: object) -> str:
  """A value of a config, as written on the command line."""
  return f"({', '.join(map(repr, value))}{',' * (len(value) == 1)})" if isinstance(value, list) else str(value)


def breakable(text: object) -> Markup:
  """The escaped text, with line break opportunities in long names that do not appear in copied text."""
  return Markup(re.sub(r'([/_.@=,])(?=\w)', r'\1<wbr>', str(escape(text))))


def write_page(path: Path, template: str, **context: Any) -> Path:
  """Renders a template of this package to `path`, atomically; all texts are escaped."""
  environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
                            trim_blocks=True, lstrip_blocks=True)
  environment.filters['breakable'] = breakable
  css = Markup((_TEMPLATES / 'page.css').read_text('utf-8'))
  write_text(path, environment.get_template(template).render(css=css, **context))
  return path
