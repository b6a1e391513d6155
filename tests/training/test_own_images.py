"""A run inside the folder of its training images, resumed there and elsewhere: it keeps its original images."""

import json
import shutil

from helpers import tiny
from helpers.pictures import encoded, put, smooth
from helpers.published import refusal
import pytest

from jgen.commands import train

pytestmark = pytest.mark.usefixtures('few_figures')


def test_a_run_among_its_images_learns_from_these_alone(tmp_path):
  pictures = tmp_path / 'pics'
  put(pictures, {f'{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(24)})
  run = pictures / 'runs' / 'vae'
  config = tiny.vae(**{
      'data.name': 'folder', 'data.dir': str(pictures), 'data.splits': ('all',), 'data.test_splits': (),
      'data.cache_dir': str(tmp_path / 'cache'), 'data.channels': 1, 'num_steps': 2, 'batch_size': 4,
      'sample_every_steps': 1, 'evaluate_every_steps': 0})
  with config.unlocked():
    config.evaluators = {}
  train.run(config, run, '')
  assert len(list(run.glob('samples/*.png'))) >= 2
  config.num_steps = 4
  train.run(config, run, '')
  assert json.loads((run / 'images.json').read_text())['train']['count'] == 24

  shutil.copytree(pictures, tmp_path / 'scratch', ignore=shutil.ignore_patterns('runs'))
  config.data.dir, config.num_steps = str(tmp_path / 'scratch'), 6
  train.run(config, run, '')
  assert (run / 'checkpoints' / '6').exists()

  put(tmp_path / 'scratch', {'24.png': encoded(smooth(24, 9, 9), 'PNG')})
  config.num_steps = 8
  stored = (run / 'config.json').read_bytes()
  line = refusal(train.run, config, run, '')
  assert line.startswith(f'the training images have changed since the run in {run} began: 24 from {pictures}: all '
                         f'then, 25 from {tmp_path}/scratch: all now; restore them, or name another --workdir')
  assert (run / 'config.json').read_bytes() == stored and not (run / 'checkpoints' / '8').exists()
