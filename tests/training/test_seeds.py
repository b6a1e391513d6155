"""Several seeds in one step: each is the run with that seed alone, stopped or not; with microbatches and a schedule."""

import json
from pathlib import Path
import subprocess

from helpers import tiny
from helpers.published import refusal
import jax
import numpy as np
import pytest

import jgen
from jgen import recipes
from jgen.commands import compare, evaluate, report, study, train
from jgen.commands.options import Sample
from jgen.commands.sample import run as sample
from jgen.host.files import read_json
from jgen.run.metrics import read_rows
from jgen.training import config as config_lib
from jgen.training import seeds

pytestmark = pytest.mark.usefixtures('few_figures')

SMALL = {'model.generator.features': (6,), 'model.critic.features': (5,), 'sample_every_steps': 8,
         'model.ema_decay': 0., 'microbatch_size': 8, 'model.generator_optimizer.schedule': 'cosine',
         'model.generator_optimizer.decay_updates': 8}


def config(**overrides):
  made = tiny.dcgan(**SMALL, **overrides)
  recipes.add_evaluators(made, 'critic_outputs')
  return made


def run(folder, made):
  train.run(made, folder, 'python launch.py')
  return folder


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A run of the seeds 3 and 4."""
  return run(tmp_path_factory.mktemp('runs') / 'whole', config(seed=3, num_seeds=2))


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
  """The run of the seed 4 alone."""
  return run(tmp_path_factory.mktemp('runs') / 'alone', config(seed=4))


def state_of(folder, **keywords):
  return jgen.load(folder, **keywords).state


def test_a_seed_is_the_run_with_that_seed_alone(whole, alone):
  ours, theirs = read_rows(whole / 'seeds/4/metrics.csv'), read_rows(alone / 'metrics.csv')
  assert ours.names == theirs.names and ours.steps.tolist() == theirs.steps.tolist() == [2, 4, 6, 8]
  np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-4, atol=1e-5)
  of_seed, of_run = state_of(whole, of_seed=4), state_of(alone)
  for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(of_seed), jax.tree.leaves(of_run), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4, err_msg=jax.tree_util.keystr(path))
  other = state_of(whole / 'seeds/3')
  assert np.abs(other.params['critic']['layer_0']['kernel'] - of_run.params['critic']['layer_0']['kernel']).max() > 0.01
  images = [jgen.load(folder).sample(8).astype(int) for folder in (whole / 'seeds/4', alone)]
  assert np.abs(images[0] - images[1]).max() <= 2


def test_stopped_and_continued_it_is_the_run_that_was_not_stopped(whole, tmp_path):
  stopped = run(tmp_path / 'run', config(seed=3, num_seeds=2, num_steps=4))
  killed = subprocess.Popen(['true'])
  killed.wait()
  left = stopped / f'seeds/3/samples/.step_00000004.png.{killed.pid}.tmp'   # as by a process that was killed
  left.touch()
  run(stopped, config(seed=3, num_seeds=2))
  assert not left.exists()
  for seed in ('3', '4'):
    name = Path('seeds', seed, 'metrics.csv')
    assert (whole / name).read_bytes() == (stopped / name).read_bytes()
  digests = [json.loads((folder / 'checkpoints/8/meta/metadata').read_text()) for folder in (whole, stopped)]
  assert digests[0] == digests[1] and len(digests[0]['digest']) == 64


def test_it_leaves_the_files_of_each_seed_and_their_comparison(whole):
  for seed in ('3', '4'):
    folder = whole / 'seeds' / seed
    assert len([*folder.glob('samples/*.png')]) == 4
    assert read_json(folder / 'evaluation/critic_outputs_step_00000008.json', '', seed=int)['seed'] == int(seed)
  assert {path.name for path in (whole / 'checkpoints').iterdir()} == {'4', '8'}
  assert not (whole / 'metrics.csv').exists()
  table = (whole / 'comparison.md').read_text()
  values = [read_json(whole / f'seeds/{seed}/evaluation/critic_outputs_step_00000008.json', '', results=dict)
            ['results']['auc'] for seed in (3, 4)]
  line = next(line for line in table.splitlines() if line.startswith('| critic_outputs/auc'))
  mean, deviation = (float(text) for text in line.split('|')[-2].split('±'))
  np.testing.assert_allclose([mean, deviation], [np.mean(values), np.std(values, ddof=1)], rtol=1e-3)
  assert (whole / 'figures/losses.png').stat().st_size > 5_000 and (whole / 'comparison.html').exists()


def test_a_seed_is_drawn_measured_reported_and_compared(whole, alone, tmp_path, capsys):
  sample(Sample(num_samples=2, of_seed=4), whole)
  assert len([*whole.glob('seeds/4/drawn/images/*.png')]) == 2
  stored = [*whole.glob('seeds/*/evaluation/critic_outputs_step_00000008.json')]
  before = [path.read_bytes() for path in stored]
  for path in stored:
    path.unlink()
  evaluate.run(config(seed=3, num_seeds=2), whole, '')
  assert [path.read_bytes() for path in stored] == before
  report.run([whole])
  assert (whole / 'seeds/3/report.html').exists()
  compare.run([whole, alone], tmp_path / 'page')
  assert (tmp_path / 'page/comparison.md').read_text().splitlines()[2] == '|  | whole seed 3 | whole seed 4 | alone |'
  assert 'seed 3, step 8 (newest)  critic_outputs/auc' in capsys.readouterr().out


def test_what_cannot_be_with_several_seeds_is_refused_in_a_line(whole, tmp_path):
  with_study = config(num_seeds=2, **{'study.variations': ('seed=0', 'seed=1')})
  assert 'config.num_seeds is 2, but each run of a study' in refusal(study.run, with_study, tmp_path / 'study', '')
  assert 'config.num_seeds is 0' in refusal(config_lib.check, config(num_seeds=0))
  best = {'checkpoints.best_metric': 'critic_outputs/auc'}
  assert 'best_metric cannot be set' in refusal(config_lib.check, config(num_seeds=2, **best))
  assert 'has no seed 5; it trained 3 to 4' in refusal(jgen.load, whole, of_seed=5)
  for command in (train.run, evaluate.run):
    assert 'is one seed of the run in' in refusal(command, config(seed=3), whole / 'seeds/3', '')


def test_keys_and_states_are_those_of_the_seeds():
  np.testing.assert_array_equal(jax.random.key_data(seeds.keys_of((7, 8)))[1], jax.random.key_data(jax.random.key(8)))
  state = seeds.stacked([{'step': np.int32(4)}] * 2)
  assert state['step'].shape == (2,) and seeds.picked(state, 1, 2) == {'step': 4}
