"""The comparison of a study, drawn from made-up files, against their contents."""

import csv
import json
import subprocess
import warnings

from helpers.launching import ROOT
import numpy as np
from PIL import Image
import pytest

from jgen import evaluation
from jgen.errors import UserError
from jgen.images import grids
from jgen.report import comparison
from jgen.report.drawing import Curves
from jgen.report.overlay import overlay
from jgen.report.stored import last_pictures
from jgen.run import scores
from jgen.run.records import Record


def make_up(folder, accuracies, states):
  """A study folder of runs that differ in `class_consistency/accuracy`; None is one that has not begun."""
  entries = []
  for index, (accuracy, status) in enumerate(zip(accuracies, states, strict=True)):
    name = f'run {index}'
    entries.append({'name': name, 'folder': name, 'settings': f'a|b={index}', 'status': status, 'error': ''})
    if accuracy is not None:
      (folder / name / 'evaluation').mkdir(parents=True)
      (folder / name / 'metrics.csv').write_text(f'step,critic/loss\n10,{accuracy}\n')
      (folder / name / 'evaluation/class_consistency_step_10.json').write_text(json.dumps(
          {'step': 10, 'evaluator': 'class_consistency', 'results': {'accuracy': accuracy, 'distance': accuracy}}))
  (folder / 'study.json').write_text(json.dumps({'variations': entries}))


def bold(folder):
  return [line.split('|')[1].strip() + ' ' + line.split('**')[1]
          for line in (folder / 'comparison.md').read_text().splitlines() if '**' in line]


def test_the_best_is_marked_where_the_direction_is_known(tmp_path):
  make_up(tmp_path, [0.25, 0.75, 0.875, None], ['done', 'done', 'stopped', 'waiting'])
  comparison.draw_comparison(tmp_path)
  assert bold(tmp_path) == ['class_consistency/accuracy 0.75']   # 0.875 is of a run that is not done
  text = (tmp_path / 'comparison.md').read_text()
  assert '| class_consistency/distance | 0.25 | 0.75 | 0.875 |  |' in text and r'a\|b=1' in text
  rows = list(csv.DictReader((tmp_path / 'comparison.csv').open()))
  assert rows[3]['critic/loss'] == '' and rows[2]['critic/loss'] == '0.875'


def test_what_is_not_a_number_is_never_the_best(tmp_path):
  make_up(tmp_path, [float('nan'), 0.25, 0.75], ['done'] * 3)
  comparison.draw_comparison(tmp_path)
  assert bold(tmp_path) == ['class_consistency/accuracy 0.75']


@pytest.mark.parametrize('variance, marked', [(0.2, ['ledger/elbo -1', 'ledger/mse 0.1']), (0.3, ['ledger/mse 0.1'])])
def test_nats_of_another_likelihood_rank_nothing(variance, marked, tmp_path):
  make_up(tmp_path, [0.5, 0.5], ['done', 'done'])
  for run, elbo, mse, its_variance in ((0, -1., 0.1, 0.2), (1, -2., 0.4, variance)):
    (tmp_path / f'run {run}/evaluation/ledger_step_10.json').write_text(json.dumps({
        'step': 10, 'evaluator': 'ledger', 'results': {'elbo': elbo, 'mse': mse, 'pixel_variance': its_variance}}))
  comparison.draw_comparison(tmp_path)
  assert [row for row in bold(tmp_path) if 'ledger' in row] == marked


def test_a_direction_is_known_of_numbers_that_there_are():
  source = ''.join(path.read_text() for room in ('evaluation', 'families')
                   for path in (ROOT / 'jgen' / room).rglob('*.py'))
  for name in scores.KINDS:
    evaluator, entry = name.split('/')
    assert evaluator == '*_features' or evaluator in evaluation.EVALUATORS and f"'{entry}'" in source, name


def test_each_panel_is_smoothed_by_its_own_rows():
  steps, few = np.arange(100.), np.array([50., 99.])
  row = Curves('', '', '', ('a', 'b'))
  figure = overlay(row, {name: Record({'a': (steps, np.cos(steps)), 'b': (few, np.array([3., 1.]))}, {})
                                    for name in ('one', 'other')})
  many, of_few = figure.axes
  assert len(many.lines) == 4 and len(of_few.lines) == 2   # raw and smoothed, and points alone
  assert of_few.lines[0].get_marker() == 'o'
  np.testing.assert_array_equal(of_few.lines[0].get_ydata(), [3., 1.])
  assert 'moving average over 5 logged rows' in figure.legends[0].get_title().get_text()


def test_a_damaged_list_is_one_line(tmp_path):
  for content in ('', '[]', '{"variations": [{"name": "a"}]}'):
    (tmp_path / 'study.json').write_text(content)
    with pytest.raises(UserError, match='study.json: damaged'):
      comparison.draw_comparison(tmp_path)


