"""The files of a run folder across interruptions, damaged ones included, and the digest of a checkpoint."""

import json
import subprocess

from helpers.published import refusal
import numpy as np
import pytest
import tensorflow as tf

from jgen.host.files import remove_temporaries
from jgen.run import environment, folder
from jgen.run.checkpoints import digest
from jgen.run.metrics import MetricsFile, read_rows
from jgen.run.tensorboard import mark_restart


def write(path, resumed_at, rows):
  metrics = MetricsFile(path, resumed_at, every=1)
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


def test_a_changed_digit_a_lost_row_and_a_lost_file_are_noticed(tmp_path, capsys):
  whole, broken = tmp_path / 'whole.csv', tmp_path / 'broken.csv'
  write(whole, 0, range(1, 11))
  write(broken, 0, range(1, 6))
  write(broken, 3, range(4, 11))
  seals = [tmp_path / f'.{path.name}.seal' for path in (whole, broken)]
  assert seals[0].read_bytes() == seals[1].read_bytes()
  content = whole.read_bytes()
  for damaged in (content.replace(b'3,-3.0', b'3,-3.5'), content[:content.index(b'10,')], content.replace(b'b', b'c')):
    whole.write_bytes(damaged)
    for act in (read_rows, lambda path: write(path, 5, [6])):
      line = refusal(act, whole)
      assert 'are not those that the run wrote' in line and f'delete {seals[0]}' in line
    assert whole.read_bytes() == damaged
  whole.unlink()
  assert 'are not those that the run wrote' in refusal(read_rows, whole)
  whole.write_bytes(content + b'11,-11.0,5.5\n12,')   # rows since the last seal, as in a run that goes on
  assert len(read_rows(whole).steps) == 11
  whole.write_bytes(content.replace(b'3,-3.0', b'3,-3.5'))
  seals[0].unlink()                     # as the line says for a change that is intended, and as in an older run
  assert read_rows(whole).values[2, 0] == -3.5
  seals[0].write_text('{"size": 3}')
  assert read_rows(whole).values[2, 0] == -3.5 and 'whole.csv is read without it' in capsys.readouterr().err


def test_a_row_that_was_cut_short_is_dropped(tmp_path):
  path = tmp_path / 'metrics.csv'
  path.write_text('step,a,b\n1,-1.0,0.5\n2,-2.')
  write(path, 1, [2])
  assert path.read_text() == 'step,a,b\n1,-1.0,0.5\n2,-2.0,1.0\n'


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


@pytest.mark.parametrize('content, message', [
    ('', 'line 2: expected the row of step 1, found none'),
    ('step,a,b\n1,1.0,1.0\n3,1.0,1.0\n4,1.0,1.0\n', 'line 3: expected the row of step 2, found 3'),
    ('step,a,b\n1,1.0,1.0\n1,1.0,1.0\n2,1.0,1.0\n', 'line 3: expected the row of step 2, found 1'),
    ('step,a,b\n2,1.0,1.0\n1,1.0,1.0\n3,1.0,1.0\n', 'line 2: expected the row of step 1, found 2'),
    ('step,a,b\n1,1.0,1.0\n2,1.0\n3,1.0,1.0\n', 'line 3: damaged, expected a step and 2 numbers'),
    ('step,a,b\n1,1.0,1.0\n2,1.0,1_0\n3,1.0,1.0\n', 'line 3: damaged'),
    ('step,a,b\n1,1.0,1.0\n2,\0.0,1.0\n3,1.0,1.0\n', 'line 3: damaged'),
    ('step,a,a\n1,1.0,1.0\n', 'line 1: damaged'), ('a,b\n1,1.0\n', 'line 1: damaged'),
    ('\0\0\0\n', 'line 1: damaged'), (b'step,\xff\n1,2\n', 'not UTF-8')])
