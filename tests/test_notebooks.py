"""The notebooks run from the first cell to the last, and show what they say."""

from pathlib import Path

import pytest

nbclient = pytest.importorskip('nbclient', reason="needs nbclient: pip install -e '.[test]'")
import nbformat  # noqa: E402, it comes with nbclient

ROOT = Path(__file__).parent.parent


def test_the_quickstart_trains_samples_encodes_and_compares(tmp_path, monkeypatch):
  # Optimised, unlike other tests: what is not takes minutes for ten steps of these networks.
  for name, value in {'JGEN_NOTEBOOK_STEPS': '10', 'PYTHONPATH': str(ROOT), 'XLA_FLAGS': '', 'JGEN_CONVOLUTION': 'fast',
                      'PYDEVD_DISABLE_FILE_VALIDATION': '1'}.items():
    monkeypatch.setenv(name, value)
  notebook = nbformat.read(ROOT / 'notebooks' / 'quickstart.ipynb', as_version=4)
  assert not any(cell.get('outputs') for cell in notebook.cells)   # none is stored, which would be of another version
  nbclient.NotebookClient(notebook, timeout=600, kernel_name='python3',
                          resources={'metadata': {'path': str(tmp_path)}}).execute()
  shown = [output for cell in notebook.cells for output in cell.get('outputs', ())]
  assert sum('image/png' in output.get('data', {}) for output in shown) >= 8   # grids and plots
  printed = ''.join(output.get('text', '') + output.get('data', {}).get('text/plain', '') for output in shown)
  assert 'step 10 of 10' in printed and 'proxy_fid' in printed and '((4, 16, 16, 1), (4, 32))' in printed
  assert (tmp_path / 'runs' / 'notebook_vae' / 'spec.json').exists()
