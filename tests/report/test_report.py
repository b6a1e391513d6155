"""Pictures against the numbers and pixels that they show."""

import itertools
import json
import warnings

import numpy as np
from PIL import Image
import pytest

from jgen.errors import UserError
from jgen.report.drawing import Curves, draw_figure, moving_average, smoothing_window
from jgen.report.figures import FIGURES, draw_figures
from jgen.run.records import Record, read_record

COLUMNS = ('critic/loss', 'generator/loss', 'critic/adversarial', 'critic/wasserstein_estimate',
           'critic/penalty', 'critic/slope', 'critic/first_layer_gradient_norm', 'critic/gradient_norm',
           'generator/gradient_norm', 'critic/real_logit', 'critic/fake_logit', 'critic/real_accuracy',
           'critic/fake_accuracy', 'critic/real_loss', 'critic/fake_loss', 'critic/slope_at_real', 'vae/loss',
           'vae/reconstruction', 'vae/regularization', 'vae/mse',
           'vae/reconstruction_nats', 'vae/kl', 'vae/elbo', 'vae/bits_per_dimension', 'vae/kl_weight_per_pixel',
           'vae/kl_weight_per_image', 'vae/pixel_variance', 'vae/active_units', 'vae/gradient_norm', 'vqvae/loss',
           'vqvae/reconstruction', 'vqvae/mse', 'vqvae/codebook', 'vqvae/commitment', 'vqvae/perplexity',
           'vqvae/dead_share', 'vqvae/gradient_norm', 'prior/autoregressive/nats', 'prior/vae/elbo',
           'critic/real_class_accuracy', 'critic/fake_class_accuracy', 'critic/real_class_loss',
           'critic/fake_class_loss', 'generator/information', 'generator/continuous_information',
           'generator/code_accuracy')
REFERENCES = ('generator/information_maximum',)   # drawn as levels
EVALUATED = ('class_consistency/accuracy', 'critic_outputs/auc', 'diversity/pair_ratio', 'diversity/nearest_ratio',
             'speed/images_per_second', 'ledger/loss', 'ledger/mse', 'ledger/mse_sampled', 'ledger/elbo',
             'ledger/importance_bound', 'ledger/reconstruction_nats', 'ledger/kl', 'ledger/bits_per_dimension',
             'ledger/active_units', 'inception_features/fid@500', 'inception_features/fid768@500',
             'inception_features/kid_low@500', 'inception_features/precision768@500',
             'inception_features/recall@500', 'inception_features/coverage@500',
             'classifier_features/proxy_fid[tiny_imagenet-cnn]@10000', 'random_features/proxy_fid[random]@500',
             'reconstruction_quality/psnr', 'reconstruction_quality/ssim', 'codebook/loss',
             'codebook/reconstruction', 'codebook/mse', 'codebook/codebook', 'codebook/commitment',
             'codebook/perplexity', 'codebook/train_perplexity', 'codebook/dead_share', 'codebook/train_dead_share',
             'codebook/entropy_bits_per_image', 'codebook/bits_per_image', 'test_loss/nats', 'test_loss/train_nats',
             'test_loss/elbo', 'test_loss/train_elbo', 'attribute_pairs/change_by_label',
             'attribute_pairs/change_by_latents', 'code_classes/nmi')
OUTPUTS = {'edges': [-1., 0., 0.5, 2.], 'counts': {'train': [1, 3, 4], 'generated': [6, 3, 1]}}   # no test images
TABLE = {row.file: row for row in FIGURES}


def write_metrics(workdir, steps, columns):
  rows = [','.join(map(str, (step, *values))) for step, *values in zip(steps, *columns.values(), strict=True)]
  (workdir / 'metrics.csv').write_text('\n'.join([','.join(['step', *columns]), *rows]) + '\n')


def write_evaluation(workdir, step, accuracy, names=('cat', 'dog')):
  store(workdir, step, 'class_consistency', {
      'accuracy': accuracy, 'per_class': [accuracy] * len(names), 'class_names': list(names),
      'classifier_accuracy': 0.9, 'classifier_per_class': [0.9] * len(names), 'classifier': 'made up'})


