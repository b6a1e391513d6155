"""Directions, the best of several, and the files of evaluations, damaged ones included."""

import json
import math

from helpers.published import refusal
import pytest

from jgen.run import scores
from jgen.run.scores import HIGHER, LOWER, Evaluation


@pytest.mark.parametrize('name, better', [
    ('inception_features/fid@10000', LOWER), ('inception_features/fid768@500', LOWER),
    ('inception_features/fid@infinity', LOWER), ('inception_features/kid768@5', LOWER),
    ('inception_features/kid768_low@500', ''), ('inception_features/inception_score@100', HIGHER),
    ('inception_features/inception_score_std@100', ''), ('inception_features/num_real', ''),
    ('inception_features/warning', ''), ('classifier_features/proxy_fid[digits-cnn]@500', LOWER),
    ('classifier_features/proxy_kid[a-cnn]@5', LOWER), ('classifier_features/proxy_kid[a-cnn]_high@5', ''),
    ('classifier_features/classifier_accuracy', ''), ('random_features/proxy_kid[random]_low@500', ''),
    ('random_features/proxy_recall[random]@5', HIGHER), ('random_features/diversity@5', ''),
    ('random_features/proxy_diversity[random]@5', ''), ('reconstruction_quality/psnr', HIGHER),
    ('reconstruction_quality/mse', LOWER), ('codebook/mse', LOWER), ('ledger/elbo', HIGHER), ('ledger/kl', ''),
    ('critic/loss', ''), ('disentanglement/mig', HIGHER), ('class_consistency/classifier_accuracy', '')])
def test_directions(name, better):
  assert scores.kind(name).better == better


@pytest.mark.parametrize('name, is_setting', [
    ('diversity/step', True), ('codebook/train_num_images', True), ('codebook/num_images', True),
    ('ledger/kl_weight_per_pixel', True), ('ledger/mse_standard_error', True), ('ledger/kl', False),
    ('codebook/train_mse', False), ('diversity/pair_ratio', False)])
def test_settings_are_no_scores(name, is_setting):
  assert scores.is_setting(name) == is_setting


@pytest.mark.parametrize('values, better, key', [
    ({1: 3., 2: 5.}, HIGHER, 2), ({1: 3., 2: 5.}, LOWER, 1), ({1: math.nan, 2: 5., 3: 5.}, LOWER, 2),
    ({1: math.nan, 2: math.inf}, LOWER, None), ({1: math.inf, 2: 1.}, HIGHER, 1), ({1: 3.}, '', None),
    ({}, LOWER, None)])
def test_the_best_of_several(values, better, key):
  assert scores.best(values, better) == key


def test_an_evaluation_is_read_as_it_was_written(tmp_path):
  written = Evaluation(1_200, 'ledger', {'mse': 0.25, 'mse_standard_error': 0.5, 'per_latent': [1., 2.], 'note': 'x'},
                       {'seed': 3, 'data': 'digits'}, {'reference': 'digits'})
  path = written.write(tmp_path)
  assert path == tmp_path / 'evaluation/ledger_step_00001200.json' and Evaluation.read(path) == written
  assert list(json.loads(path.read_text())) == ['step', 'evaluator', 'results', 'seed', 'data', 'receipt']
  assert written.numbers() == {'ledger/mse': 0.25, 'ledger/mse_standard_error': 0.5}
  assert written.scores()['ledger/mse'] == scores.Score(0.25, LOWER, scores.KINDS['ledger/mse'].unit, 0.5)
  Evaluation(300, 'tsne', {}).write(tmp_path)
  (tmp_path / 'evaluation/._ledger_step_00001200.json').write_bytes(b'\0\5\x16\7')   # as macOS leaves them
  assert [(each.step, each.evaluator) for each in scores.read_all(tmp_path)] == [(300, 'tsne'), (1_200, 'ledger')]
  assert scores.read_all(tmp_path / 'nowhere') == []


@pytest.mark.parametrize('content', [
    b'', b'{', b'[]', b'3', b'null', b'\0\0', b'{"step": 1}\0', b'\xff\xfe{}', b'[' * 100_000,
    b'{"step": "1", "evaluator": "a", "results": {}}', b'{"step": 1.5, "evaluator": "a", "results": {}}',
    b'{"step": true, "evaluator": "a", "results": {}}', b'{"step": NaN, "evaluator": "a", "results": {}}',
    b'{"step": 1, "evaluator": 7, "results": {}}', b'{"step": 1, "evaluator": "a", "results": []}',
    b'{"step": 1, "evaluator": "a", "results": {}, "receipt": 3}', b'{"evaluator": "a", "results": {}}',
    b'{"step": ' + b'9' * 5_000 + b', "evaluator": "a", "results": {}}'])
def test_damaged_files_are_one_line(content, tmp_path):
  path = tmp_path / 'evaluation/a_step_00000001.json'
  path.parent.mkdir()
  path.write_bytes(content)
  line = refusal(scores.read_all, tmp_path)
  assert str(path) in line and line.endswith('delete it and evaluate again')


def test_a_folder_in_the_place_of_a_file_is_one_line(tmp_path):
  (tmp_path / 'evaluation/a_step_00000001.json').mkdir(parents=True)
  assert 'Is a directory; delete it' in refusal(scores.read_all, tmp_path)


def test_a_metric_must_be_measured_and_rank():
  names = ['ledger/elbo', 'ledger/kl', 'diversity/pair_ratio']
  scores.check_metric('ledger/elbo', names)
  assert 'for which neither higher nor lower is better; available: ledger/elbo' in refusal(
      scores.check_metric, 'ledger/kl', names)
  assert "did you mean 'ledger/elbo'" in refusal(scores.check_metric, 'ledger/ebo', names)
  assert refusal(scores.check_metric, 'fid', []).endswith('available: none')
