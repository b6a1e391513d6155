"""The best checkpoint across restarts, each in a process of its own, and what is left where one is damaged."""

import json
import shutil
import subprocess
import sys

from helpers.launching import ROOT
from ml_collections import ConfigDict
import numpy as np
import pytest

from jgen.errors import UserError
from jgen.families.train_state import TrainState
from jgen.run.checkpoints import Checkpoints
from jgen.run.scores import Evaluation

SECTION = ConfigDict({'keep_last': 1, 'best_metric': 'class_consistency/accuracy'})

_SAVE = """
import json
from pathlib import Path
import sys
sys.path[:0] = ['.', 'tests', 'tests/run']
import test_checkpoints
test_checkpoints.save(Path(sys.argv[1]), {int(step): score for step, score in json.loads(sys.argv[2]).items()})
"""


def state_of(step):
  return TrainState(np.int32(step), {'x': np.full(3, step, np.float32)}, {}, {}, {})


def save(folder, accuracies):
  """Opens the checkpoints of a folder and saves {step: accuracy or None}."""
  checkpoints = Checkpoints(folder, SECTION)
  for step, accuracy in accuracies.items():
    scores = {} if accuracy is None else {SECTION.best_metric: accuracy}
    checkpoints.save(step, state_of(step), scores)
  checkpoints.close()


def save_in_another_process(folder, accuracies):
  subprocess.run([sys.executable, '-c', _SAVE, folder, json.dumps(accuracies)], cwd=ROOT, check=True)


def steps_of(folder):
  return sorted(int(path.name) for path in (folder / 'checkpoints').iterdir())


def newest_and_best(folder):
  checkpoints = Checkpoints(folder, SECTION, read_only=True)
  states, damaged = checkpoints.newest_and_best(state_of(0))
  checkpoints.close()
  return {name: int(state.params['x'][0]) for name, state in states.items()}, [step for step, _ in damaged]


@pytest.fixture(scope='module')
def restarted(tmp_path_factory):
  folder = tmp_path_factory.mktemp('run')
  save_in_another_process(folder, {1: .5, 2: .9, 3: .1})
  assert steps_of(folder) == [2, 3]
  save_in_another_process(folder, {4: .5, 5: None, 6: float('nan')})
  return folder


def test_the_best_checkpoint_survives_restarts(restarted):
  assert steps_of(restarted) == [2, 6]
  assert newest_and_best(restarted) == ({'newest': 6, 'best': 2}, [])


def damage(path, old, new):
  path.write_bytes(path.read_bytes().replace(old, new))


def flip(folder, step):
  """Changes the largest file of a checkpoint's arrays."""
  path = max((folder / f'checkpoints/{step}/state').rglob('*'), key=lambda path: path.is_file() and path.stat().st_size)
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 0x10
  path.write_bytes(content)


def test_a_damaged_best_is_passed_over_and_named(restarted, tmp_path):
  folder = shutil.copytree(restarted, tmp_path / 'run')
  save(folder, {7: .3})
  assert newest_and_best(folder) == ({'newest': 7, 'best': 2}, [])
  flip(folder, 2)
  assert newest_and_best(folder) == ({'newest': 7}, [2])


def test_a_changed_score_is_looked_up_in_the_evaluation_of_its_step(restarted, tmp_path, capsys):
  folder = shutil.copytree(restarted, tmp_path / 'run')
  damage(folder / 'checkpoints/2/meta/metadata', b'0.9', b'0.2')
  assert newest_and_best(folder) == ({'newest': 6}, [])
  Evaluation(2, 'class_consistency', {'accuracy': .9}).write(folder)   # as of runs whose checkpoints hold no score
  save(folder, {7: .8, 8: None})
  assert newest_and_best(folder) == ({'newest': 8, 'best': 2}, [])


def test_a_kill_between_the_last_save_and_its_mark_leaves_nothing_out(restarted, tmp_path):
  """Where the mark is missing, a folder whose checkpoints are deleted would look like one that never saved."""
  folder = tmp_path / 'run'
  shutil.copytree(restarted, folder)
  marked = (folder / 'saved.json').read_bytes()
  (folder / 'saved.json').unlink()
  newest_and_best(folder)               # who only reads changes nothing
  assert not (folder / 'saved.json').exists()
  save(folder, {})
  assert (folder / 'saved.json').read_bytes() == marked


@pytest.mark.parametrize('content', ['[1, 2]', '[' * 100_000, '{"item_handlers": 3}'])
def test_a_damaged_file_of_orbax_is_named_and_not_needed(content, restarted, tmp_path):
  folder = tmp_path / 'run'
  shutil.copytree(restarted, folder)
  path = folder / 'checkpoints/6/_CHECKPOINT_METADATA'
  path.write_text(content)
  try:
    found = newest_and_best(folder)
  except UserError as error:
    assert f'{folder}/checkpoints cannot be read' in str(error) and '_CHECKPOINT_METADATA in it is dam' in str(error)
    path.unlink()
    found = newest_and_best(folder)
  assert found == ({'newest': 6, 'best': 2}, [])


def test_looking_at_checkpoints_says_nothing_on_the_terminal(tmp_path, caplog):
  save(tmp_path, {1: 0.5})
  caplog.clear()
  Checkpoints(tmp_path, SECTION, read_only=True).close()
  assert not [record.message for record in caplog.records if record.levelname in ('WARNING', 'ERROR')]


def test_an_older_run_without_the_mark_is_known_by_what_it_logged_after_its_second_save(tmp_path):
  checkpoints = Checkpoints(tmp_path, SECTION)
  checkpoints.check_not_lost(8, every_steps=4)   # the first save may still have been under way
  with pytest.raises(UserError, match='its checkpoints are gone'):
    checkpoints.check_not_lost(9, every_steps=4)
  checkpoints.close()