def store(workdir, step, evaluator, results):
  (workdir / 'evaluation').mkdir(exist_ok=True)
  (workdir / 'evaluation' / f'{evaluator}_step_{step}.json').write_text(
      json.dumps({'step': step, 'evaluator': evaluator, 'results': results}))


def latents(names, count=200, annotation='Bangs'):
  """What the evaluator `tsne` stores, of made-up points."""
  random = np.random.default_rng(0)
  x, y = random.normal(size=(2, count))
  return {'x': x.tolist(), 'y': y.tolist(), 'values': random.integers(0, len(names), count).tolist(),
          'value_names': list(names), 'annotation': annotation, 'linear_accuracy': 0.875,
          'linear_balanced_accuracy': 0.75, 'majority_share': 0.625, 'num_values': len(names)}


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
  """A run of 60 logged rows and three evaluations, with its figures."""
  folder = tmp_path_factory.mktemp('run')
  random = np.random.default_rng(0)
  write_metrics(folder, range(100, 6_100, 100), {name: random.random(60) for name in COLUMNS + REFERENCES})
  for step, accuracy in ((900, 0.2), (1_000, 0.4), (6_000, 0.8)):
    write_evaluation(folder, step, accuracy)
    store(folder, step, 'ledger', {name.removeprefix('ledger/'): accuracy + step for name in EVALUATED
                                   if name.startswith('ledger/')} | {'kl_per_latent': [0.5, 2., accuracy]})
    for evaluator in ('inception_features', 'classifier_features', 'random_features', 'reconstruction_quality',
                      'test_loss', 'attribute_pairs', 'code_classes'):
      store(folder, step, evaluator, {name.partition('/')[2]: accuracy * random.random() for name in EVALUATED
                                      if name.startswith(evaluator)})
    store(folder, step, 'diversity', {'pair_ratio': accuracy, 'nearest_ratio': accuracy / 2})
    store(folder, step, 'critic_outputs', {'auc': accuracy, **OUTPUTS})
    store(folder, step, 'codebook', {name.removeprefix('codebook/'): accuracy * random.random() for name in EVALUATED
                                     if name.startswith('codebook/')} | {'train_usage': [7, 0, 2]})
  store(folder, 6_000, 'tsne', latents(['not Bangs', 'Bangs']))
  (folder / 'speed.csv').write_text('step,speed/images_per_second\n100,90.5\n200,99.5\n')
  draw_figures(folder)
  return folder


# Numbers


