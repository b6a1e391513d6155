"""notebooks/quickstart.ipynb: executed as a reader executes it, with few steps."""

import json
from pathlib import Path
import re

from helpers import compiling
import pytest

NOTEBOOK = Path(__file__).parent.parent.parent / 'notebooks' / 'quickstart.ipynb'


def texts(cell):
  """What a code cell has printed and shown as text."""
  return ' '.join(''.join(output.get('text', '')) + ''.join(output.get('data', {}).get('text/plain', ''))
                  for output in cell['outputs'])


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path, monkeypatch):
  nbclient = pytest.importorskip('nbclient', reason="needs nbclient and ipykernel: pip install -e '.[test]'")
  pytest.importorskip('ipykernel', reason="needs nbclient and ipykernel: pip install -e '.[test]'")
  import nbformat
  monkeypatch.setenv('JGEN_NOTEBOOK_STEPS', '20')
  monkeypatch.setenv('JGEN_NOTEBOOK_RUNS', str(tmp_path))
  # The usual convolutions, which run faster: 100 steps of 64 images are more than in other tests.
  monkeypatch.setenv('XLA_FLAGS', compiling.flags(devices=1))
  monkeypatch.delenv('JGEN_CONVOLUTION', raising=False)
  notebook = nbformat.read(NOTEBOOK, as_version=4)
  nbclient.NotebookClient(notebook, timeout=900, resources={'metadata': {'path': str(NOTEBOOK.parent)}}).execute()
  shown = [texts(cell) for cell in notebook.cells if cell.cell_type == 'code']
  assert f'{tmp_path}/digits_gan: gan of digits at 16x16x1, 10 classes' in ' '.join(shown)
  assert '(100, 16, 16, 1) uint8' in ' '.join(shown) and "'psnr'" in ' '.join(shown)
  assert (tmp_path / 'digits_comparison/comparison.html').exists() and (tmp_path / 'digits_gan/report.html').exists()
  origin = json.loads((tmp_path / 'digits_gan/origin.json').read_text())
  assert origin['command'].startswith('python launch.py --config=jgen/recipes/stored.py:')


def test_the_stored_outputs_are_those_of_a_whole_run_and_small():
  assert NOTEBOOK.stat().st_size < 300_000
  cells = [cell for cell in json.loads(NOTEBOOK.read_text('utf-8'))['cells'] if cell['cell_type'] == 'code']
  assert not [output for cell in cells for output in cell['outputs'] if output['output_type'] == 'error']
  assert sum('image/png' in output.get('data', {}) for cell in cells for output in cell['outputs']) >= 5
  assert not re.search(r'/(home|root|tmp|Users|content)/', ' '.join(map(texts, cells)))