def test_the_last_pictures_of_each_kind_are_shown_and_earlier_figures_go(tmp_path):
  make_up(tmp_path, [0.25, 0.75], ['done', 'done'])
  tones = {'run 0': (10, 20), 'run 1': (110, 120)}
  for name, (early, late) in tones.items():
    for step, tone in ((9, early), (10, late)):
      Image.new('RGB', (300, 40), (tone,) * 3).save(tmp_path / name / f'evaluation/reconstructions_step_{step}.png')
  (tmp_path / 'figures').mkdir()
  (tmp_path / 'figures/samples.png').touch()
  killed = subprocess.Popen(['true'])
  killed.wait()
  for path in ('.comparison.md', 'figures/.kl.pdf'):
    (tmp_path / f'{path}.{killed.pid}.tmp').touch()
  comparison.draw_comparison(tmp_path)
  assert not list(tmp_path.rglob('*.tmp'))
  assert {path.name for path in (tmp_path / 'figures').iterdir()} == {
      'losses.png', 'losses.pdf', 'class_consistency.png', 'class_consistency.pdf', 'evaluation_reconstructions.png'}
  picture = np.asarray(Image.open(tmp_path / 'figures/evaluation_reconstructions.png'))[-40:]
  np.testing.assert_array_equal(picture[:, :300], 20)
  np.testing.assert_array_equal(picture[:, -300:], 120)
  np.testing.assert_array_equal(picture[:, 300:-300], 255)


def test_a_picture_of_an_earlier_version_stands_beside_the_same_picture_of_this_one(tmp_path):
  (tmp_path / 'evaluation').mkdir()
  before, now = (tmp_path / f'evaluation/{name}.png' for name in (
      'trusted_most_and_least_step_00000010', 'best_and_worst_samples_step_00000020'))
  before.touch()
  assert last_pictures(tmp_path) == {'best_and_worst_samples': (10, before)}
  now.touch()
  assert last_pictures(tmp_path) == {'best_and_worst_samples': (20, now)}


def test_wide_pictures_stand_below_each_other():
  pictures = [np.full((50 + i, 1_000, 3), i, np.uint8) for i in range(3)]
  picture = grids.side_by_side(pictures)
  assert picture.shape[1] == 2 * 1_000 + grids.GAP
  places = [(0, 0), (0, 1_000 + grids.GAP), (51 + grids.GAP, 0)]
  rest = np.ones(picture.shape[:2], bool)
  for (y, x), one in zip(places, pictures, strict=True):
    np.testing.assert_array_equal(picture[y:y + len(one), x:x + 1_000], one)
    rest[y:y + len(one), x:x + 1_000] = False
  assert (picture[rest] == 255).all()
  too_wide = np.zeros((5, 3_000, 3), np.uint8)
  np.testing.assert_array_equal(grids.side_by_side([too_wide]), too_wide)


def test_each_run_is_drawn_raw_and_smoothed_in_its_color():
  steps = np.arange(1, 61) * 10
  values = {name: np.random.default_rng(seed).normal(size=60) for seed, name in enumerate(('one', 'two'))}
  records = {name: Record({'a': (steps, value), 'b': (steps[20:], value[20:] + 5)}, {})
             for name, value in values.items()}
  records['short'] = Record({'a': (steps[:4], np.ones(4))}, {})
  records['empty'] = Record({}, {})
  figure = overlay(Curves('x.png', 'X', 'x', ('a', 'b', 'c'), reference=2., reference_label='two'), records)
  upper, lower = figure.axes
  np.testing.assert_array_equal(upper.lines[0].get_ydata(), values['one'])
  np.testing.assert_allclose(upper.lines[1].get_ydata()[1:-1],
                             (values['one'][:-2] + values['one'][1:-1] + values['one'][2:]) / 3)
  assert [line.get_color() for line in upper.lines[:6]] == ['C0', 'C0', 'C1', 'C1', 'C2', 'C2']
  np.testing.assert_array_equal(lower.lines[2].get_ydata(), values['two'][20:] + 5)
  assert len(lower.lines) == 5 and set(lower.lines[-1].get_ydata()) == {2.}
  legend, = figure.legends
  assert [text.get_text() for text in legend.get_texts()] == ['one', 'two', 'short', 'two']
  assert [line.get_color() for line in legend.get_lines()] == ['C0', 'C1', 'C2', '0.25']
  assert (upper.get_title(), lower.get_title()) == ('a', 'b')
  assert upper.get_xlim() == lower.get_xlim() and upper.get_xlim()[0] < 10 < 600 < upper.get_xlim()[1]


@pytest.mark.parametrize('count, name', [(2, 'a'), (14, 'kl_weight=1e-{}'), (3, 'learning_rate=0.0001 ' * 4),
                                         (2, 'M' * 22), (2, 'M' * 98)])
def test_nothing_is_cut_and_no_legend_covers_a_panel(count, name):
  steps = np.arange(1, 50) * 12_345
  records = {f'{name} {i}': Record({column: (steps, np.sin(steps) * 10.**i) for column in 'ab'}, {})
             for i in range(count)}
  row = Curves('x.png', 'A title of some length', 'share of images given the class asked for', ('a', 'b'))
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    figure = overlay(row, records)
    figure.draw_without_rendering()
  legend, = figure.legends
  assert len({tuple(np.atleast_1d(line.get_color())) for line in legend.get_lines()}) == count
  texts = [figure._suptitle, figure._supylabel, legend.get_title(), *legend.get_texts(),
           *(axes.title for axes in figure.axes)]
  for box in (text.get_window_extent() for text in texts):
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
  panels = [axes.get_tightbbox() for axes in figure.axes]
  assert legend.get_window_extent().y1 <= min(panel.y0 for panel in panels) + 1
  assert panels[0].y0 >= panels[1].y1 - 1 and min(axes.bbox.height for axes in figure.axes) > 280
