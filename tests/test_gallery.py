"""The gallery: tiny systems trained in child processes, the table, and the division of the time."""

import importlib
import json
from pathlib import Path
import subprocess
import time

from helpers.launching import ROOT, TINY, environment
import numpy as np
from PIL import Image
import pytest

from benchmarks import gallery, gallery_systems, gallery_table
from benchmarks.gallery_systems import System
from jgen.errors import UserError
from jgen.run import config as config_lib

KEYS = dict(flag.removeprefix('--config.').split('=') for flag in TINY) | {
    'sample_every_steps': 4, 'log_every_steps': 2, 'num_steps': 8, 'steps_per_dispatch': 1}
NUMBERS, PICTURES = ('class_consistency/accuracy',), ('samples/step_*.png',)
SYSTEMS = {
    'long': System('R0', 'quickstart', 'digits', 'FID 7', NUMBERS, PICTURES,
                   small=KEYS | {'num_steps': 10**6, 'seed': 3}),
    'wrong': System('R0', 'quickstart', 'digits', '', NUMBERS, PICTURES, small=KEYS | {'batch_size': 0})}


class OutOfTimeAtStep10(subprocess.Popen):
  """A process whose time limit expires when metrics.csv has step 10, however fast the machine is."""

  def wait(self, timeout=None):
    while timeout not in (None, gallery.GRACE) and self.poll() is None:
      run, = (flag.removeprefix('--workdir=') for flag in map(str, self.args) if flag.startswith('--workdir='))
      rows = Path(run) / 'metrics.csv'
      if rows.exists() and '\n10,' in rows.read_text():
        raise subprocess.TimeoutExpired(self.args, timeout)
      time.sleep(0.1)
    return super().wait()


def main(folder, *more):
  gallery.main([f'--data={folder}', f'--runs={folder}', '--minutes=30', '--hardware=a toy', *more])


@pytest.fixture
def toys(monkeypatch):
  for module in (gallery, gallery_table):
    monkeypatch.setattr(module, 'SYSTEMS', SYSTEMS)
    monkeypatch.setattr(module, 'EVALUATORS', dict.fromkeys(SYSTEMS, ('class_consistency',)))
  monkeypatch.setattr(gallery, 'SMALL', {})
  monkeypatch.setattr(gallery.subprocess, 'Popen', OutOfTimeAtStep10)
  for name, value in environment().items():
    monkeypatch.setenv(name, value)
  monkeypatch.setenv('JGEN_MALLOC', '0')


def test_one_is_trained_stopped_and_measured_another_fails_and_both_are_in_the_table(toys, tmp_path, capsys):
  about, page = tmp_path / 'about.json', tmp_path / 'page.md'
  about.write_text(json.dumps({
      'data': {'digits': {'about': '8x8 digits'}}, 'remarks': {'long': 'noise'}}))
  page.write_text('\n'.join(['before', *gallery_table.MARKS, 'after']))
  page.with_suffix('.json').write_text(json.dumps([
      gallery_table.base_row(name) | {'ours': f'earlier {name}'} for name in SYSTEMS]))
  with pytest.raises(UserError, match='1 of 2 systems failed: wrong'):
    main(tmp_path, '--systems=wrong,long', f'--about={about}', f'--page={page}')
  said = capsys.readouterr().out
  assert '1 of 2: long: trained' in said and 'wrong: failed: error: config.batch_size is 0' in said
  long, wrong = json.loads((tmp_path / 'results.json').read_text())
  assert 8 < long['steps'] < 10**6 and (long['data'], long['remark']) == ('8x8 digits', 'noise')
  assert '--config.seed=3' in long['command'] and wrong['ours'] == 'not trained yet'
  stored, = (tmp_path / 'long/evaluation').glob('class_consistency*.json')
  results, (number,) = json.loads(stored.read_text())['results'], long['numbers']
  p, n = results['accuracy'], results['num_generated']
  assert number['value'] == p and number['error'] == pytest.approx(np.sqrt(p * (1 - p) / n))
  assert Image.open(tmp_path / 'pictures/results/long.jpg').format == 'JPEG'
  text = page.read_text()
  assert text.startswith('before\n') and text.endswith('after') and '| FID 7 | class consistency ' in text
  assert 'earlier wrong' in text and 'earlier long' not in text   # a row without a new run stays
  assert not list((tmp_path / 'wrong').glob('*'))   # or a second try would be refused
  before = (tmp_path / 'long/metrics.csv').stat().st_mtime_ns
  main(tmp_path, '--systems=long')      # done already
  assert before == (tmp_path / 'long/metrics.csv').stat().st_mtime_ns
  assert 'long' not in capsys.readouterr().out


