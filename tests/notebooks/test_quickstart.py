"""notebooks/quickstart.ipynb: what it stores."""

import json
from pathlib import Path
import re

NOTEBOOK = Path(__file__).parent.parent.parent / 'notebooks' / 'quickstart.ipynb'


def texts(cell):
  """What a code cell has printed and shown as text."""
  return ' '.join(''.join(output.get('text', '')) + ''.join(output.get('data', {}).get('text/plain', ''))
                  for output in cell['outputs'])


def test_the_stored_outputs_are_those_of_a_whole_run_and_small():
  assert NOTEBOOK.stat().st_size < 300_000
  cells = [cell for cell in json.loads(NOTEBOOK.read_text('utf-8'))['cells'] if cell['cell_type'] == 'code']
  assert not [output for cell in cells for output in cell['outputs'] if output['output_type'] == 'error']
  assert sum('image/png' in output.get('data', {}) for cell in cells for output in cell['outputs']) >= 5
  assert not re.search(r'/(home|root|tmp|Users|content)/', ' '.join(map(texts, cells)))
