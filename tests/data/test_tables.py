"""Tables of annotations of image files, parsed from bytes."""

import numpy as np
import pytest

from jgen.data.files.tables import read_table, split_numbers
from jgen.errors import UserError


@pytest.mark.parametrize('stem', ['face', 'Gesicht ä'.replace(' ', '_'), '顔'])
def test_columns_between_spaces_are_as_python_splits_them(stem):
  rng = np.random.default_rng(0)
  values = rng.choice(['-1', '1', '0.25', 'x', 'größer' if stem != 'face' else 'larger'], (300, 4))
  spaces = iter(rng.choice([' ', '  ', '\t', ' \t '], 300 * 4))
  ends = rng.choice(['\n', ' \n', '\r\n', '\n\n', '\n   \n'], 300)
  rows = [f'{stem}{n}.jpg' + ''.join(next(spaces) + value for value in row) for n, row in enumerate(values)]
  text = ''.join(row + end for row, end in zip(rows, ends, strict=True))
  expected = [row.split() for row in rows]
  table = read_table(text.encode(), 'list.txt', header=('a', 'b', 'c', 'd'))
  assert table.rows == {row[0].removesuffix('.jpg'): n for n, row in enumerate(expected)}
  assert [list(column) for column in zip(*table.columns.values(), strict=True)] == [row[1:] for row in expected]
  assert list(table.columns) == ['a', 'b', 'c', 'd']


@pytest.mark.parametrize(('rows', 'line'), [
    (['a.jpg 1 2', 'b.jpg 1', 'c.jpg 1 2'], 'row 2 has 2 cells, expected 3'),
    (['a.jpg 1 2 3', 'b.jpg 1', 'c.jpg 1 2'], 'row 1 has 4 cells, expected 3'),   # nine in all, as of three
    (['a.jpg 1 2', 'b.jpg 1 2 c.jpg', '1 2'], 'row 2 has 4 cells, expected 3'),
    (['a.jpg 1 2', 'b.jpg 1 2', 'folder/a.jpg 1 2'], "names 'a' twice"),
])
def test_rows_of_another_length_are_refused(rows, line):
  for name, separator in (('list.txt', ' '), ('list.csv', ',')):
    text = '\n'.join(row.replace(' ', separator) for row in rows)
    with pytest.raises(UserError, match=line):
      read_table(text.encode(), name, header=('x', 'y'))


@pytest.mark.parametrize(('name', 'text'), [
    ('list.txt', 'a.jpg 0\nb.jpg 2\nc.jpg 1'), ('list.csv', 'file,set\na.jpg,train\nb.jpg,TEST\nc.jpg,val')])
def test_the_splits_of_a_list(name, text):
  assert split_numbers(read_table(text.encode(), name, keys=('a', 'b', 'c'))) == {'a': 0, 'b': 2, 'c': 1}
