"""Runs ranked by made-up scores, and refused with the field in which their receipts differ."""

import json

from helpers.published import refusal
import pytest

from jgen.commands import compare
from jgen.run import receipt


def store(path, step, value, number='fid@500', evaluator='inception_features', **fields):
  (path / 'evaluation').mkdir(parents=True, exist_ok=True)
  full = dict.fromkeys(receipt.MEASURE, 'same') | {'averaged_parameters': False} | fields
  (path / f'evaluation/{evaluator}_step_{step:08d}.json').write_text(json.dumps(
      {'step': step, 'evaluator': evaluator, 'results': {number: value, 'num_real': 5}, 'receipt': full}))
  return path


def test_runs_are_ranked_by_their_last_and_told_their_best(tmp_path, capsys):
  a, b = tmp_path / 'a', tmp_path / 'b'
  for step, first, second in ((100, 9., 8.), (2_000, 3., 5.), (3_000, 7., 6.)):
    store(a, step, first)
    store(b, step, second, averaged_parameters=True)
    store(a, step, first, 'precision@500', 'random_features')
  compare.run([a, b])
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == 'inception_features/fid@500, the lowest first'
  assert f'1. {b}: 6 at step 3,000, the last; best 5 at step 2,000' in lines[1]
  assert f'2. {a}: 7 at step 3,000, the last; best 3 at step 2,000' in lines[2]
  assert 'averaged_parameters' in lines[3] and len(lines) == 4
  compare.run([a / 'evaluation/inception_features_step_00002000.json', b])
  assert 'fid@500' in capsys.readouterr().out


@pytest.mark.parametrize('field', receipt.MEASURE)
def test_unlike_receipts_are_refused_by_the_field_that_differs(field, tmp_path, capsys):
  a, b = store(tmp_path / 'a', 5, 1.), store(tmp_path / 'b', 5, 2., **{field: 12_345})
  store(a, 5, 0.5, 'proxy_precision[random]@5', 'random_features')
  store(b, 5, 0.7, 'proxy_precision[random]@5', 'random_features')
  words = refusal(compare.run, [a, b])
  assert f'cannot be ranked: {field}, ' in words and 'is same and 12,345' in words
  out = capsys.readouterr().out
  assert 'inception' not in out and f'1. {b}: 0.7' in out


def test_settings_that_differ_are_named(tmp_path):
  a, b = (store(tmp_path / str(count), 5, 1., 'accuracy', 'class_consistency',
                settings={'num_real': 50, 'num_generated': count}) for count in (20, 30))
  assert refusal(compare.run, [a, b]).endswith('is num_generated=20 and num_generated=30')


def test_numbers_that_rank_no_runs_are_left_out(tmp_path):
  a, b = (store(tmp_path / name, 5, 1., 'pair_ratio', 'diversity') for name in 'ab')
  assert 'a holds no score that can be ranked' in refusal(compare.run, [a, b])


def test_a_best_of_another_receipt_is_no_best(tmp_path, capsys):
  a, b = store(tmp_path / 'a', 1, 0.1, extractor_sha256='old'), store(tmp_path / 'b', 5, 2.)
  store(a, 5, 1.)
  compare.run([a, b])
  assert 'best 1 at step 5' in capsys.readouterr().out


def test_what_cannot_be_compared_is_one_line(tmp_path):
  a, b = store(tmp_path / 'a', 5, 1.), store(tmp_path / 'b', 5, 2., evaluator='random_features')
  assert 'b has random_features' in refusal(compare.run, [a, b])
  assert 'two run folders' in refusal(compare.run, [a, a])
  (tmp_path / 'c').mkdir()
  assert 'c holds no run and no score' in refusal(compare.run, [a, tmp_path / 'c'])
  (tmp_path / 'c/config.json').write_text('{}')
  assert 'holds no score that can be ranked; measure one' in refusal(compare.read, tmp_path / 'c')
  assert 'neither a run folder' in refusal(compare.run, [a, tmp_path / 'd'])
  (tmp_path / 'e.json').write_text('{"receipt": 3, "step": "x"}')
  assert 'damaged' in refusal(compare.run, [a, tmp_path / 'e.json'])


def test_what_is_not_a_number_comes_last(tmp_path, capsys):
  a, b, c = (store(tmp_path / name, 5, value) for name, value in (('a', float('nan')), ('b', 2.), ('c', 1.)))
  compare.run([a, b, c])
  lines = capsys.readouterr().out.splitlines()
  assert f'1. {c}: 1 at' in lines[1] and f'2. {b}: 2 at' in lines[2]
  assert f'3. {a}: nan at step 5, the last; best none' in lines[3]
