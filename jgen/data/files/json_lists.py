"""Annotation lists of image files, written as JSON.

  {"labels": [["00000/img00000000.png", 6], ...]}     StyleGAN's dataset.json; a label may be a list of numbers
  {"a.png": 3, ...} or {"a.png": {"hair": "red"}, ...}
  [{"file_name": "a.png", "hair": "red"}, ...]
  {"file_name": "a.png", "hair": "red"}               one object per line (.jsonl), as in Hugging Face's metadata.jsonl
"""

import json

from jgen.errors import UserError

_FILE, _LABEL = 'filename', 'label'     # column names for files that have none


def rows_of(text: str, where: str) -> list[list[str]]:
  """The rows, lists of str of equal length; the first row holds the column names.

  Raises:
    UserError: no JSON, or none of the forms above.
  """
  records = _records(_parsed(text, where), where)
  columns = list(dict.fromkeys(name for record in records for name in record))
  return [columns, *([_text(record.get(name)) for name in columns] for record in records)]


def _parsed(text, where):
  try:
    return json.loads(text)
  except (ValueError, RecursionError) as error:
    whole_text_error = error
  try:
    return [json.loads(line) for line in text.splitlines() if line.strip()]
  except (ValueError, RecursionError):
    message = ' '.join(str(whole_text_error).split())[:100]
    raise UserError(f'{where}: is not JSON ({message}); fix the file or download it again') from whole_text_error


def _records(content, where):
  if isinstance(content, dict) and {'images', 'annotations'} <= content.keys():
    raise UserError(f'{where}: is a list of objects in images, as in COCO; expected one row per image')
  if isinstance(content, dict) and 'labels' in content:
    return _of_stylegan(content['labels'], where)
  if isinstance(content, dict):
    content = [{_FILE: name, **(value if isinstance(value, dict) else _numbered(value))}
               for name, value in content.items()]
  if not isinstance(content, list) or not content or not all(isinstance(record, dict) for record in content):
    raise UserError(f"{where}: holds no list of images; expected {{'labels': [[FILE, LABEL], ...]}}, "
                    "{FILE: LABEL, ...} or one object per image")
  return content


def _of_stylegan(labels, where):
  if not labels:
    raise UserError(f'{where}: its labels are {labels!r}, so it holds no annotations; do not name this file')
  pairs = list(labels.items()) if isinstance(labels, dict) else labels
  if not isinstance(pairs, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
    raise UserError(f"{where}: its labels are not pairs; expected {{'labels': [[FILE, LABEL], ...]}}")
  return [{_FILE: name, **_numbered(value)} for name, value in pairs]


def _numbered(value):
  """{column: value}, one column for each entry of a list."""
  if not isinstance(value, list):
    return {_LABEL: value}
  return {f'{_LABEL}_{n}': entry for n, entry in enumerate(value, start=1)}


def _text(value):
  return '' if value is None else value.strip() if isinstance(value, str) else json.dumps(value)