def test_rows_that_are_missing_doubled_disordered_or_damaged_are_refused(content, message, tmp_path):
  path = tmp_path / 'metrics.csv'
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  before = path.read_bytes()
  line = refusal(write, path, 3, [4])
  assert message in line and str(path) in line and 'start a new run with another --workdir' in line
  assert path.read_bytes() == before


def test_what_follows_the_checkpoint_may_be_torn(tmp_path):
  path = tmp_path / 'metrics.csv'
  path.write_text('step,a,b\n1,-1.0,0.5\n\0\0\0\0\n3,4')   # as a power cut leaves it
  assert 'line 3: damaged' in refusal(read_rows, path)
  write(path, 1, [2])
  assert path.read_text() == 'step,a,b\n1,-1.0,0.5\n2,-2.0,1.0\n'


@pytest.mark.parametrize('content', ['', '{', '[]', '{"starts": 3}', '\0'])
def test_a_damaged_record_of_starts_never_keeps_a_run_from_going_on(content, tmp_path, capsys):
  (tmp_path / 'environment.json').write_text(content)
  environment.record_start(tmp_path, 4, 'digits')
  starts = json.loads((tmp_path / 'environment.json').read_text())['starts']
  assert [start['step'] for start in starts] == [4]
  assert (tmp_path / 'environment_damaged.json').read_text() == content
  assert 'environment_damaged.json' in capsys.readouterr().err
  environment.record_start(tmp_path, 6, 'digits')
  assert len(json.loads((tmp_path / 'environment.json').read_text())['starts']) == 2


@pytest.mark.parametrize('script', [None, 'exit 128', 'kill -9 $$'])
def test_a_git_that_is_missing_or_fails_is_recorded_as_unknown(script, tmp_path, monkeypatch):
  (tmp_path / 'bin').mkdir()
  if script:
    (tmp_path / 'bin/git').write_text(f'#!/bin/sh\n{script}\n')
    (tmp_path / 'bin/git').chmod(0o755)
  monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
  environment.record_start(tmp_path, 0, 'digits')
  start, = json.loads((tmp_path / 'environment.json').read_text())['starts']
  assert start['git'] == start['git_changes'] == 'unknown'


def test_what_a_killed_start_left_half_written_keeps_no_run_out_and_is_removed(tmp_path):
  dead = subprocess.Popen(['true'])
  dead.wait()
  left = [tmp_path / f'.config.json.{dead.pid}.tmp', tmp_path / f'samples/.step_00000004.png.{dead.pid}.tmp']
  (tmp_path / 'samples').mkdir()
  left[0].write_text('{"fam')
  assert not folder.is_free(tmp_path)   # of the samples
  (tmp_path / 'samples').rmdir()
  assert folder.is_free(tmp_path)
  (tmp_path / 'samples').mkdir()
  left[1].touch()
  mine = tmp_path / '.notes.tmp'
  mine.touch()
  remove_temporaries(tmp_path, tmp_path / 'samples', tmp_path / 'nowhere')
  assert mine.exists() and not any(path.exists() for path in left)


def test_tensorboard_shows_each_step_of_a_resumed_run_once(tmp_path):
  from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
  mark_restart(tmp_path, 3)
  assert not list(tmp_path.iterdir())   # nothing to forget
  for name, first, last in (('1000000000', 1, 7), ('', 4, 9)):
    if not name:
      mark_restart(tmp_path, 3)
    suffix = None if name else '.9.9.v2'
    with tf.summary.create_file_writer(str(tmp_path), filename_suffix=suffix).as_default():
      for step in range(first, last):
        tf.summary.scalar('loss', float(step), step)
    if name:
      written, = tmp_path.iterdir()
      written.rename(tmp_path / f'events.out.tfevents.{name}.host.1.v2')
  events = EventAccumulator(str(tmp_path), size_guidance={'tensors': 0}).Reload().Tensors('loss')
  assert [event.step for event in events] == list(range(1, 9))