@pytest.mark.parametrize('window', [1, 3, 7])
def test_the_moving_average_is_the_mean_of_the_rows_around(window):
  values = np.random.default_rng(0).normal(size=9) * 10.**np.arange(9)
  values[4], values[7] = np.nan, np.inf
  expected = []
  for i in range(9):
    around = values[max(0, i - window // 2):i + window // 2 + 1]
    expected.append(around[np.isfinite(around)].mean() if np.isfinite(values[i]) else np.nan)
  np.testing.assert_allclose(moving_average(values, window), expected, rtol=1e-12)


def test_the_window_is_odd_and_grows_with_the_run():
  assert [smoothing_window(rows) for rows in (1, 2, 39, 40, 100, 1_000)] == [1, 1, 1, 3, 5, 51]


def test_stored_numbers_are_read_back(workdir):
  record = read_record(workdir)
  steps, values = record.series['critic/slope']
  stored = np.genfromtxt(workdir / 'metrics.csv', delimiter=',', names=True, deletechars='')
  np.testing.assert_array_equal(steps, stored['step'])
  np.testing.assert_array_equal(values, stored['critic/slope'])
  assert set(COLUMNS) < set(record.series)
  steps, values = record.series['class_consistency/accuracy']
  assert steps.tolist() == [900, 1_000, 6_000] and values.tolist() == [0.2, 0.4, 0.8]
  assert record.latest['class_consistency/per_class'] == [0.8, 0.8]   # step 6,000, though 900 is last by name
  assert 'class_consistency/classifier' not in record.series


def test_a_last_line_that_was_cut_short_is_left_out(tmp_path, capsys):
  (tmp_path / 'metrics.csv').write_text('step,critic/loss\n100,1.5\n200,2.5\n300,3')
  steps, values = read_record(tmp_path).series['critic/loss']
  assert steps.tolist() == [100, 200] and values.tolist() == [1.5, 2.5]
  assert 'metrics.csv: the last line is truncated and was left out' in capsys.readouterr().err


@pytest.mark.parametrize('content, words', [
    (b'critic/loss,step\n1,2\n', 'damaged'), (bytes(range(256)), 'damaged'),
    (b'step,critic/loss\n100,1\n200\n', 'line 3'), (b'step,critic/loss\n100,many\n', 'line 2'),
    (b'step,critic/loss\n100,1,1\n', 'line 2'), (b'step,critic/loss\nnan,1\n', 'line 2'),
])
def test_a_damaged_metrics_file_is_one_line(tmp_path, content, words):
  (tmp_path / 'metrics.csv').write_bytes(content)
  with pytest.raises(UserError, match=words) as error:
    draw_figures(tmp_path)
  assert 'metrics.csv' in str(error.value) and '\n' not in str(error.value)
  assert not (tmp_path / 'figures').exists()


@pytest.mark.parametrize('content', [None, b'', b'step,critic/loss\n'])
def test_a_run_that_has_not_logged_yet_has_no_figures(tmp_path, content):
  if content is not None:
    (tmp_path / 'metrics.csv').write_bytes(content)
  assert draw_figures(tmp_path) == []


@pytest.mark.parametrize('content', ['', '[1]', '{"step": 1}', '{"step": 1, "evaluator": "x", "results": 3}'])
def test_a_damaged_evaluation_is_one_line(tmp_path, content):
  write_metrics(tmp_path, [100], {'critic/loss': [1.]})
  (tmp_path / 'evaluation').mkdir()
  (tmp_path / 'evaluation' / 'torn.json').write_text(content)
  with pytest.raises(UserError, match='torn.json: damaged'):
    draw_figures(tmp_path)


# Figures


def test_the_table_shows_every_number_that_the_families_write():
  curves = [row for row in FIGURES if isinstance(row, Curves)]
  shown = [name for row in curves for name in row.shown({*COLUMNS, *EVALUATED})]
  assert sorted(shown) == sorted([*COLUMNS, *EVALUATED])
  assert len(TABLE) == len(FIGURES)
  assert all(row.title and row.ylabel for row in FIGURES)


def test_every_figure_is_drawn(workdir):
  assert {path.name for path in (workdir / 'figures').iterdir()} == set(TABLE)
  for path in (workdir / 'figures').iterdir():
    pixels = np.asarray(Image.open(path).convert('RGB')).astype(int)
    blue = np.abs(pixels - (31, 119, 180)).sum(axis=-1) < 30   # the first curve's or the bars' colour
    assert pixels.std() > 10 and blue.sum() > 100, path.name


def test_only_what_was_logged_is_drawn(tmp_path):
  write_metrics(tmp_path, [100, 200], {'critic/loss': [1., 2.], 'other/number': [3., 4.]})
  assert draw_figures(str(tmp_path)) == [tmp_path / 'figures' / 'losses.png']
  assert [path.name for path in (tmp_path / 'figures').iterdir()] == ['losses.png']
  draw_figures(tmp_path, ('pdf',))      # the same numbers are the same bytes, whenever they are drawn
  assert b'CreationDate' not in (tmp_path / 'figures' / 'losses.pdf').read_bytes()


def test_curves_are_drawn_raw_and_smoothed(workdir):
  record = read_record(workdir)
  figure = draw_figure(TABLE['losses.png'], record)
  raw, smooth, raw_generator, _ = figure.axes[0].lines
  steps, values = record.series['critic/loss']
  np.testing.assert_array_equal(raw.get_xydata(), np.stack([steps, values], axis=1))
  np.testing.assert_array_equal(raw_generator.get_ydata(), record.series['generator/loss'][1])
  np.testing.assert_allclose(smooth.get_ydata()[1:-1], (values[:-2] + values[1:-1] + values[2:]) / 3)
  assert raw.get_alpha() < 0.5 and smooth.get_alpha() is None
  assert figure.axes[0].get_xlabel() == 'training steps'
  legend, = figure.legends
  assert 'moving average over 3 logged rows' in legend.get_title().get_text()
  assert [text.get_text() for text in legend.get_texts()] == ['critic loss', 'generator loss']


def test_the_test_images_are_points_over_the_training_curve(workdir):
  record = read_record(workdir)
  figure = draw_figure(TABLE['kl.png'], record)
  raw, smooth, tested = figure.axes[0].lines
  np.testing.assert_array_equal(raw.get_ydata(), record.series['vae/kl'][1])
  assert len(smooth.get_ydata()) == 60 and smooth.get_marker() == 'None'
  np.testing.assert_array_equal(tested.get_xydata(), [[900, 900.2], [1_000, 1_000.4], [6_000, 6_000.8]])
  assert tested.get_marker() == 'o' and tested.get_zorder() >= smooth.get_zorder()
  legend, = figure.legends
  assert [text.get_text() for text in legend.get_texts()] == ['kl (training batches)', 'kl (test images)']
  assert 'over 3 logged rows' in legend.get_title().get_text()   # of the 60; the three are not smoothed


def test_two_windows_are_both_told():
  series = {'vae/kl': (np.arange(1_000), np.ones(1_000)), 'ledger/kl': (np.arange(100), np.ones(100))}
  legend, = draw_figure(TABLE['kl.png'], Record(series, {})).legends
  assert 'over 51 or 5 logged rows' in legend.get_title().get_text()


def test_bars_stand_by_their_height(workdir):
  axes = draw_figure(TABLE['kl_per_latent.png'], read_record(workdir)).axes[0]
  assert [bar.get_height() for bar in axes.patches] == [2., 0.8, 0.5]   # of step 6,000
  assert [bar.get_center()[0] for bar in axes.patches] == [1, 2, 3]
  assert '6,000 steps, total 3.3' in axes.figure.legends[0].get_texts()[0].get_text()


def test_histograms_are_shares_over_the_bins(workdir):
  figure = draw_figure(TABLE['critic_output_histogram.png'], read_record(workdir))
  outlines = [patch.get_data() for patch in figure.axes[0].patches if patch.get_label() and patch.get_label()[0] != '_']
  for (shares, edges, _), expected in zip(outlines, ([1 / 8, 3 / 8, 1 / 2], [0.6, 0.3, 0.1]), strict=True):
    np.testing.assert_array_equal(edges, OUTPUTS['edges'])
    np.testing.assert_allclose(shares, expected)
  legend, = figure.legends
  assert [text.get_text() for text in legend.get_texts()] == ['training images (8)', 'generated images (10)']
  assert legend.get_title().get_text() == 'after 6,000 steps'


def scatter(names, **kwargs):
  """(the figure, its points, what was stored) of made-up latents whose values have these names."""
  stored = latents(names, **kwargs)
  record = Record({}, {f'tsne/{entry}': value for entry, value in stored.items()} | {'tsne/step': 6_000})
  figure = draw_figure(TABLE['tsne.png'], record)
  figure.draw_without_rendering()
  points, = figure.axes[0].collections
  np.testing.assert_array_equal(points.get_offsets(), np.stack([stored['x'], stored['y']], axis=1))
  return figure, points, stored


@pytest.mark.parametrize('names', [['not Bangs', 'Bangs'], list('0123456789'), [f'kind {i}' for i in range(20)]])
def test_a_color_per_value_and_a_legend_that_says_which(names):
  figure, points, stored = scatter(names)
  values, colors = np.array(stored['values']), points.get_facecolors()
  legend, = figure.legends
  marks, texts = legend.legend_handles, [text.get_text() for text in legend.get_texts()]
  assert len(texts) == len(names) == len({mark.get_color() for mark in marks})
  for value, (mark, text) in enumerate(zip(marks, texts, strict=True)):
    assert text == f'{names[value]} ({(values == value).sum()})'
    np.testing.assert_allclose(colors[values == value, :3], [mark.get_color()] * (values == value).sum())
  assert legend.get_title().get_text() == 'Bangs' and 'coloured by Bangs' in figure.get_suptitle()
  assert all(share in figure.get_supxlabel() for share in ('87.5%', '75.0%', '62.5%', '6,000 steps', '200 test'))


@pytest.mark.parametrize('names', [[f'{x:.1f}' for x in np.linspace(0.5, 1, 6)], [str(i) for i in range(32)],
                                   [f'a rather long name of number {i}' for i in range(200)]])
def test_many_values_and_measures_have_a_color_bar(names):
  figure, points, stored = scatter(names)
  _, bar = figure.axes
  np.testing.assert_array_equal(points.get_array(), stored['values'])
  shades = points.get_facecolors().sum(axis=1)[np.argsort(stored['values'])]
  assert len({tuple(color) for color in points.get_facecolors()}) == len(set(stored['values']))
  assert shades[0] < shades[-1]         # from dark to light
  ticks = [(tick.get_loc(), tick.label1.get_text()) for tick in bar.yaxis.get_major_ticks()]
  assert 6 <= len(ticks) <= 20 and all(names[int(at)][:20] == text[:20] for at, text in ticks)
  assert not figure.legends


@pytest.mark.parametrize('names', [['_hidden', 'costs $5 to $9'], ['x' * 80, 'y'], [f'{i:.3f}' for i in range(21)],
                                   *([f'a rather long name {i}' for i in range(count)] for count in (20, 256))])
def test_names_of_any_kind_leave_room_for_the_points(names):
  figure, points, _ = scatter(names, annotation='A name of an annotation that is far too long for a title')
  axes, texts = figure.axes[0], [figure._suptitle, figure._supxlabel, figure.axes[0].xaxis.label]
  if figure.legends:
    legend, = figure.legends
    texts += [legend.get_title(), *legend.get_texts()]
    assert len(legend.get_texts()) == len(names)
    assert legend.get_window_extent().x0 >= axes.bbox.x1
    assert legend.get_window_extent().y0 >= figure._supxlabel.get_window_extent().y1
    assert legend.get_window_extent().y1 <= figure._suptitle.get_window_extent().y0
  else:
    ticks = [tick.label2 for tick in figure.axes[1].yaxis.get_major_ticks()]
    texts += [figure.axes[1].yaxis.label, *ticks]
    assert_apart(ticks)
  for box in (text.get_window_extent() for text in texts):
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
  assert axes.bbox.width > 0.5 * figure.bbox.width and axes.bbox.height > 0.6 * figure.bbox.height


def test_what_is_counted_has_no_halves():
  row = TABLE['active_units.png']
  axes = draw_figure(row, Record({'vae/active_units': (np.arange(3), np.array([10., 10., 11.]))}, {})).axes[0]
  assert all(tick == int(tick) for tick in axes.get_yticks())


@pytest.mark.parametrize('low, high, some', [(5, 9, ['5', '10']), (0.03, 1.5, ['0.05', '0.1']), (
    40, 4e5, ['1,000', '10,000', '100,000']), (1e-7, 3, ['$\\mathdefault{10^{-3}}$'])])
def test_a_logarithmic_axis_has_short_numbers(low, high, some):
  curve = np.arange(9), np.geomspace(low, high, 9)
  figure = draw_figure(TABLE['first_layer_gradient.png'], Record({'critic/first_layer_gradient_norm': curve}, {}))
  names, others = ([tick.get_text() for tick in figure.axes[0].get_yticklabels(minor)] for minor in (False, True))
  assert set(some) <= set(names) and not any(others), names


def test_scales_limits_and_references(workdir):
  record = read_record(workdir)
  axes = {file: draw_figure(TABLE[file], record).axes[0] for file in (
      'first_layer_gradient.png', 'critic_accuracy.png', 'critic_slope.png', 'class_consistency.png',
      'class_consistency_by_class.png')}
  assert axes['first_layer_gradient.png'].get_yscale() == 'log'
  assert axes['critic_accuracy.png'].get_ylim() == pytest.approx((-0.02, 1.02))
  assert set(axes['critic_slope.png'].lines[-1].get_ydata()) == {1.}
  assert set(axes['class_consistency.png'].lines[-1].get_ydata()) == {0.9}
  bars = axes['class_consistency_by_class.png']
  assert [bar.get_height() for bar in bars.patches] == [0.8, 0.8]
  assert [label.get_text() for label in bars.get_xticklabels()] == ['cat', 'dog']


def test_a_single_step_is_the_end_of_the_axis():
  record = Record({'critic_outputs/auc': (np.array([1000]), np.array([0.8]))}, {})
  axes = draw_figure(TABLE['critic_auc.png'], record).axes[0]
  assert axes.get_xlim() == pytest.approx((-20, 1020))


DECADES = np.geomspace(1e-9, 1e9, 50)
ANY_NUMBERS = {
    'one row': [0.7], 'a zero': [0.], 'two rows': [-2., 3.], 'constant': [0.6931] * 50, 'decades': DECADES,
    'negative decades': -DECADES, 'decades of both signs': DECADES * (-1)**np.arange(50),
    'zeros': [0.] * 25 + [1e-6] * 25, 'zeros and decades': [0., *DECADES],
    'outlier': np.where(np.arange(50) == 4, 1e6, 1.), 'diverged': np.where(np.arange(50) < 30, 1., np.nan),
    'infinite': [1., np.inf, 2.], 'nothing finite': [np.nan] * 3}


@pytest.mark.parametrize('name', ANY_NUMBERS)
def test_any_numbers_can_be_drawn(tmp_path, name):
  values = np.asarray(ANY_NUMBERS[name])
  steps = 1_000 * np.arange(1, len(values) + 1)
  for log in (False, True):
    row = Curves('any.png', 'Any', 'any', ('a',), log=log)
    with warnings.catch_warnings():
      warnings.simplefilter('error')
      figure = draw_figure(row, Record({'a': (steps, values)}, {}))
      figure.savefig(tmp_path / row.file)
    (left, right), (low, high) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    assert left < steps[0] and steps[-1] < right
    finite = values[np.isfinite(values)]
    assert (low < finite).all() and (finite < high).all()
    assert_apart(sorted(shown_ticks(figure.axes[0].yaxis), key=lambda label: label.get_position()[1]))


@pytest.mark.parametrize('names', [['cat', 'dog'], ['a rather long name'] * 20, [str(i) for i in range(200)]])
def test_no_label_is_cut_and_no_legend_covers_data(tmp_path, names):
  steps = np.arange(50) * 12_345
  series = {'critic/slope': (steps, 1e3 * np.sin(steps)), 'critic/gradient_norm': (steps, DECADES),
            'class_consistency/accuracy': (steps[:1], np.array([0.5])),
            'class_consistency/classifier_accuracy': (steps[:1], np.array([0.9]))}
  if len(names) == 2:                   # once: these figures name no classes
    series |= {name: (steps, 12_345. * np.sin(steps)) for name in COLUMNS if name.startswith(('vae/', 'vqvae/'))}
    series |= {name: (steps[::10], 23_456. * np.cos(steps[::10])) for name in EVALUATED[1:]}
  latest = {'per_class': [0.5] * len(names), 'classifier_per_class': [0.9] * len(names), 'class_names': names,
            'step': 100_000}
  record = Record(series, {f'class_consistency/{entry}': value for entry, value in latest.items()} | {
      'ledger/kl_per_latent': np.geomspace(1e-9, 9, len(names)).tolist(), 'ledger/step': 100_000,
      'codebook/train_usage': [10_000_000] * len(names), 'codebook/step': 100_000})
  for row in FIGURES:
    if not row.has_data(record):
      continue
    figure = draw_figure(row, record)
    figure.draw_without_rendering()
    (axes,), (legend,) = figure.axes, figure.legends
    ticks = shown_ticks(axes.xaxis)
    texts = [axes.title, axes.xaxis.label, axes.yaxis.label, *ticks, *shown_ticks(axes.yaxis),
             legend.get_title(), *legend.get_texts()]
    for box in (text.get_window_extent() for text in texts if text.get_text()):
      assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, row.file
    assert legend.get_window_extent().y1 <= axes.get_tightbbox().y0 + 1, row.file
    assert_apart(ticks)


def shown_ticks(axis):
  low, high = axis.get_view_interval()
  return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def assert_apart(labels):
  boxes = [label.get_window_extent() for label in labels]
  assert boxes and not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))
