"""The doctor on made-up metrics, against a numpy implementation, and on training runs that fail or succeed."""

import csv
import math
import shutil

from helpers import tiny
import numpy as np
import pytest

from jgen import recipes
from jgen.commands import train
from jgen.training.doctor import SIGNS, Watch

pytestmark = pytest.mark.usefixtures('few_figures', 'optimised')

THRESHOLDS = dict(recipes.base().doctor)
WINDOW = THRESHOLDS.pop('window_steps')
BY_NAME = {sign.name: sign for sign in SIGNS}


def say_nothing(*_):
  pass


# Numbers of which it is known what is to be said


def findings(sign, every, columns, window=WINDOW):
  """[(step, whether it begins)] of a sign on rows {metric: [R]} of every so many steps."""
  watch = Watch(BY_NAME[sign], THRESHOLDS[BY_NAME[sign].threshold], window)
  found = [watch.add(every * (i + 1), dict(zip(columns, row, strict=True)))
           for i, row in enumerate(zip(*columns.values(), strict=True))]
  return [(finding.step, finding.begins) for finding in found if finding]


def restated(there, every, rows, window=WINDOW, least=10):
  """The same by the definition: `there(i, j)` says whether rows i to j, both included, show the sign."""
  found, last = [], None
  for j in range(rows):
    i = max(0, min(j - window // every + 1, j - least + 1))
    if every * (j + 1) < window or j + 1 < least:
      continue
    if there(i, j):
      found += [(every * (j + 1), True)] if last is None else []
      last = every * (j + 1)
    elif last is not None and every * (j + 1) - last >= window:
      found, last = found + [(every * (j + 1), False)], None
  return found


RNG = np.random.default_rng(0)
ROWS = 120
# A loss that falls to nothing from row 40 to 80, with noise; norms and accuracies around what they may be.
LOSS = np.where((np.arange(ROWS) > 40) & (np.arange(ROWS) < 80), 0.01, 1.) * RNG.uniform(0.8, 1.2, ROWS)
SPIKES = np.where(np.arange(ROWS) % 30 > 25, 9., 0.5) * RNG.uniform(0.8, 1.2, ROWS)
NORM = 100 + 60 * np.sin(np.arange(ROWS) / 9) + RNG.normal(0, 5, ROWS)
FALLING = np.concatenate([np.linspace(2, 0.5, 60), 0.5 + RNG.normal(0, 0.05, 60)])
FOOLED = np.where(np.arange(ROWS) < 20, 0.8, 0.2)
RATIO = np.concatenate([np.full(40, 0.9), np.full(40, 0.1), np.full(40, 0.8)])


def falls(i, j):
  fifths = np.array_split(np.arange(i, j + 1), 5)
  levels = [np.mean(FALLING[fifth]) for fifth in fifths]
  steadily = all(after < before for before, after in zip(levels, levels[1:], strict=False))
  return steadily and levels[0] - levels[4] > 0.1 and np.mean(FOOLED[fifths[4]]) < 0.5


CASES = {
    'critic loss near 0': (
        {'critic/adversarial': LOSS, 'critic/real_accuracy': np.ones(ROWS)}, lambda i, j: LOSS[i:j + 1].mean() < 0.05),
    "critic's gradient too large": ({'critic/gradient_norm': NORM}, lambda i, j: np.median(NORM[i:j + 1]) > 100),
    "generator's gradient too large": ({'generator/gradient_norm': NORM}, lambda i, j: np.median(NORM[i:j + 1]) > 100),
    'critic loss varies much': (
        {'critic/adversarial': SPIKES, 'critic/real_accuracy': np.ones(ROWS)},
        lambda i, j: math.sqrt(np.mean(np.square(SPIKES[i:j + 1])) / np.mean(SPIKES[i:j + 1])**2 - 1) > 1),
    'generator loss falls steadily': ({'generator/adversarial': FALLING, 'critic/fake_accuracy': FOOLED}, falls)}


@pytest.mark.parametrize('every', [20, 50, 100, 400])
@pytest.mark.parametrize('name', CASES)
def test_signs_begin_and_end_where_their_definition_says(name, every):
  columns, there = CASES[name]
  expected = restated(there, every, ROWS)
  assert findings(name, every, columns) == expected
  if every == 50:
    assert expected                     # the numbers are such that it is there


def test_mode_collapse_is_judged_by_the_last_measurement_alone():
  for low, high in (('pair', 'nearest'), ('nearest', 'pair')):
    columns = {f'diversity/{low}_ratio': RATIO, f'diversity/{high}_ratio': np.ones(ROWS)}
    assert findings('mode collapse', 500, columns) == [(20_500, True), (41_000, False)]
    assert findings('mode collapse', 10_000, columns) == [(410_000, True), (810_000, False)]


def test_every_sign_has_a_case_and_a_threshold():
  assert {*CASES, 'mode collapse'} == set(BY_NAME)
  assert {sign.threshold for sign in SIGNS} == set(THRESHOLDS)


def test_the_first_steps_of_a_training_are_not_judged():
  columns = {'critic/gradient_norm': np.full(30, 1e4)}
  assert findings("critic's gradient too large", 50, columns) == [(1_000, True)]
  assert findings("critic's gradient too large", 500, columns) == [(5_000, True)]   # ten rows


def everything(metrics, steps=40):
  """All that a doctor says of rows of 100 steps, {metric: a number or [steps]}."""
  said = []
  watches = [Watch(sign, THRESHOLDS[sign.threshold], WINDOW) for sign in SIGNS]
  for i in range(steps):
    row = {name: float(np.broadcast_to(value, steps)[i]) for name, value in metrics.items()}
    said += [finding.sign.name for watch in watches if (finding := watch.add(100 * (i + 1), row))]
  return said


def test_numbers_without_these_meanings_show_nothing():
  around_zero = np.tile([-0.01, 0.012], 20)
  falling = np.linspace(5, -50, 40)
  wasserstein = {'critic/adversarial': around_zero, 'critic/loss': around_zero, 'generator/adversarial': falling,
                 'generator/loss': falling, 'critic/wasserstein_estimate': -around_zero, 'critic/gradient_norm': 5.}
  assert everything(wasserstein) == []
  assert everything({**wasserstein, 'critic/real_accuracy': 0.5, 'critic/fake_accuracy': 0.3}) == [
      'critic loss near 0', 'critic loss varies much', 'generator loss falls steadily']   # of a loss with a boundary
  assert everything({'vae/loss': 0., 'vae/gradient_norm': 5_000., 'vae/kl': falling}) == []
  assert everything({'generator/adversarial': falling, 'critic/fake_accuracy': 0.9}) == []   # nobody is fooled


# Trainings


def config_of(make=tiny.dcgan, checkpoint_every_steps=20, **overrides):
  """A small run that is watched from step 40 on."""
  config = make(num_steps=120, log_every_steps=2, checkpoint_every_steps=checkpoint_every_steps, sample_every_steps=120,
                evaluate_every_steps=20, steps_per_dispatch=2, **{'doctor.window_steps': 40, **overrides})
  with config.unlocked():
    config.evaluators.diversity = {'num_images': 40}
  return config


# The critic all but alone learns.
NO_GENERATOR = {'model.generator_optimizer.learning_rate': 1e-7, 'model.critic_optimizer.learning_rate': 0.01}
# The generator alone learns: it finds the one picture that a critic which stays as it was likes best.
NO_CRITIC = {'model.generator_optimizer.learning_rate': 0.01, 'model.critic_optimizer.learning_rate': 0.,
             'model.critic.normalization': 'none', 'model.critic.kernel_init': 'he'}
# Nothing keeps the critic's slope at 1, nor from growing.
NO_PENALTY = {'model.penalty': 'none', 'model.critic_steps': 1, 'model.critic_optimizer.learning_rate': 0.05}


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  """A run of each kind."""
  runs = tmp_path_factory.mktemp('runs')
  for name, config in {
      'no generator': config_of(loggers=('tensorboard',), **NO_GENERATOR),
      'no critic': config_of(checkpoint_every_steps=120, **NO_CRITIC),
      'no penalty': config_of(tiny.wgan, checkpoint_every_steps=120, **NO_PENALTY),
      'healthy': config_of(tiny.wgan, checkpoint_every_steps=120, **{'model.critic_steps': 1}),
  }.items():
    train.run(config, runs / name, 'python launch.py')
  return runs


def rows(folder):
  with open(folder / 'doctor.csv', newline='') as file:
    return list(csv.DictReader(file))


def test_trainings_that_fail_are_told_so_and_one_that_works_is_left_alone(folders):
  said = {folder.name: {row['sign'] for row in rows(folder)} for folder in folders.iterdir()}
  assert said['no generator'] == {'critic loss near 0', 'critic loss varies much'}
  assert said['no critic'] == {'mode collapse', 'generator loss falls steadily'}
  assert said['no penalty'] >= {"critic's gradient too large"}
  assert said['healthy'] == set()


def test_what_is_said_stands_in_the_folder_with_step_and_advice(folders):
  folder = folders / 'no generator'
  row = next(row for row in rows(folder) if row['sign'] == 'critic loss near 0')
  table = np.genfromtxt(folder / 'metrics.csv', delimiter=',', names=True, deletechars='')
  means = {int(step): table['critic/adversarial'][(table['step'] > step - 40) & (table['step'] <= step)].mean()
           for step in table['step'] if step >= 40}
  first = min(step for step, mean in means.items() if mean < 0.05)
  assert (int(row['step']), row['event']) == (first, 'begins')
  assert float(row['value']) == pytest.approx(means[first]) and float(row['threshold']) == 0.05
  assert 'model.critic_optimizer.learning_rate' in row['advice']
  events = b''.join(path.read_bytes() for path in (folder / 'tensorboard').iterdir())
  assert b'critic loss near 0' in events and b'model.critic_optimizer.learning_rate' in events


def test_a_run_that_was_killed_is_told_what_an_uninterrupted_one_is(folders, tmp_path, capsys):
  folder, whole = tmp_path / 'run', folders / 'no generator'
  shutil.copytree(whole, folder)
  for step in (100, 120):               # as if it had been killed after step 120, before that and 100 were saved
    shutil.rmtree(folder / f'checkpoints/{step}')
  with open(folder / 'doctor.csv', 'a') as file:
    file.write('118,mode collapse,begins,0.1,0.3,said before the kill\n')
  train.run(config_of(**NO_GENERATOR), folder, 'python launch.py')
  assert (folder / 'metrics.csv').read_bytes() == (whole / 'metrics.csv').read_bytes()
  assert (folder / 'doctor.csv').read_bytes() == (whole / 'doctor.csv').read_bytes()
  assert any(int(row['step']) <= 80 for row in rows(folder))
  out = capsys.readouterr().out
  said = [line.removeprefix('doctor, step ') for line in out.splitlines() if line.startswith('doctor, step ')]
  expected = [f"{row['step']}: {'no longer: ' if row['event'] == 'ends' else ''}{row['sign']}"
              for row in rows(folder) if int(row['step']) > 80]   # each once
  assert expected and all(line.startswith(start) for line, start in zip(said, expected, strict=True))
  assert str(folder / 'doctor.csv') in out


def test_limits_may_change_between_two_starts(folders, tmp_path):
  folder = tmp_path / 'run'
  shutil.copytree(folders / 'no generator', folder)
  config = config_of(**NO_GENERATOR, **{'doctor.least_critic_loss': 0.})
  train.run(config, folder, 'python launch.py')   # nothing left to train
  assert 'critic loss near 0' not in {row['sign'] for row in rows(folder)}
