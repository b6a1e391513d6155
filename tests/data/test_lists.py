"""Lists of labels: other separators, JSON, empty cells, unnamed columns, and files that are no lists."""

import json
import pickle

from helpers.pictures import encoded, put, smooth
from helpers.published import refusal, section
import pytest

from jgen import data

NAMES = tuple('abcdef')


def wanted(tmp_path, content, file='list.csv', count=4, **others):
  """A config.data of `count` images a.png, b.png, ... and a list of that content."""
  put(tmp_path / 'data', {f'{name}.png': encoded(smooth(n, 9, 9), 'PNG') for n, name in enumerate(NAMES[:count])})
  put(tmp_path, {file: content})
  return section('folder', tmp_path / 'data', image_size=8, cache_dir=tmp_path / 'cache',
                 **{'splits': ('all',), 'label_file': str(tmp_path / file), **others})


RED = 'file,hair,age\na.png,red,1\nb.png,fair,2\nc.png,red,10\nd.png,fair,2\n'


@pytest.mark.parametrize(('file', 'content'), [
    ('list.csv', RED), ('list.csv', RED.replace(',', ';')), ('list.csv', RED.replace(',', '\t')),
    ('list.tsv', RED.replace(',', '\t')), ('list.txt', RED.replace(',', '\t')), ('list.txt', RED.replace(',', ';')),
    ('list.csv', RED.encode('utf-16')), ('list.csv', '\ufeff' + RED), ('list.csv', RED.replace('\n', '\r\n')),
    ('list.csv', RED.replace('a.png', r'faces\a.png').replace('b.png', r'C:\My Pictures\b.png')),
    ('list.csv', '\n'.join(f'{n - 1 if n else ""},{line}' for n, line in enumerate(RED.splitlines()))),
    ('list.csv', '\n'.join(f'{line},{n - 1 if n else "Unnamed: 0"}' for n, line in enumerate(RED.splitlines()))),
    ('list.csv', '\n'.join(f'{line},,' for line in RED.splitlines())),
    ('list.csv', RED.replace('file,', 'portrait,')), ('list.csv', 'hair,portrait,age\n' + ''.join(
        ','.join((row.split(',') + row.split(','))[i] for i in (1, 0, 2)) + '\n' for row in RED.splitlines()[1:])),
    ('list.jsonl', ''.join(json.dumps({'file_name': f'{n}.png', 'hair': h, 'age': a}) + '\n' for n, h, a in zip(
        'abcd', ('red', 'fair', 'red', 'fair'), (1, 2, 10, 2), strict=True))),
    ('list.json', json.dumps({f'{n}.png': {'hair': h, 'age': a} for n, h, a in zip(
        'abcd', ('red', 'fair', 'red', 'fair'), (1, 2, 10, 2), strict=True)})),
])
def test_lists_that_are_read(file, content, tmp_path):
  dataset = data.load(wanted(tmp_path, content, file, label='hair'))
  assert {a.name: a.values for a in dataset.spec.annotations} == {'hair': ('fair', 'red'), 'age': ('1', '2', '10')}
  assert dataset.labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize('content', [
    {'labels': [['00000/a.png', 0], ['00000/b.png', 1], ['00001/c.png', 1], ['00001/d.png', 0]]},
    {'labels': {'a.png': 0, 'b.png': 1, 'c.png': 1, 'd.png': 0}}, {'a.png': 0, 'b': 1, 'x/c.png': 1, 'd.png': 0},
    [{'path': 'a.png', 'label': False}, {'path': 'b.png', 'label': True}, {'path': 'c.png', 'label': True},
     {'path': 'd.png', 'label': False}]])
def test_a_dataset_json_of_stylegan_and_its_like(content, tmp_path):
  dataset = data.load(wanted(tmp_path, json.dumps(content), 'dataset.json', label='label'))
  assert dataset.labels.tolist() == [0, 1, 1, 0]
  vectors = {'labels': [[f'{name}.png', [n, 1 - n]] for n, name in zip((0, 1, 1, 0), NAMES, strict=False)]}
  spec = data.describe(wanted(tmp_path, json.dumps(vectors), 'dataset.json'))
  assert [annotation.name for annotation in spec.annotations] == ['label_1', 'label_2']


