"""Runs of an earlier version: continued, evaluated and compared; and stored configs that lack keys or have others."""

import copy
import json
from pathlib import Path
import shutil

from helpers import tiny
from helpers.published import refusal
import pytest

from jgen.commands import compare, evaluate, train
from jgen.run import config as config_lib
from jgen.run import folder as run_folder
from jgen.run import scores
from jgen.run.checkpoints import Checkpoints
from jgen.run.metrics import read_rows
from jgen.training.config import check, completed, stored_config

pytestmark = pytest.mark.usefixtures('few_figures')

FIXTURES = Path(__file__).parent.parent / 'fixtures'


@pytest.mark.parametrize('name, other', [('vae', 'reconstruction_quality/psnr'), ('gan', 'random_features/proxy_fid')])
def test_an_older_run_goes_on_and_is_evaluated_and_compared(name, other, tmp_path, capsys):
  older, run = tmp_path / 'older', tmp_path / 'run'
  shutil.copytree(FIXTURES / name, run)
  shutil.copytree(FIXTURES / name, older)
  config = stored_config(run)
  check(config)
  with config.unlocked():
    config.num_steps = 6
  train.run(config, run, 'python launch.py')
  said = capsys.readouterr()
  assert "'checkpoints.best_is_highest' was removed" in said.err
  rows = [read_rows(folder / 'metrics.csv') for folder in (older, run)]
  assert rows[1].steps.tolist() == [1, 2, 3, 4, 5, 6] and rows[1].names == rows[0].names
  assert (run / 'metrics.csv').read_bytes().startswith((older / 'metrics.csv').read_bytes())
  assert json.loads((run / 'config.json').read_text())['config_version'] == config_lib.VERSION
  evaluate.run(stored_config(run), run, '')
  assert 'step 6 (newest)' in capsys.readouterr().out
  compare.run([older, FIXTURES / name], tmp_path / 'page')
  assert other in capsys.readouterr().out
  compare.run([older, run], tmp_path / 'page')
  assert "not ranked: " in (said := capsys.readouterr().err)
  assert "the version of this package's scores, is 1 and" in said


def test_the_best_of_an_older_run_is_known_by_its_evaluations(tmp_path):
  shutil.copytree(FIXTURES / 'vae', tmp_path / 'run')
  config = stored_config(tmp_path / 'run')
  checkpoints = Checkpoints(tmp_path / 'run', config.checkpoints, read_only=True)
  stored = json.loads((tmp_path / 'run/evaluation/ledger_step_00000004.json').read_text())
  assert checkpoints._metric.values == {4: stored['results']['mse']}
  checkpoints.close()


def test_evaluators_and_scores_of_an_older_run_have_the_names_of_today(tmp_path):
  stored = json.loads(config_lib.dumps(tiny.vqvae()))
  prior = {'evaluators': {'held_out': {'num_images': 7}}}
  stored |= {'evaluators': {'held_out': {'num_images': 5}, 'codebook': {}}, 'evaluators_at_end': ['held_out'],
             'checkpoints': {**stored['checkpoints'], 'best_metric': 'held_out/loss'}, 'priors': {'vae': prior}}
  (tmp_path / 'config.json').write_text(json.dumps(stored))
  config = run_folder.read_config(tmp_path)
  assert config['evaluators'] == {'test_loss': {'num_images': 5}, 'codebook': {}}
  assert config['evaluators_at_end'] == ['test_loss'] and config['checkpoints']['best_metric'] == 'test_loss/loss'
  assert config['priors']['vae']['evaluators'] == {'test_loss': {'num_images': 7}}
  (tmp_path / 'evaluation').mkdir()
  for evaluator, entry in (('held_out', 'elbo'), ('critic_outputs', 'told_apart')):
    (tmp_path / f'evaluation/{evaluator}_step_00000004.json').write_text(
        json.dumps({'step': 4, 'evaluator': evaluator, 'results': {entry: 0.5}}))
  assert {name for each in scores.read_all(tmp_path) for name in each.numbers()} == {
      'test_loss/elbo', 'critic_outputs/auc'}


def keys_of(section, prefix=()):
  """The paths of all keys and sections of a nested dict."""
  for key, value in section.items():
    yield (*prefix, key)
    if isinstance(value, dict):
      yield from keys_of(value, (*prefix, key))


@pytest.mark.parametrize('make', [tiny.dcgan, tiny.infogan, tiny.vae, tiny.vqvae])
def test_each_key_that_is_missing_takes_its_default(make):
  stored = json.loads(config_lib.dumps(make()))
  del stored['config_version']
  for path in keys_of(stored):
    if path[0] in ('family', 'evaluators') or path[-1] == 'name':
      continue
    older = copy.deepcopy(stored)
    section = older
    for key in path[:-1]:
      section = section[key]
    del section[path[-1]]
    filled = config_lib.flatten(completed(older))
    assert filled.keys() == config_lib.flatten(stored).keys(), path
    # Whatever was set otherwise is named when such a run is continued with it, and nothing else is.
    changed = config_lib.differences(filled, config_lib.flatten(stored))
    assert all(line.startswith('.'.join(path)) for line in changed)


def test_a_config_of_a_later_version_is_refused(tmp_path):
  stored = json.loads(config_lib.dumps(tiny.vae()))
  for version in (config_lib.VERSION + 1, '1', None):
    (tmp_path / 'config.json').write_text(json.dumps(stored | {'config_version': version}))
    line = refusal(run_folder.read_config, tmp_path)
    assert f'has format {version!r}' in line and 'environment.json names' in line