class OutOfTimeAtOnce(subprocess.Popen):
  def wait(self, timeout=None):
    if timeout not in (None, gallery.GRACE):
      raise subprocess.TimeoutExpired(self.args, timeout)
    return super().wait()


def test_one_that_is_stopped_before_its_first_step_is_not_measured_but_waits_for_the_next_time(
    toys, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(gallery.subprocess, 'Popen', OutOfTimeAtOnce)
  main(tmp_path, '--systems=long')
  assert 'before its first step; repeat the command' in capsys.readouterr().out
  row, = json.loads((tmp_path / 'results.json').read_text())
  assert row['ours'] == 'not trained yet' and not (tmp_path / 'long' / gallery_table.NOTE).exists()
  main(tmp_path, '--systems=long', '--minutes=0.1')
  assert 'not started, as no time is left' in capsys.readouterr().out


def test_the_time_is_shared_by_weight(monkeypatch):
  now = [0.]
  monkeypatch.setattr(gallery.time, 'monotonic', lambda: now[0])
  clock = gallery.Clock(100., 2, {'a': 1., 'b': 1., 'c': 2.})
  assert clock.begin('a') == 50. and clock.begin('b') == 50.   # of 200 seconds of two workers
  now[0] = 60.                                                 # both took longer
  clock.finish('a')
  assert clock.begin('c') == 80.


def test_paths_of_this_machine_are_cut_from_commands_and_names_are_not():
  assert [gallery_table.flag(value) for value in ('/data/lists/few.txt', 'tfds:a/b', ['test'], 3)] == [
      'few.txt', 'tfds:a/b', "\"('test',)\"", 3]


def test_the_page_of_results_has_a_row_with_a_result_and_a_picture_for_every_system():
  rows = json.loads((ROOT / 'docs/results.json').read_text())
  assert [row['system'] for row in rows] == list(gallery_systems.SYSTEMS)
  page = (ROOT / 'docs/results.md').read_text()
  begin, end = (page.index(mark) for mark in gallery_table.MARKS)
  assert page[begin + len(gallery_table.MARKS[0]):end].strip() == gallery_table.markdown(
      rows, 'pictures/results').strip()
  for row in rows:
    assert row.get('ours') or row['numbers'] and row['remark']
    links = [*row.get('links', []), *(f'pictures/results/{name}' for name in gallery_table.picture_names(row))]
    assert links and all((ROOT / 'docs' / link).exists() for link in links)
    assert row.get('ours') != 'not trained yet' and row['data'] and row['command'] and 'seed' in row


def test_commands_are_wrapped_each_on_its_own():
  first = 'python launch.py ' + ' '.join(f'--config.key{n}=1' for n in range(12))
  second = 'python launch.py --mode=prior'
  text = gallery_table.wrapped(f'{first}\n{second}')
  assert max(map(len, text.splitlines())) <= 120
  assert text.replace(' \\\n    ', ' ').splitlines() == [first, second]


def test_wrong_arguments_are_one_line(toys, tmp_path):
  for flags, words in ((['--systems=none'], 'available: long'), (['--minutes=1'], '--data is missing'), (
      [f'--from={tmp_path}', f'--page={tmp_path}/page.md'], 'add the lines')):
    with pytest.raises(UserError, match=words):
      gallery.main(flags)


def test_every_system_has_its_config_and_known_keys():
  for name, system in gallery_systems.SYSTEMS.items():
    if system.needs:
      assert system.needs in gallery_systems.SYSTEMS
      continue
    config = importlib.import_module(f'configs.{name}').get_config()
    for keys in (system.small, system.large):
      with config.unlocked():
        known = config_lib.flatten(config)
      assert not [key for key in keys if key not in known and not key.startswith('evaluators.')]
      config.update_from_flattened_dict({key: value for key, value in keys.items() if key in known})
