"""Studies: variations trained, skipped, resumed and compared; the comparison against the runs' own files."""

import csv
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys

from helpers import tiny
from helpers.launching import ROOT, environment, launch
import jax
import numpy as np
from PIL import Image
import pytest

from jgen import families
from jgen.commands import study, train, variations
from jgen.data.spec import Spec
from jgen.errors import UserError
from jgen.run import config as config_lib
from jgen.training import runner
from jgen.training.config import check as check_config
from jgen.training.monitor import Monitor

pytestmark = pytest.mark.usefixtures('few_figures', 'optimised')

COMMAND = 'python launch.py --mode=study'
# They differ in no more than needs no other compiled step.
TWO = ('model.latent_size=2', 'other: model.latent_size=2 seed=5')
THIRD = 'third: model.latent_size=2 seed=7'
FOLDERS = ('latent_size=2', 'other')


def base(*declared, **overrides):
  config = tiny.wgan(evaluate_every_steps=4, **overrides)
  config.study.variations = declared
  with config.unlocked():
    config.evaluators.class_consistency = {'num_real': 200, 'num_generated': 20}
  return config


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A study of two variations; tests that change it work on a copy."""
  folder = tmp_path_factory.mktemp('studies') / 'wgan_study'
  study.run(base(*TWO), folder, COMMAND)
  return folder


@pytest.fixture
def copy(finished, tmp_path):
  return shutil.copytree(finished, tmp_path / 'wgan_study')


def files(*folders):
  """{path: (bytes, time of writing)} of all files below."""
  return {path: (path.read_bytes(), path.stat().st_mtime_ns)
          for folder in folders for path in folder.rglob('*') if path.is_file()}


def statuses(folder):
  return {entry['name']: entry['status'] for entry in json.loads((folder / 'study.json').read_text())['variations']}


def last_numbers(run):
  """What the files of a run hold, read without the project's own readers."""
  rows = list(csv.DictReader((run / 'metrics.csv').open()))
  evaluation = json.loads((run / 'evaluation/class_consistency_step_00000008.json').read_text())['results']
  assert rows[-1].pop('step') == '8' and float(rows[-1].pop('epoch')) == pytest.approx(8 * 48 / 1468)
  logged = {name: float(value) for name, value in rows[-1].items()}
  return logged | {f'class_consistency/{name}': value for name, value in evaluation.items()
                   if isinstance(value, (int, float))}


# Runs


def test_each_variation_is_a_run_of_its_own(finished):
  stored = [json.loads((finished / name / 'config.json').read_text()) for name in FOLDERS]
  assert [(config['model']['latent_size'], config['seed']) for config in stored] == [(2, 0), (2, 5)]
  for config in stored:
    config['model']['latent_size'], config['seed'] = 5, 0
    assert config == json.loads(json.dumps(base().to_dict())) | {'config_version': config_lib.VERSION}
  assert statuses(finished) == {'latent_size=2': 'done', 'other': 'done'}


def test_the_numbers_are_those_of_the_runs(finished):
  rows = list(csv.DictReader((finished / 'comparison.csv').open()))
  assert [row['variation'] for row in rows] == ['latent_size=2', 'other']
  assert [row['settings'] for row in rows] == ['model.latent_size=2', 'model.latent_size=2 seed=5']
  markdown = (finished / 'comparison.md').read_text()
  for column, (row, name) in enumerate(zip(rows, FOLDERS, strict=True), start=2):
    expected = last_numbers(finished / name)
    own = ('variation', 'settings', 'status', '(last logged step)', 'class_consistency/step')
    assert {key: float(value) for key, value in row.items() if key not in own} == expected
    assert row['(last logged step)'] == row['class_consistency/step'] == '8'
    line, = (line for line in markdown.splitlines() if line.startswith('| generator/loss |'))
    assert line.split('|')[column].strip() == f"{expected['generator/loss']:.4g}"
  assert [line for line in markdown.splitlines() if '| settings |' in line][0].count('latent_size=') == 2


def test_figures_are_drawn_for_all_that_was_logged_and_listed(finished):
  drawn = {path.name for path in (finished / 'figures').glob('*.png')}
  vector = {f'{path.stem}.png' for path in (finished / 'figures').glob('*.pdf')}
  assert vector == drawn - {'samples.png'}
  single = {path.name for path in (finished / 'other/figures').iterdir()} - {
      'class_consistency_by_class.png', 'samples.gif', 'filmstrip.png'}
  assert drawn == single | {'samples.png'} and 'losses.png' in drawn
  for name in drawn:
    assert f'](figures/{name})' in (finished / 'comparison.md').read_text()
  pixels = np.asarray(Image.open(finished / 'figures/losses.png').convert('RGB')).astype(int)
  for color in ((31, 119, 180), (255, 127, 14)):
    assert (np.abs(pixels - color).sum(-1) < 30).sum() > 16   # of 300 x 288 pixels


