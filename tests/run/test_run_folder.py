"""The rows of metrics.csv across interruptions, and the digest of a checkpoint."""

import numpy as np

from jgen.run.checkpoints import digest
from jgen.run.folder import MetricsFile


def write(path, resumed_at, rows):
  metrics = MetricsFile(path, resumed_at)
  for step in rows:
    metrics.write(step, {'b': step / 2, 'a': -step})
  metrics.close()


def test_rows_after_the_checkpoint_are_written_again_and_none_twice(tmp_path):
  whole, broken = tmp_path / 'whole.csv', tmp_path / 'broken.csv'
  write(whole, 0, range(1, 11))
  write(broken, 0, range(1, 8))
  write(broken, 4, range(5, 11))   # resumed from the checkpoint of step 4
  assert broken.read_text() == whole.read_text()
  assert whole.read_text().splitlines()[:2] == ['step,a,b', '1,-1.0,0.5']


def test_a_row_that_was_cut_short_is_dropped(tmp_path):
  path = tmp_path / 'metrics.csv'
  path.write_text('step,a,b\n1,-1.0,0.5\n2,-2.')
  write(path, 2, [3])
  assert path.read_text() == 'step,a,b\n1,-1.0,0.5\n3,-3.0,1.5\n'


def test_a_header_that_was_cut_short_is_written_again(tmp_path):
  path = tmp_path / 'metrics.csv'
  path.write_text('step,a')
  write(path, 0, [1])
  assert path.read_text() == 'step,a,b\n1,-1.0,0.5\n'


def test_every_bit_of_a_state_is_in_its_digest():
  state = {'x': np.arange(6, dtype=np.float32), 'y': {'z': np.int32(3)}}
  flipped = state['x'].copy()
  flipped.view(np.uint32)[4] ^= 1
  assert digest(state) == digest({'x': state['x'].copy(), 'y': {'z': np.int32(3)}})
  others = [{**state, 'x': flipped}, {**state, 'x': state['x'].reshape(2, 3)},
            {**state, 'x': state['x'].view(np.int32)}, {'y': state['y'], 'w': state['x']}]
  assert len({digest(other) for other in [state, *others]}) == 5
