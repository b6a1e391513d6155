"""Names in pictures: in scripts that the usual font lacks, very long ones, and of thousands of classes."""

from matplotlib import font_manager
import numpy as np
from PIL import Image
import pytest

from jgen.images import fonts, grids

STIX = next(entry.fname for entry in font_manager.fontManager.ttflist if entry.name == 'STIXGeneral')


@pytest.fixture(autouse=True)
def forgetful():
  """What is found in one test is looked for again in the next."""
  for cached in (fonts._path, fonts._installed, fonts._warn):
    cached.cache_clear()
  yield
  for cached in (fonts._path, fonts._installed, fonts._warn):
    cached.cache_clear()


def test_names_without_a_font_are_numbers_and_said_once(monkeypatch, capsys):
  monkeypatch.setattr(fonts, '_installed', lambda: (fonts._USUAL,))
  for _ in range(2):
    assert fonts.legible(('cat', '猫', 'größe', 'קט', '', 'a\nb\x1b', 'ねこ')) == (
        'cat', 'class 1', 'größe', 'קט', 'class 4', 'a b', 'class 6')
  said = capsys.readouterr().err
  assert said.startswith("warning: no installed font has the letters of '猫' or similar names: ")
  assert said.count('\n') == 1


def test_a_font_that_has_the_letters_is_taken():
  only_there = sorted(fonts._letters(STIX) - fonts._letters(fonts._USUAL) - set(range(0xe000, 0xf900)))
  letter = chr(next(code for code in only_there if chr(code).isprintable()))
  assert fonts.legible((f'a{letter}',)) == (f'a{letter}',)
  path = fonts._path(frozenset((ord(letter),)))
  assert path != fonts._USUAL and ord(letter) in fonts._letters(path)
  assert fonts.font_of(f'a{letter}', 16) is fonts._font(path, 16) is not fonts.font_of('a', 16)
  assert fonts.families_of(('a', f'b{letter}')) == ['DejaVu Sans', font_manager.FontProperties(fname=path).get_name()]
  named = grids.compose_grid(np.zeros((1, 48, 48, 1), np.uint8), 1, (letter * 5,))
  assert (named[:, :-60] < 128).any()


def test_a_font_of_boxes_counts_as_none():
  assert not any('LastResort' in path.name for path in fonts._installed())
  private = chr(0xe123)                 # a code point that no script has
  assert fonts.legible((f'x{private}',)) == ('x',)


def test_damaged_fonts_are_passed_over(tmp_path, monkeypatch):
  (tmp_path / 'x.ttf').write_bytes(b'no font')
  monkeypatch.setattr(fonts, '_installed', lambda: (tmp_path / 'x.ttf', tmp_path / 'gone.ttf'))
  assert fonts.legible(('猫',)) == ('class 0',)


@pytest.mark.parametrize('name', ['x' * 200, 'a very long name ' * 20, 'ab', 'a\nb'])
def test_names_are_no_wider_than_their_room(name):
  font = fonts.font_of(name, grids.FONT_SIZE)
  short = fonts.shortened(fonts.one_line(name), font, grids.NAME_WIDTH)
  assert font.getlength(short) <= grids.NAME_WIDTH
  if len(name) < 10:
    assert short == name.replace('\n', ' ')
  else:
    assert short[:5] == name[:5] and short[-3:] == fonts.one_line(name)[-3:] and '…' in short
  picture = grids.compose_grid(np.zeros((2, 48, 48, 1), np.uint8), 1, ('a', name))
  assert picture.shape[1] <= 52 + grids.NAME_WIDTH + 2 * grids.NAME_MARGIN + 1


@pytest.mark.parametrize(('rows', 'columns', 'side', 'shown', 'title'), [
    (3_000, 2, 16, (81, 2), '81 of 3000 rows'), (200, 10, 64, (62, 10), '62 of 200 rows'),
    (2, 500, 32, (2, 62), '62 of 500 columns'), (70, 70, 64, (62, 62), '62 of 70 rows, 62 of 70 columns'),
    (40, 4, 2_000, (2, 2), '2 of 40 rows, 2 of 4 columns'), (60, 60, 8, (60, 60), '')])
def test_sheets_are_bounded(rows, columns, side, shown, title, tmp_path, monkeypatch):
  values = np.arange(rows * columns, dtype=np.uint8)[:, None, None, None]
  images = np.broadcast_to(values, (rows * columns, side, side, 1))
  told = []
  headed = grids.headed
  monkeypatch.setattr(grids, 'headed', lambda picture, text: (told.append(text), headed(picture, text))[1])
  grids.save_grid(tmp_path / 'x.png', images, columns, tuple(map(str, range(rows))))
  width, height = Image.open(tmp_path / 'x.png').size
  assert told == ([title] if title else [])
  assert max(width, height) <= grids.MAX_SIDE + 200
  kept, kept_columns, names, _ = grids._bounded(images, columns, tuple(map(str, range(rows))), '')
  assert (len(kept) // kept_columns, kept_columns) == shown and names[0] == '0' and len(names) == shown[0]
  of_rows = np.array(names, int)
  np.testing.assert_array_equal(kept[::kept_columns, 0, 0, 0], (of_rows * columns).astype(np.uint8))
