"""Names in pictures: a font that has their letters, else the class's number; no name wider than its room."""

from collections.abc import Sequence
import functools
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

from jgen.host import terminal

_USUAL = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf'   # installed wherever this runs
_FAMILIES = ('noto sans cjk', 'noto', 'source han', 'wenquanyi', 'droid sans fallback', 'ipa', 'takao', 'unifont',
             'arial unicode', 'ms gothic', 'yahei', 'simhei', 'pingfang', 'hiragino')   # looked at first, in this order


def font_of(text: str, size: int) -> ImageFont.FreeTypeFont:
  """A font of `size` pixels that has the letters of a text, the usual one where none has."""
  return _font(_path(_unusual(text)) or _USUAL, size)


def families_of(names: Sequence[str]) -> list[str]:
  """The families of fonts, for matplotlib, that have the letters of the names between them; the usual one first."""
  paths = dict.fromkeys(filter(None, (_path(_unusual(name)) for name in names)))
  others = [font_manager.FontProperties(fname=path).get_name() for path in paths if path != _USUAL]
  return ['DejaVu Sans', *dict.fromkeys(others)]


def legible(names: Sequence[str]) -> tuple[str, ...]:
  """The names of classes 0, 1, ... as pictures can show them: 'class N' where no installed font has the letters.

  Control characters and line breaks become spaces. One line on stderr names what is missing, once in a process.
  """
  clean = list(map(one_line, names))
  missing = [name for name in clean if _path(_unusual(name)) is None]
  if missing:
    _warn(missing[0])
  return tuple(name if name and _path(_unusual(name)) else f'class {number}' for number, name in enumerate(clean))


def one_line(text: object) -> str:
  """The text with a space for line breaks, control characters and what else cannot be drawn."""
  return ' '.join(''.join(letter if letter.isprintable() else ' ' for letter in str(text)).split())


def shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
  """The text, its middle left out where it would be wider than `width` pixels."""
  if font.getlength(text) <= width:
    return text
  kept = len(text) - 1
  while kept > 2 and font.getlength(_without_middle(text, kept)) > width:
    kept = min(kept - 1, int(kept * max(0.5, width / font.getlength(_without_middle(text, kept)))))
  return _without_middle(text, kept)


def _without_middle(text, kept):
  return text[:kept - kept // 2] + '…' + text[len(text) - kept // 2:]


@functools.cache
def _font(path, size):
  return ImageFont.truetype(path, size)


@functools.cache
def _letters(path):
  """The code points that a font has; none where it cannot be read."""
  try:
    return frozenset(FT2Font(str(path)).get_charmap())
  except (OSError, RuntimeError, ValueError):
    return frozenset()


@functools.cache
def _unusual(text):
  return frozenset(map(ord, text)) - _letters(_USUAL)


@functools.cache
def _path(letters):
  """The file of a font that has all of these code points and the usual letters; None where none is installed."""
  if not letters:
    return _USUAL
  wanted = letters | set(map(ord, 'AZaz09'))
  return next((path for path in _installed() if wanted <= _letters(path)), None)


@functools.cache
def _installed():
  def rank(entry):
    name = entry.name.lower()
    return next((n for n, family in enumerate(_FAMILIES) if family in name), len(_FAMILIES)), entry.weight != 400, name
  drawing = [entry for entry in font_manager.fontManager.ttflist if 'last resort' not in entry.name.lower()]   # boxes
  return tuple(dict.fromkeys(Path(entry.fname) for entry in sorted(drawing, key=rank)))


@functools.cache
def _warn(name):
  terminal.warn(f"no installed font has the letters of '{name}' or of names like it: pictures show the numbers of "
                'these classes; install one, for Chinese, Japanese and Korean the package fonts-noto-cjk')
