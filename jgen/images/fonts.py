"""Names in pictures: fonts that have their letters, with class numbers as fallback, and shortening to a width."""

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
             'arial unicode', 'ms gothic', 'yahei', 'simhei', 'pingfang', 'hiragino')   # preferred, in this order


def font_of(text: str, size: int) -> ImageFont.FreeTypeFont:
  """A font of `size` pixels that has the letters of a text; the default font if none has them."""
  return _font(_path(_unusual(text)) or _USUAL, size)


def families_of(names: Sequence[str]) -> list[str]:
  """Font families for matplotlib that together have the letters of all names; the default family is first."""
  paths = dict.fromkeys(filter(None, (_path(_unusual(name)) for name in names)))
  others = [font_manager.FontProperties(fname=path).get_name() for path in paths if path != _USUAL]
  return ['DejaVu Sans', *dict.fromkeys(others)]


def legible(names: Sequence[str]) -> tuple[str, ...]:
  """The names of classes 0, 1, ... for pictures: 'class N' if no installed font has the letters of a name.

  Control characters and line breaks become spaces. Warns about missing letters once per process.
  """
  clean = list(map(one_line, names))
  missing = [name for name in clean if _path(_unusual(name)) is None]
  if missing:
    _warn(missing[0])
  return tuple(name if name and _path(_unusual(name)) else f'class {number}' for number, name in enumerate(clean))


def one_line(text: object) -> str:
  """The text on one line, with a space for each run of whitespace and unprintable characters."""
  return ' '.join(''.join(letter if letter.isprintable() else ' ' for letter in str(text)).split())


def shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
  """The text, with an ellipsis for its middle if it is wider than `width` pixels."""
  if font.getlength(text) <= width:
    return text
  length = len(text) - 1
  while length > 2 and font.getlength(_without_middle(text, length)) > width:
    length = min(length - 1, int(length * max(0.5, width / font.getlength(_without_middle(text, length)))))
  return _without_middle(text, length)


def _without_middle(text, length):
  return text[:length - length // 2] + '…' + text[len(text) - length // 2:]


@functools.cache
def _font(path, size):
  return ImageFont.truetype(path, size)


@functools.cache
def _letters(path):
  """The code points of a font; empty if the font cannot be read."""
  try:
    return frozenset(FT2Font(str(path)).get_charmap())
  except (OSError, RuntimeError, ValueError):
    return frozenset()


@functools.cache
def _unusual(text):
  return frozenset(map(ord, text)) - _letters(_USUAL)


@functools.cache
def _path(letters):
  """The file of an installed font that has all of these code points and basic Latin letters; None if there is none."""
  if not letters:
    return _USUAL
  wanted = letters | set(map(ord, 'AZaz09'))
  return next((path for path in _installed() if wanted <= _letters(path)), None)


@functools.cache
def _installed():
  def rank(entry):
    name = entry.name.lower()
    return next((n for n, family in enumerate(_FAMILIES) if family in name), len(_FAMILIES)), entry.weight != 400, name
  # "Last Resort" fonts draw a box for every letter
  entries = [entry for entry in font_manager.fontManager.ttflist if 'last resort' not in entry.name.lower()]
  return tuple(dict.fromkeys(Path(entry.fname) for entry in sorted(entries, key=rank)))


@functools.cache
def _warn(name):
  terminal.warn(f"no installed font has the letters of '{name}' or similar names: pictures show the numbers of "
                'these classes; install a font, for Chinese, Japanese and Korean the package fonts-noto-cjk')
