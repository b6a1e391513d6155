"""The loop in one process: what a run leaves behind, and what it refuses."""

import json
import os
from pathlib import Path
import shutil
import subprocess

from helpers import declared, tiny
from helpers.published import refusal
import numpy as np
import pytest

from jgen import recipes
from jgen.commands import data as data_sheet
from jgen.commands import evaluate, train
from jgen.errors import UserError
from jgen.evaluation.class_consistency import ClassConsistency
from jgen.host import locks
from jgen.run.metrics import read_rows
from jgen.run.records import read_record
from jgen.training import setup
from jgen.training.config import check as check_config
from jgen.training.config import stored_config

pytestmark = pytest.mark.usefixtures('few_figures', 'optimised')


def run(folder, config):
  train.run(config, folder, 'python launch.py')


def with_evaluator(config):
  with config.unlocked():
    config.evaluators.class_consistency = {'num_real': 200, 'num_generated': 20}
  return config


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A run of 8 steps with evaluations at 4 and 8; tests that change it work on a copy."""
  folder = tmp_path_factory.mktemp('runs') / 'wgan'
  run(folder, with_evaluator(tiny.wgan(profile_steps=(2, 6), **BEST)))
  return folder


BEST = {'evaluate_every_steps': 4, 'checkpoints.best_metric': 'class_consistency/accuracy',
        'loggers': ('tensorboard',)}


@pytest.fixture
def copy(finished, tmp_path):
  target = tmp_path / 'copy'
  subprocess.run(['cp', '-r', finished, target], check=True)
  return target


def steps_of(folder):
  return sorted(int(path.name) for path in (folder / 'checkpoints').iterdir())


def contents(folder):
  """{path: bytes} of all files but the lock."""
  return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*')
          if path.is_file() and path.name != '.lock'}


def test_a_run_leaves_everything_behind(finished, capsys):
  rows = [line.split(',') for line in (finished / 'metrics.csv').read_text().splitlines()]
  assert [row[0] for row in rows] == ['step', '2', '4', '6', '8']
  table = {name: np.array([float(row[i]) for row in rows[1:]]) for i, name in enumerate(rows[0])}
  # The loss is the sum of its terms, and the estimate the difference of the answers: the columns cohere.
  np.testing.assert_allclose(table['critic/loss'], table['critic/adversarial'] + table['critic/weighted_penalty'],
                             rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(table['critic/weighted_penalty'], 10 * table['critic/penalty'], rtol=1e-5)
  np.testing.assert_allclose(
      table['critic/wasserstein_estimate'], table['critic/real_logit'] - table['critic/fake_logit'],
      rtol=1e-4, atol=1e-6)
  assert (table['critic/first_layer_gradient_norm'] <= table['critic/gradient_norm']).all()
  assert {path.name for path in (finished / 'samples').iterdir()} == {
      f'step_{step:08d}.png' for step in (0, 1, 3, 4, 8)}
  assert steps_of(finished) == [4, 8]
  assert [*finished.glob('tensorboard/plugins/profile/*/*.xplane.pb')]
  assert (table['generator/update_norm'] > 0).all() and 'generator/learning_rate' not in table
  record = json.loads((finished / 'evaluation/class_consistency_step_00000008.json').read_text())
  assert record['results']['num_generated'] == 20 and record['settings']['num_real'] == 200
  assert record['step'] == 8 and not record['averaged_parameters'] and 'digits' in record['data']
  assert list((finished / 'tensorboard').glob('events.out.tfevents.*'))
  assert (finished / 'figures/losses.png').stat().st_size > 5000
  start = json.loads((finished / 'environment.json').read_text())['starts'][0]
  assert start['packages']['jax'] and len(start['devices']) == 4


def test_the_summary_says_where_everything_is(copy, capsys):
  run(copy, with_evaluator(tiny.wgan(**BEST)))   # nothing left to do
  out = capsys.readouterr().out
  for entry in ('checkpoints', 'samples', 'figures', 'metrics.csv', 'tensorboard'):
    assert (copy / entry).exists() and str(copy / entry) in out
  assert 'class_consistency: accuracy' in out


def by_epochs(epochs):
  return with_evaluator(tiny.wgan(num_steps=0, num_epochs=epochs, **BEST))


def test_continued_to_more_steps_or_epochs_is_the_longer_run(copy, tmp_path, capsys):
  run(copy, by_epochs(0.39))            # of 1,468 images, by 3 batches of 16 a step: 11.93 steps
  assert 'length: 12 steps of 48 images, 0.392 epochs of 1,468 training images' in capsys.readouterr().out
  run(tmp_path / 'whole', with_evaluator(tiny.wgan(num_steps=12, **BEST)))
  assert (copy / 'metrics.csv').read_bytes() == (tmp_path / 'whole/metrics.csv').read_bytes()
  rows = read_rows(copy / 'metrics.csv')
  np.testing.assert_allclose(rows.series()['epoch'][1], rows.steps * 48 / 1468, rtol=1e-12)
  stored = json.loads((copy / 'config.json').read_text())
  assert (stored['num_steps'], stored['num_epochs']) == (12, 0.39)
  again = stored_config(copy)           # as it was asked for: the folder alone continues the run
  assert (again.num_steps, again.num_epochs) == (0, 0.39)
  assert 'epoch' not in read_record(copy).series and read_record(copy).epochs_per_step == pytest.approx(48 / 1468)
  before = contents(copy)
  with pytest.raises(UserError, match='that is trained to step 12, but config.num_epochs=0.16 is step 5; raise it'):
    run(copy, by_epochs(0.16))
  assert contents(copy) == before


def test_a_run_shorter_than_the_steps_between_rows_logs_its_last_step(finished, tmp_path):
  short, whole = tiny.wgan(num_steps=3, log_every_steps=4), tiny.wgan(log_every_steps=4)
  run(tmp_path / 'run', short)
  assert read_rows(tmp_path / 'run/metrics.csv').steps.tolist() == [3]
  assert (tmp_path / 'run/figures/losses.png').exists()
  run(tmp_path / 'run', short)          # nothing left to do
  assert read_rows(tmp_path / 'run/metrics.csv').steps.tolist() == [3]
  run(tmp_path / 'run', whole)          # the longer run has no such row
  lines = (finished / 'metrics.csv').read_text().splitlines()
  assert (tmp_path / 'run/metrics.csv').read_text().splitlines() == [lines[0], lines[2], lines[4]]


def test_a_short_run_of_an_earlier_version_which_logged_nothing_is_complete(tmp_path):
  short = tiny.wgan(num_steps=3, log_every_steps=4)
  run(tmp_path / 'run', short)
  for name in ('metrics.csv', '.metrics.csv.seal'):
    (tmp_path / 'run' / name).unlink()
  (tmp_path / 'run/metrics.csv').touch()
  run(tmp_path / 'run', short)


def test_evaluating_the_run_again_gives_its_numbers(copy, finished, capsys):
  path = Path('evaluation/class_consistency_step_00000008.json')
  (copy / path).unlink()
  evaluate.run(with_evaluator(tiny.wgan(**BEST)), copy, '')
  assert (copy / path).read_bytes() == (finished / path).read_bytes()
  assert 'class_consistency/accuracy' in capsys.readouterr().out


def test_a_vae_is_measured_on_test_images_all_along_and_at_the_end(tmp_path, capsys):
  config = tiny.vae(**{'data.splits': ('train',), 'data.test_splits': ('test',), 'evaluate_every_steps': 4})
  with config.unlocked():
    config.evaluators = recipes.vae_run('tsne').evaluators
  config.evaluators_at_end, config.evaluators.ledger.importance_samples = ('tsne',), 2
  run(tmp_path / 'run', config)
  evaluation = {path.name for path in (tmp_path / 'run/evaluation').iterdir()}
  drawn = {f'{name}_step_0000000{step}.{kind}' for name in ('reconstructions', 'interpolations', 'traversals')
           for step in (4, 8) for kind in ('json', 'png')}
  assert evaluation == drawn | {'ledger_step_00000004.json', 'ledger_step_00000008.json', 'tsne_step_00000008.json'}
  record = json.loads((tmp_path / 'run/evaluation/ledger_step_00000008.json').read_text())
  assert 'test' in record['test_data'] and 'train' in record['data'] and record['results']['num_images'] > 150
  family, created, _ = setup.build(config)
  for name in ('ledger', 'tsne'):
    numbers = json.loads((tmp_path / f'run/evaluation/{name}_step_00000008.json').read_text())['results']
    declared.check(name, created[name], numbers, setup.data.describe(config.data), family)
  # The variance of the training pixels is in the checkpoint: what is measured again needs no training images for it.
  before = contents(tmp_path / 'run/evaluation')
  for path in before:
    (tmp_path / 'run/evaluation' / path).unlink()
  evaluate.run(config, tmp_path / 'run', '')
  after = contents(tmp_path / 'run/evaluation')
  assert {path for path in before if '08' in path.name} == set(after)
  assert all(after[path] == before[path] for path in after)
  picture = tmp_path / 'run/evaluation/reconstructions_step_00000008.png'
  picture.unlink()
  run(tmp_path / 'run', config)
  assert picture.read_bytes() == before[Path(picture.name)]
  figures = {path.name for path in (tmp_path / 'run/figures').iterdir()}
  assert {'elbo.png', 'mse.png', 'kl.png', 'kl_per_latent.png', 'tsne.png', 'active_units.png'} <= figures


def test_what_fails_or_is_killed_at_the_end_costs_no_step_and_is_made_up_for(tmp_path, monkeypatch):
  config = with_evaluator(tiny.wgan(num_steps=4, evaluate_every_steps=0, evaluators_at_end=('class_consistency',)))
  folder = tmp_path / 'run'
  with monkeypatch.context() as context:
    context.setattr(ClassConsistency, 'measure', lambda *arguments: (_ for _ in ()).throw(UserError('no more')))
    with pytest.raises(UserError, match='no more'):
      run(folder, config)
  assert steps_of(folder)[-1] == 4 and not list((folder / 'evaluation').iterdir())
  metrics = (folder / 'metrics.csv').read_bytes()
  run(folder, config)
  record, = (folder / 'evaluation').iterdir()
  assert record.name == 'class_consistency_step_00000004.json' and (folder / 'metrics.csv').read_bytes() == metrics
  with monkeypatch.context() as context:
    context.setattr(ClassConsistency, 'measure', lambda *arguments: pytest.fail('measured once more'))
    run(folder, config)


def test_the_best_is_not_taken_for_the_worst(tmp_path):
  config = tiny.vae(**{'data.splits': ('train',), 'data.test_splits': ('test',), 'evaluate_every_steps': 4,
                       'checkpoints.best_metric': 'ledger/mse'})
  with config.unlocked():
    config.evaluators.ledger = recipes.evaluator('ledger')
  setup.build(config)
  for metric, message in (('ledger/msee', "no evaluator measures during training; did you mean 'ledger/mse'"),
                          ('ledger/num_images', 'which no evaluator measures during training'),
                          # without importance samples
                          ('ledger/importance_bound', 'which no evaluator measures during training')):
    config.checkpoints.best_metric = metric
    with pytest.raises(UserError, match=message):
      setup.build(config)


def test_the_best_checkpoint_outlives_the_last_ones(tmp_path):
  config = with_evaluator(tiny.wgan(num_steps=10, checkpoint_every_steps=1, evaluate_every_steps=1, **{
      'checkpoints.keep_last': 2, 'checkpoints.best_metric': 'class_consistency/accuracy'}))
  run(tmp_path / 'run', config)
  accuracy = {step: json.loads(
      (tmp_path / f'run/evaluation/class_consistency_step_{step:08d}.json').read_text())['results']['accuracy']
      for step in range(1, 11)}
  kept = steps_of(tmp_path / 'run')
  assert kept[-2:] == [9, 10] and len(kept) <= 3
  assert max(accuracy[step] for step in kept) == max(accuracy.values())


def test_a_best_by_a_number_that_is_not_measured_is_refused(tmp_path):
  config = with_evaluator(tiny.wgan(evaluate_every_steps=4, **{'checkpoints.best_metric': 'class_consistency/acuracy'}))
  with pytest.raises(UserError, match="did you mean 'class_consistency/accuracy'"):
    run(tmp_path / 'run', config)
  assert not (tmp_path / 'run').exists()


def test_another_config_is_refused_by_its_keys_and_changes_nothing(copy):
  before = contents(copy)
  with pytest.raises(UserError, match=r'batch_size: was 16, is 32; seed: was 0, is 1'):
    run(copy, with_evaluator(tiny.wgan(batch_size=32, seed=1, **BEST)))
  assert contents(copy) == before


def test_a_folder_with_other_files_is_refused(tmp_path):
  (tmp_path / 'thesis.tex').write_text('x')
  with pytest.raises(UserError, match='holds files but no run'):
    run(tmp_path, tiny.wgan())
  assert contents(tmp_path) == {Path('thesis.tex'): b'x'}


def test_a_sheet_of_the_data_does_not_keep_a_run_out(tmp_path):
  config = tiny.wgan(num_steps=4)
  data_sheet.run(config, tmp_path, '')
  assert (tmp_path / 'data.png').exists()
  run(tmp_path, config)
  assert steps_of(tmp_path) == [4]


def test_a_folder_in_use_is_refused(copy):
  with locks.held(copy / '.lock'), pytest.raises(UserError, match='in use by another process'):
    run(copy, with_evaluator(tiny.wgan(**BEST)))


def largest_file(folder):
  return max((path for path in folder.rglob('*') if path.is_file()), key=lambda path: path.stat().st_size)


def flip(path):
  damaged = bytearray(path.read_bytes())
  damaged[len(damaged) // 2] ^= 0x10
  path.write_bytes(damaged)


@pytest.mark.parametrize('damage', [flip, lambda path: os.truncate(path, path.stat().st_size // 2),
                                    lambda path: path.unlink()], ids=['flipped', 'truncated', 'deleted'])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(damage, copy, finished, capsys):
  damage(largest_file(copy / 'checkpoints/8/state'))
  run(copy, with_evaluator(tiny.wgan(**BEST)))
  assert 'the checkpoint of step 8 is damaged' in capsys.readouterr().err
  assert json.loads((copy / 'environment.json').read_text())['starts'][-1]['step'] == 4
  assert (copy / 'metrics.csv').read_bytes() == (finished / 'metrics.csv').read_bytes()
  assert steps_of(copy) == [4, 8] and (copy / 'checkpoints_damaged/8').is_dir()


def test_all_checkpoints_damaged_is_an_error_that_changes_nothing(copy):
  for step in (4, 8):
    flip(largest_file(copy / f'checkpoints/{step}/state'))
  with pytest.raises(UserError, match='none of the checkpoints'):
    run(copy, with_evaluator(tiny.wgan(**BEST)))
  assert steps_of(copy) == [4, 8]


@pytest.mark.parametrize('spoil, message', [
    (lambda folder: shutil.rmtree(folder / 'checkpoints'), 'its checkpoints are gone; put .* back, or start a new run'),
    (lambda folder: (folder / 'metrics.csv').unlink(), 'metrics.csv, line 2: expected the row of step 2, found none'),
    (lambda folder: (folder / 'evaluation/class_consistency_step_00000004.json').write_text('{'), 'evaluate again')])
def test_a_run_that_lost_a_part_is_refused_and_nothing_is_changed(spoil, message, copy):
  spoil(copy)
  before = {path: content for path, content in contents(copy).items() if path.suffix in ('.csv', '.png')}
  with pytest.raises(UserError, match=message):
    run(copy, with_evaluator(tiny.wgan(**BEST)))
  after = contents(copy)
  assert all(after[path] == content for path, content in before.items())


def test_a_run_killed_while_its_first_checkpoint_was_being_written_starts_again(copy, finished):
  (copy / 'saved.json').unlink()
  shutil.rmtree(copy / 'checkpoints')   # the step of the second save was logged; that save waits for the first
  run(copy, with_evaluator(tiny.wgan(**BEST)))
  assert (copy / 'metrics.csv').read_bytes() == (finished / 'metrics.csv').read_bytes() and steps_of(copy) == [4, 8]


def test_a_diverging_run_stops_at_its_step_and_keeps_the_checkpoint_before(tmp_path):
  config = tiny.wgan(checkpoint_every_steps=1, **{'model.generator_optimizer.learning_rate': 1e17})
  with pytest.raises(UserError, match='training diverged at step 2: .*generator/gradient_norm = nan'):
    run(tmp_path / 'run', config)
  assert steps_of(tmp_path / 'run') == [1]


def test_no_room_for_a_checkpoint_is_one_error_and_the_earlier_ones_are_kept(tmp_path):
  disk = tmp_path / 'disk'
  disk.mkdir()
  if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk], capture_output=True).returncode:
    pytest.skip('a small disk can only be mounted as root')
  try:
    with pytest.raises(UserError, match='not enough disk space'):
      run(disk / 'run', tiny.wgan(num_steps=400, checkpoint_every_steps=1, **{'checkpoints.keep_last': 100}))
    kept = steps_of(disk / 'run')
    assert kept and kept[-1] < 400
  finally:
    subprocess.run(['umount', disk], check=True)


def test_a_batch_that_does_not_divide_over_the_devices_is_refused(tmp_path):
  with pytest.raises(UserError, match='batch_size is 18, which is not divisible by the number of devices, 4'):
    run(tmp_path / 'run', tiny.wgan(batch_size=18))
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('overrides, message', [
    ({'model.critic.normalization': 'batch'}, 'allow_penalty_with_batch_norm'),
    ({'model.loss': 'wassertein'}, "did you mean 'wasserstein'"),
    ({'model.critic.normalization': 'bach'}, "did you mean 'batch'"),
    ({'model.generator_optimizer.name': 'adm'}, "did you mean 'adam'"),
    ({'family': 'gam'}, "did you mean 'gan'"),
    ({'num_epochs': 2.}, 'config.num_steps is 8 and config.num_epochs is 2; a run has one length'),
    ({'num_steps': 0}, 'config.num_steps and config.num_epochs are both 0; set one'),
    ({'num_steps': 0, 'num_epochs': -0.5}, 'config.num_epochs is -0.5; expected a number, at least 0'),
    ({'data.name': 'digit'}, "did you mean 'digits'"),
    ({'model.critic_steps': 0}, 'at least 1'),
    ({'model.generator.features': (8, 8, 8, 8)}, 'do not divide by 16'),
    ({'checkpoints.best_metric': 'fid/value'}, 'which no evaluator measures during training'),
    ({'evaluators_at_end': ('fid',)}, "names 'fid', which is not in"),
    ({'model.critic.features': (8, 0)}, r'features is \(8, 0\); expected a tuple of whole numbers, at least 1'),
    ({'model.generator.features': (-8, 8)}, r'features is \(-8, 8\)'),
])
def test_configs_that_cannot_work_are_refused_before_anything_is_written(overrides, message, tmp_path):
  with pytest.raises(UserError, match=message):
    run(tmp_path / 'run', tiny.wgan(**overrides))
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('seed', [-1, 2**32])
def test_seeds_that_not_all_random_numbers_can_follow_are_refused(seed):
  with pytest.raises(UserError, match=f'config.seed is {seed}; expected a whole number, from 0 to below 4294967296'):
    check_config(tiny.wgan(seed=seed))
  check_config(tiny.wgan(seed=2**32 - 1))


def test_batch_norm_with_the_penalty_runs_when_asked_for_by_name(tmp_path):
  run(tmp_path / 'run', tiny.wgan(num_steps=1, checkpoint_every_steps=1, sample_every_steps=1, **{
      'model.critic.normalization': 'batch', 'model.allow_penalty_with_batch_norm': True}))
  assert steps_of(tmp_path / 'run') == [1]


def test_a_conditional_model_on_unlabelled_images_is_refused(tmp_path, monkeypatch):
  import dataclasses
  describe = setup.data.describe
  monkeypatch.setattr(setup.data, 'describe', lambda section: dataclasses.replace(describe(section), num_classes=0))
  with pytest.raises(UserError, match='has no labels'):
    run(tmp_path / 'run', tiny.wgan())


def test_class_consistency_of_an_unconditional_model_is_refused(tmp_path):
  with pytest.raises(UserError, match='not conditioned on the class'):
    run(tmp_path / 'run', with_evaluator(tiny.wgan(**{'model.conditional': False})))


@pytest.mark.parametrize('key, value, expected', [
    ('precision', 'float16', "did you mean 'bfloat16'"), ('num_seeds', 0, 'config.num_seeds is 0'),
    ('matrix_precision', 'tf32', 'available: default, tensorfloat32, highest'),
    ('model.critic_optimizer.schedule', 'cosin', "did you mean 'cosine'"),
    ('profile_steps', (2, 10), 'from 0 to the last step (8)'),
    ('microbatch_size', -1, 'config.microbatch_size is -1')])
def test_an_option_of_speed_that_cannot_be_is_refused_in_a_line(key, value, expected):
  config = tiny.wgan()
  config.update_from_flattened_dict({key: value})
  assert expected in refusal(check_config, config)
