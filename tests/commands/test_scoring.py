"""Scores of whole runs and of two folders: what is stored, drawn and cached, and the options that select it."""

import json

from helpers import tiny
from helpers.launching import ROOT
from helpers.launching import launch as launched
from helpers.published import refusal, write_pictures
import numpy as np
import pytest

from jgen import recipes
from jgen.commands import compare, evaluate, main, score, train, weights
from jgen.evaluation.features import feature_spaces
from jgen.networks.inception import network as inception
from jgen.networks.inception import weights as inception_weights
from jgen.recipes import measured
from jgen.recipes import score as score_config
from jgen.run import config_file
from jgen.training import runner

pytestmark = pytest.mark.usefixtures('few_figures', 'optimised')

FID = 'random_features/proxy_fid[random]@70'


def config_of(**keys):
  config = tiny.dcgan(**{'evaluate_every_steps': 4, 'checkpoints.best_metric': FID, 'checkpoints.keep_last': 1, **keys})
  with config.unlocked():
    config.evaluators = {'random_features': recipes.evaluator('random_features')}
  config.evaluators.random_features.num_generated = 70
  return config


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A run of 8 steps, measured at 4 and 8, and what it said."""
  folder = tmp_path_factory.mktemp('runs')
  config = config_of(**{'data.cache_dir': str(folder / 'cache')})
  train.run(config, folder / 'run', 'python launch.py')
  return folder / 'run', config


def record_of(folder, step, evaluator='random_features'):
  return json.loads((folder / f'evaluation/{evaluator}_step_{step:08d}.json').read_text())


def test_a_score_is_stored_with_all_that_it_depends_on(finished):
  folder, _ = finished
  receipt = record_of(folder, 8)['receipt']
  expected = {'extractor': 'random', 'protocol': 'native', 'num_generated': 70, 'reference': 'digits',
              'reference_split': 'train', 'averaged_parameters': True,
              'batch_norm': 'statistics of the averaged parameters', 'seed': 0, 'step': 8}
  assert {name: receipt[name] for name in expected} == expected
  assert receipt['versions']['jax'] and receipt['image_shape'] == [8, 8, 1] and receipt['num_reference'] > 1_400
  assert FID.split('/')[1] in record_of(folder, 8)['results']


def test_the_best_checkpoint_is_kept_and_both_are_told(finished, capsys):
  folder, config = finished
  values = {step: record_of(folder, step)['results'][FID.split('/')[1]] for step in (4, 8)}
  best = min(values, key=values.get)
  line, = runner.best_line(folder, config.checkpoints)
  assert f'{values[best]:.4g} at step {best}' in line
  kept = {int(path.name) for path in (folder / 'checkpoints').iterdir() if path.name.isdigit()}
  assert kept == {8, best}
  assert (folder / 'figures/proxy_fid.png').stat().st_size > 5_000


def test_evaluating_again_gives_the_same_record_and_others_on_demand(finished, tmp_path, capsys):
  folder, config = finished
  before = record_of(folder, 8)
  other = measured.get_config(f'random_features,reconstruction_quality:{ROOT}/jgen/recipes/stored.py:{folder}')
  assert other.evaluators.random_features.num_generated == 70   # its own keys
  assert 'needs a model that can reconstruct' in refusal(evaluate.run, other, folder, '')
  evaluate.run(config, folder, '')
  assert record_of(folder, 8) == before and f'{FID}' in capsys.readouterr().out
  config.evaluators.random_features.num_generated = 60
  first = score_copy(folder, tmp_path)
  evaluate.run(config, folder, '')
  config.evaluators.random_features.num_generated = 70
  assert 'num_generated, the number of generated images, is 70 and 60' in refusal(compare.run, [first, folder])


def score_copy(folder, tmp_path):
  path = tmp_path / 'stored.json'
  path.write_bytes((folder / 'evaluation/random_features_step_00000008.json').read_bytes())
  return path


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pictures')
  write_pictures(folder / 'real')
  return folder


def folders(pictures, generated='real', **keys):
  config = score_config.get_config()
  config.data.cache_dir, config.data.image_size = str(pictures / 'cache'), 16
  with config.unlocked():
    config.evaluators = {'random_features': recipes.evaluator('random_features')}
  config.evaluators.random_features.num_generated = keys.pop('num_generated', 0)
  config.score.generated, config.score.real = str(pictures / generated), str(pictures / 'real')
  config.update_from_flattened_dict(keys)
  return config


def test_two_folders_are_scored_and_stored(pictures, tmp_path, capsys):
  score.run(folders(pictures), tmp_path / 'same', '')
  assert 'random_features/proxy_fid[random]@80' in capsys.readouterr().out
  record = record_of(tmp_path / 'same', 0)
  assert record['results']['proxy_fid[random]@80'] < 1e-6
  receipt = record['receipt']
  assert receipt['num_generated'] == receipt['num_reference'] == 80 and receipt['step'] is None
  assert receipt['generated_sha256'] == receipt['reference_sha256']
  score.run(folders(pictures, num_generated=40), tmp_path / 'fewer', '')
  assert 'num_generated' in refusal(compare.run, [tmp_path / 'same', tmp_path / 'fewer'])
  score.run(folders(pictures), tmp_path / 'again', '')
  compare.run([tmp_path / 'same', tmp_path / 'again'])


def test_folders_that_cannot_be_scored(pictures, tmp_path, finished):
  run = lambda config, folder=tmp_path / 'scores': refusal(score.run, config, folder, '')
  assert 'there are 80 generated images' in run(folders(pictures, num_generated=81))
  assert 'config.score.real names no images' in run(folders(pictures, **{'score.real': ''}))
  assert 'no section `score`' in run(tiny.dcgan())
  assert 'nowhere is neither a folder nor a zip' in run(folders(pictures, generated='nowhere'))
  assert 'holds a run' in run(folders(pictures), finished[0])
  config = folders(pictures)
  with config.unlocked():
    config.evaluators.class_consistency = recipes.evaluator('class_consistency')
  assert 'class_consistency needs a model' in run(config)


def test_the_config_that_arguments_mean(finished):
  recipes = f'{ROOT}/jgen/recipes'
  chosen = lambda *arguments: main.chosen_config(arguments)
  assert chosen()[0] == f'{ROOT}/configs/quickstart.py'
  assert chosen('--mode=score')[0] == f'{recipes}/score.py'
  assert chosen('--mode=evaluate', f'--workdir={finished[0]}')[0] == f'{recipes}/stored.py:{finished[0]}'
  assert chosen('--config=mine.py', '--config.seed=3', '--mode=score') == (
      'mine.py', ['--config.seed=3', '--mode=score'])
  assert config_file.with_evaluators('mine.py', 'a,b') == f'{recipes}/measured.py:a,b:mine.py'


def test_named_evaluators_take_the_place_of_the_configs():
  config = measured.get_config(f'random_features,class_consistency:{ROOT}/configs/quickstart.py')
  assert set(config.evaluators) == {'random_features', 'class_consistency'}
  assert config.evaluators.random_features.to_dict() == recipes.evaluator('random_features').to_dict()
  assert set(config.evaluators_at_end) <= set(config.evaluators)
  assert "mean 'random_features'" in refusal(measured.get_config, f'random_feature:{ROOT}/configs/quickstart.py')


def test_weights_become_one_file_where_evaluators_look(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv('JGEN_CACHE', str(tmp_path / 'cache'))
  random, shapes = np.random.default_rng(0), inception.parameter_shapes()
  params = {name: {kind: random.normal(size=shape).astype(np.float32) for kind, shape in shapes[name].items()}
            for name in inception.parameter_names('64')}
  inception_weights.save(inception_weights.Weights(params, '64', ''), tmp_path / 'some.npz')
  weights.run([tmp_path / 'some.npz'])
  found = inception_weights.load(feature_spaces.default_weights())
  assert feature_spaces.default_weights() == tmp_path / 'cache/inception.npz'
  assert found.sha256 == inception_weights.digest(params) and found.sha256 in capsys.readouterr().out
  weights.run([tmp_path / 'some.npz', tmp_path / 'other.npz'])
  assert (tmp_path / 'other.npz').exists()
  assert 'curl --fail' in refusal(weights.run, [])
  assert 'written as .npz' in refusal(weights.run, [tmp_path / 'some.npz', tmp_path / 'other.pth'])
  (tmp_path / 'page.pth').write_text('<html>Not found</html>')
  assert 'is a web page' in refusal(weights.run, [tmp_path / 'page.pth'])


def test_paths_on_the_command_line(finished, tmp_path):
  result = launched('--mode=compare', finished[0], tmp_path)
  assert result.returncode == 2 and 'holds no run and no score' in result.stderr and result.stderr.count('\n') == 1