def test_sample_grids_stand_side_by_side(finished):
  picture = np.asarray(Image.open(finished / 'figures/samples.png'))
  left, right = (np.asarray(Image.open(finished / name / 'samples/step_00000008.png')) for name in FOLDERS)
  height, width, _ = left.shape
  assert picture.shape[0] > height
  heading = (picture[:-height] < 100).all(-1)
  assert heading.any() and not (heading[:, 0] | heading[:, -1]).any() and not heading[[0, -1]].any()
  blocks = [x for x in range(picture.shape[1] - width + 1) if np.array_equal(picture[-height:, x:x + width], left)]
  assert blocks and blocks[0] + width < picture.shape[1]
  rest = picture[-height:, blocks[0] + width:]
  assert any(np.array_equal(rest[:, x:x + width], right) for x in range(rest.shape[1] - width + 1))


def test_what_is_done_is_left_alone_and_drawn_again(copy, capsys):
  runs = [copy / name for name in FOLDERS]
  before, tables = files(*runs), files(copy / 'figures').keys()
  shutil.rmtree(copy / 'figures')
  (copy / 'comparison.csv').unlink()
  study.run(base(*TWO), copy, COMMAND)
  assert files(*runs) == before
  assert files(copy / 'figures').keys() == tables and (copy / 'comparison.csv').exists()
  assert capsys.readouterr().out.splitlines()[:2] == [
      'variation 1 of 2: latent_size=2, already done', 'variation 2 of 2: other, already done']


def test_what_is_missing_of_a_run_that_is_done_is_made_again(copy, capsys):
  run = copy / FOLDERS[0]
  missing = [run / 'figures/losses.png', run / 'samples/step_00000008.png',
             run / 'evaluation/class_consistency_step_00000008.json']
  before = [path.read_bytes() for path in missing]
  for path in missing:
    content = path.read_bytes()
    path.unlink()
    assert study.Run(variations.read(base(*TWO), COMMAND)[0], run).status == 'waiting'
    path.write_bytes(content)
  (run / 'outputs.json').write_text('{')
  for path in missing:
    path.unlink()
  study.run(base(*TWO), copy, COMMAND)
  assert [path.read_bytes() for path in missing] == before
  assert statuses(copy) == {'latent_size=2': 'done', 'other': 'done'}
  assert 'other, already done' in capsys.readouterr().out


def test_evaluators_of_the_command_line_measure_variations_of_another_config_too(tmp_path):
  command = (f'{COMMAND} --evaluators=+random_features --config.evaluators.random_features.num_generated=70 '
             '--config.evaluators.class_consistency.num_generated=50')
  text = f"config={ROOT}/configs/acgan_digits.py evaluators.random_features.num_real=90"
  variation, = variations.read(base(text), command)
  sections = variation.config.evaluators
  assert sections.random_features.num_generated == 70 and sections.random_features.num_real == 90
  assert sections.class_consistency.num_generated == 50 and 'attribute_pairs' in sections
  variation, = variations.read(base(text), command.replace('+', 'class_consistency,'))
  assert set(variation.config.evaluators) == {'random_features', 'class_consistency'}


def test_a_changed_list_trains_only_what_is_new(copy, capsys):
  before = files(*(copy / name for name in FOLDERS))
  study.run(base(THIRD, TWO[1], TWO[0]), copy, COMMAND)
  after = files(*(copy / name for name in FOLDERS))
  assert after == before
  assert statuses(copy) == {'third': 'done', 'other': 'done', 'latent_size=2': 'done'}
  rows = list(csv.DictReader((copy / 'comparison.csv').open()))
  assert [row['variation'] for row in rows] == ['third', 'other', 'latent_size=2']
  assert float(rows[0]['critic/loss']) == last_numbers(copy / 'third')['critic/loss']
  assert len({row['critic/loss'] for row in rows}) == 3
  # A run of the study goes on by itself, also under a config with the study in it; the study then shows it.
  longer = variations.read(base(*TWO, num_steps=12), COMMAND)[0].config
  longer.study.variations = ('seed=3',)
  train.run(longer, copy / FOLDERS[0], COMMAND)
  study.run(base(*TWO), copy, COMMAND)
  assert [row['(last logged step)'] for row in csv.DictReader((copy / 'comparison.csv').open())] == ['12', '8']
  assert 'third' not in statuses(copy) and (copy / 'third').is_dir()