def test_empty_cells_are_no_class(tmp_path, capsys):
  content = 'file,hair,age\na.png,red,1\nb.png,,2\nc.png,fair,\nd.png,red,10\n'
  dataset = data.load(wanted(tmp_path, content, label='hair'))
  assert dataset.spec.label_names == ('fair', 'red') and dataset.labels.tolist() == [1, 0, 1]
  assert "warning: 1 of 4 images are left out: b.png: has no value of 'hair' in list.csv" in capsys.readouterr().err
  assert {a.name: a.values for a in dataset.spec.annotations}['age'] == ('1', '2', '10', '(empty)')
  assert dataset.annotations[:, 1].tolist() == [0, 3, 2]
  unlabelled = data.load(wanted(tmp_path, content))
  assert unlabelled.annotations[:, 0].tolist() == [1, 2, 0, 1]
  assert "gives no image a value of 'hair'" in refusal(
      data.load, wanted(tmp_path, 'file,hair,x\n' + ''.join(f'{n}.png,,1\n' for n in 'abcd'), label='hair'))


def test_columns_of_many_values_are_said_and_taken_when_asked_for(tmp_path):
  rows = ''.join(f'{n}.png,person{i},{i}\n' for i, n in enumerate(NAMES[:4]))
  more = ''.join(f'x{i}.png,person{i % 300},{i}\n' for i in range(700))
  config = wanted(tmp_path, 'file,identity,number\n' + rows + more)
  dataset = data.load(config)
  assert not dataset.spec.annotations
  assert dataset.notes[1] == (f'columns of {tmp_path}/list.csv that are not annotations, having more than 256 values: '
                              'identity (300 values), number (700 values); --config.data.label=COLUMN uses one as the '
                              'label')
  config.label = 'identity'
  assert data.load(config).spec.num_classes == 300
  config.label = 'number'
  assert refusal(data.load, config) == (f"{tmp_path}/list.csv: the column 'number' has 700 values in 704 rows, too "
                                        'many for a label; expected at least two images per value')


@pytest.mark.parametrize(('content', 'line'), [
    (b'PK\x03\x04xl/', 'is a zip or an Excel file; save the sheet as .csv; expected a text file with one row '
     'per file'),
    (b'\xd0\xcf\x11\xe0', 'is an Excel file'), (b'PAR1', 'is a Parquet file'),
    (b'\x1f\x8b\x08', 'is a gzip file; unpack'),
    (pickle.dumps({'a.png': 1}), 'is pickled, and unpickling can run any code; save it as .csv'),
    (pickle.dumps({'a.png': 1}, 2), 'is pickled'), (b'SQLite format 3\0', 'is an SQLite database'),
    (b'\x93NUMPY', 'is a numpy array'), (b'%PDF-1.4', 'is a PDF file'), (b'\x89HDF\r\n', 'is an HDF5 file'),
    (b'\xff\xfea', 'is not UTF-8 text'),
    ('größe,a\n'.encode('latin-1'), 'is not UTF-8 text; expected a list with one row'),
    (b'<!doctype html>', 'is not a list, but perhaps a web page'), (b'', 'is empty'), (b'\n\n', 'is empty'),
    (b'[1, 2]', 'holds no list of images; expected'), (b'{}', 'holds no list of images'),
    (b'{"labels": null}', 'its labels are None, so it holds no annotations; do not name this file'),
    (b'{"labels": [1, 2]}', 'its labels are not pairs'), (b'{"labels": "x"}', 'its labels are not pairs'),
    (b'{"images": [], "annotations": []}', 'is a list of objects in images, as in COCO; expected one row per image'),
    (b'{"a": 1,}', 'is not JSON ('), (b'[' * 100_000 + b']', 'is not JSON ('),
    (b'[{"x": 1}, 2]', 'holds no list of images'),
])
def test_files_that_are_no_list_are_named(content, line, tmp_path):
  said = refusal(data.describe, wanted(tmp_path, content))
  assert said.startswith(f'{tmp_path}/list.csv: ') and line in said