def test_a_signal_stops_the_study_and_the_next_start_goes_on_there(finished, tmp_path, monkeypatch, capsys):
  add, seen = Monitor.add, []
  def interrupted(self, step, metrics):
    add(self, step, metrics)
    seen.append(step)
    if len(seen) == 8 + 3:              # the second variation's third step
      os.kill(os.getpid(), signal.SIGINT)
  monkeypatch.setattr(Monitor, 'add', interrupted)
  folder = tmp_path / 'wgan_study'
  study.run(base(*TWO, THIRD), folder, COMMAND)
  assert statuses(folder) == {'latent_size=2': 'done', 'other': 'stopped', 'third': 'waiting'}
  out = capsys.readouterr().out
  assert out.splitlines()[-1] == f'stopped; continue with: {COMMAND}' and 'variation 3' not in out
  assert not (folder / 'third').exists() and (folder / 'comparison.md').exists()

  first = files(folder / FOLDERS[0])
  monkeypatch.setattr(Monitor, 'add', add)
  study.run(base(*TWO), folder, COMMAND)
  starts = json.loads((folder / 'other/environment.json').read_text())['starts']
  assert [start['step'] for start in starts] == [0, 3]
  assert files(folder / FOLDERS[0]) == first
  for name in ('other/metrics.csv', 'comparison.csv'):
    assert (folder / name).read_bytes() == (finished / name).read_bytes()


def test_one_that_was_killed_while_it_was_measured_at_the_end_is_not_done(tmp_path):
  config = lambda **more: base(TWO[0], evaluators_at_end=('class_consistency',), **more)
  variation = lambda **more: variations.read(config(**more), COMMAND)[0]
  record = lambda step: tmp_path / FOLDERS[0] / f'evaluation/class_consistency_step_{step:08d}.json'
  study.run(config(), tmp_path, COMMAND)
  assert study.Run(variation(), tmp_path / FOLDERS[0]).status == 'done'
  record(8).unlink()
  assert study.Run(variation(), tmp_path / FOLDERS[0]).status == 'waiting'
  # One that was trained further by itself, and stopped there, is measured where it is.
  train.run(variation(num_steps=12).config, tmp_path / FOLDERS[0], COMMAND)
  record(12).unlink()
  study.run(config(), tmp_path, COMMAND)
  assert statuses(tmp_path) == {'latent_size=2': 'done'} and record(12).exists()


def test_a_signal_after_the_last_step_stops_too(tmp_path, monkeypatch):
  draw = runner.draw_figures
  def interrupted(folder):
    os.kill(os.getpid(), signal.SIGINT)
    return draw(folder)
  monkeypatch.setattr(runner, 'draw_figures', interrupted)
  study.run(base(*TWO), tmp_path, COMMAND)
  assert statuses(tmp_path) == {'latent_size=2': 'done', 'other': 'waiting'}


def test_one_that_fails_is_named_and_the_others_go_on(copy, capsys):
  shutil.rmtree(copy / FOLDERS[0] / 'checkpoints/8')
  shutil.rmtree(copy / FOLDERS[0] / 'checkpoints/4/state')
  shutil.rmtree(copy / 'other')
  with pytest.raises(UserError, match='1 of 2 variations failed: latent_size=2; see .*comparison.md'):
    study.run(base(*TWO), copy, COMMAND)
  assert statuses(copy) == {'latent_size=2': 'failed', 'other': 'done'}
  markdown = (copy / 'comparison.md').read_text()
  assert '| status | failed | done |' in markdown and 'latent_size=2 failed: none of the checkpoints' in markdown
  assert 'failed: none of the checkpoints' in capsys.readouterr().err


def test_what_the_device_cannot_do_is_a_failure_too(tmp_path, monkeypatch):
  def exhausted(config, workdir, command):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory\nallocating 9 GB')
  monkeypatch.setattr(train, 'run', exhausted)
  with pytest.raises(UserError, match='2 of 2 variations failed: latent_size=2, other'):
    study.run(base(*TWO), tmp_path, COMMAND)
  assert 'other failed: RESOURCE_EXHAUSTED: Out of memory allocating 9 GB' in (tmp_path / 'comparison.md').read_text()


# Refusals


@pytest.mark.parametrize('declared, message', [
    ((), 'the config has no study'),
    (('model.latnt_size=2',), "'model.latnt_size=2': config key 'model.latnt_size' is not known; "
                              "did you mean 'model.latent_size'"),
    (('latent_size=2',), "did you mean 'model.latent_size'"),
    (('qqqq=2',), 'docs/config.md lists all keys'),
    (('num_steps=2.5',), "'num_steps=2.5': .*invalid literal for int"),
    (('model.penalty_weight=much',), 'could not convert string to float'),
    (('seed=1', 'a: seed=2', 'A: seed=3'), "'a' and 'A' have the same name"),
    (('model.generator_optimizer.b1=0', 'model.critic_optimizer.b1=0'), "'b1=0' and 'b1=0' have the same name"),
    (('faster',), "'faster' is not KEY=VALUE"),
    (("data.dir='x",), 'close the quotes'),
    (('',), 'cannot name its folder'),
    (('figures: seed=1',), "'figures' cannot name its folder"),
    (('config=nowhere.py',), 'nowhere.py cannot be read'),
    (('seed=1', 'model.loss=wassertein'), "variation 'loss=wassertein': .*did you mean 'wasserstein'"),
    (('seed=1', 'batch_size=18'), "variation 'batch_size=18': config.batch_size is 18"),
    (('seed=1', 'num_steps=0'), 'config.num_steps and config.num_epochs are both 0'),
    (('seed=1', 'model.critic.features=(8,0)'), r'features is \(8, 0\); expected a tuple of whole numbers, at least 1'),
    (('seed=1', 'large: model.critic.strides=(2,2) model.critic.paddings=(0,0) model.critic.kernel_size=20'),
     "variation 'large': .*kernel"),
    (('seed=1', 'data.splits=("trian",)'), "variation .*trian"),
])
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_trained(declared, message, tmp_path):
  with pytest.raises(UserError, match=message) as error:
    study.run(base(*declared), tmp_path / 'study', COMMAND)
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'study').exists()


def test_a_folder_of_something_else_is_refused(copy, tmp_path):
  with pytest.raises(UserError, match='holds files but no study'):
    study.run(base(*TWO), copy / 'other', COMMAND)
  before = files(copy)
  with pytest.raises(UserError, match=r"'other': .* another config \(seed: was 5, is 6\)"):
    study.run(base('seed=3', 'other: model.latent_size=2 seed=6'), copy, COMMAND)
  assert files(copy) == before


def test_several_processes_are_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  with pytest.raises(UserError, match='a study runs in one process'):
    study.run(base(*TWO), tmp_path / 'study', COMMAND)


def test_mistakes_on_the_command_line(tmp_path):
  result = launch('--mode=study', '--config.study.variations=model.latnt_size=2')
  assert (result.returncode, result.stdout, result.stderr.count('\n')) == (2, '', 1)
  assert "did you mean 'model.latent_size'?" in result.stderr
  (tmp_path / 'runs/wgan_svhn_study').mkdir(parents=True)
  (tmp_path / 'runs/wgan_svhn_study/thesis.tex').touch()
  result = subprocess.run(
      [sys.executable, ROOT / 'launch.py', '--mode=study', f'--config={ROOT}/configs/wgan_svhn.py',
       '--config.study.variations=seed=1'], cwd=tmp_path, env=environment(), capture_output=True, text=True)
  assert (result.returncode, result.stderr.count('\n')) == (2, 1)
  assert f'{tmp_path}/runs/wgan_svhn_study holds files but no study' in result.stderr


# Declarations


def test_values_are_read_as_on_the_command_line():
  declared = ("a b: augmentation.horizontal_flip=0.5 model.critic.features='(3, 4)' model.conditional=false",
              'as it is:', 'data.dir=/a/b seed=2')
  one, plain, other = variations.read(base(*declared), COMMAND)
  assert (one.name, one.folder) == ('a b', 'a_b')
  assert one.config.augmentation.horizontal_flip == 0.5 and one.config.model.critic.features == (3, 4)
  assert one.config.model.conditional is False and one.config.model.critic.negative_slope == 0.2
  assert plain.config.to_dict() == base().to_dict()
  assert (other.name, other.folder) == ('dir=/a/b seed=2', 'dir=_a_b_seed=2')
  assert (other.config.data.dir, other.config.seed) == ('/a/b', 2)


def test_a_variation_may_be_another_config_and_keeps_what_the_command_line_sets():
  path = ROOT / 'configs/cdcgan_svhn.py'
  command = f'{COMMAND} --config={ROOT}/configs/quickstart.py --config.num_steps=40 --config.model.latent_size=7'
  declared = (f'config={path}', f'small: config={path} model.latent_size=9 data.image_size=32')
  one, other = variations.read(base(*declared), command)
  assert (one.name, other.name) == ('cdcgan_svhn', 'small')
  assert [each.config.data.name for each in (one, other)] == ['svhn', 'svhn']
  assert [each.config.num_steps for each in (one, other)] == [40, 40]
  assert [each.config.model.latent_size for each in (one, other)] == [7, 9]
  assert [each.config.data.image_size for each in (one, other)] == [64, 32]


@pytest.mark.parametrize('name', [path.stem for path in sorted((ROOT / 'configs').glob('*.py'))
                                  if 'config.study' in path.read_text() and path.stem != 'common'])
def test_the_study_of_every_config_can_be_trained(name):
  config = importlib.import_module(f'configs.{name}').get_config()
  found = variations.read(config, COMMAND)
  assert len(found) == len(config.study.variations) > 1
  for variation in found:
    check_config(variation.config)
    families.create(variation.config, Spec('any', (variation.config.data.image_size,) * 2 + (3,), num_classes=2))
  assert len({config_lib.dumps(variation.config) for variation in found}) == len(found)
