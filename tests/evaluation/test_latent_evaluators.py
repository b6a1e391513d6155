"""Pictures and numbers of models with an encoder, on a linear model whose results have a closed form."""

import copy
import json
import math
import types

from flax import jax_utils
from helpers import tiny
import jax
import numpy as np
from PIL import Image
import pytest
from sklearn.neighbors import KNeighborsClassifier

from jgen import data, families, recipes
from jgen.commands import evaluate, train
from jgen.data.spec import Annotation, Dataset, Spec, Splits
from jgen.errors import UserError
from jgen.evaluation import check_data, create
from jgen.evaluation.shared import spread
from jgen.evaluation.tsne import separability
from jgen.families.model import Compiled
from jgen.report.figures import draw_figures
from jgen.training import actions

pytestmark = pytest.mark.usefixtures('few_figures', 'optimised')

SHAPE = (4, 4, 3)
SCALE = math.sqrt(12)     # a latent is so many times the mean of its quadrant's 12 values
LOG_VARIANCE = np.log([0.5, 1., 0.1, 0.9]).astype(np.float32)
FAMILY = types.SimpleNamespace(num_classes=0, encode=print, decode=print, reconstruct=print)


class Quadrants:
  """Four latents, one a quadrant: it is encoded by its mean and decoded as a plain area of it."""

  def encode(self, images):
    assert images.dtype == np.uint8
    mean = SCALE * blocks(images / 127.5 - 1).mean(axis=(2, 4, 5)).reshape(-1, 4)
    return mean.astype(np.float32), np.broadcast_to(LOG_VARIANCE, mean.shape)

  def decode(self, latents):
    areas = np.repeat(np.repeat(np.reshape(latents, (-1, 2, 2, 1)), 2, axis=1), 2, axis=2) / SCALE
    return np.broadcast_to(pixels(areas), (len(latents), *SHAPE))

  def reconstruct(self, images):
    return self.decode(self.encode(images)[0])


def blocks(images):
  """[n, 2, 2, 2, 2, 3]: quadrant row, row within, quadrant column, column within, channel."""
  return np.reshape(images, (-1, 2, 2, 2, 2, 3))


def pixels(floats):
  return np.clip(np.rint((np.asarray(floats) + 1) * 127.5), 0, 255).astype(np.uint8)


def flattened(images):
  """Every quadrant replaced by its mean."""
  means = blocks(images / 127.5 - 1).mean(axis=(2, 4, 5), keepdims=True)
  return pixels(np.broadcast_to(means, blocks(images).shape)).reshape(images.shape)


def dataset_of(images, labels=None, num_classes=0, annotations=(), codes=None):
  spec = Spec('made', images.shape[1:], num_classes, annotations=annotations)
  labels = np.zeros(len(images), np.int32) if labels is None else np.asarray(labels, np.int32)
  return Dataset(spec, images, labels, 'made in a test', codes)


@pytest.fixture(scope='module')
def splits():
  random = np.random.default_rng(0)
  train_images, test_images = (random.integers(0, 256, (n, *SHAPE), np.uint8) for n in (3, 12))
  return Splits(dataset_of(train_images), dataset_of(test_images))


def measured(name, splits, model=None, **keys):
  section = recipes.evaluator(name)
  section.update(keys)
  evaluator = create({name: section}, splits.test.spec, FAMILY, has_test=True)[name]
  check_data({name: evaluator}, splits)
  result = evaluator.measure(model or Quadrants(), splits, 0)
  assert json.loads(json.dumps(result.numbers, allow_nan=False)) == result.numbers   # plain numbers
  return result


def rows_of(grid):
  return grid.images.reshape(-1, grid.columns, *grid.images.shape[1:])


# Which images


def test_the_images_shown_are_spread_and_always_the_same():
  many = types.SimpleNamespace(images=range(737_280))
  chosen = spread(10, many)
  np.testing.assert_array_equal(chosen // 73_728, np.arange(10))   # one in each tenth
  np.testing.assert_array_equal(chosen, spread(10, many))
  assert len(set(chosen % 32)) > 5 and len(set(chosen % 1024)) > 5   # in no step with a factor of the order
  for count in (1, 7, 10, 11, 15):
    few = spread(10, types.SimpleNamespace(images=range(count)))
    assert len(set(few)) == min(10, count) and (np.diff(few) > 0).all() and 0 <= few[0] <= few[-1] < count


# Reconstructions


def test_every_row_of_originals_stands_over_its_reconstructions(splits):
  result = measured('reconstructions', splits, num_images=20)
  grid, images = result.grids['reconstructions'], splits.test.images
  rows = rows_of(grid)
  assert rows.shape == (4, 10, *SHAPE) and grid.row_names == ('original', 'reconstruction') * 2
  np.testing.assert_array_equal(np.concatenate([rows[0], rows[2, :2]]), images)
  np.testing.assert_array_equal(np.concatenate([rows[1], rows[3, :2]]), flattened(images))
  assert (rows[2:, 2:] == 160).all()    # the separators' colour
  errors = ((images / 127.5 - flattened(images) / 127.5)**2).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(result.numbers['mse_per_image'], errors, rtol=1e-6)
  assert result.numbers['mse_shown'] == pytest.approx(errors.mean())
  assert result.numbers['test_images'] == list(range(12))


def test_as_many_images_as_asked_for_side_by_side(splits):
  result = measured('reconstructions', splits, num_images=5)
  rows = rows_of(result.grids['reconstructions'])
  assert rows.shape == (2, 5, *SHAPE)
  np.testing.assert_array_equal(rows[0], splits.test.images[result.numbers['test_images']])
  np.testing.assert_array_equal(rows[1], flattened(rows[0]))


# Traversals


@pytest.mark.parametrize('image', [0, 7, -1])
def test_a_row_changes_one_latent_and_keeps_the_others(splits, image):
  result = measured('traversals', splits, image=image, num_values=5, span=2.)
  start = flattened(splits.test.images[image])[None] if image >= 0 else pixels(np.zeros((1, *SHAPE)))
  mean = Quadrants().encode(splits.test.images)[0].astype(np.float64)
  kl = (0.5 * (mean**2 + np.exp(LOG_VARIANCE) - 1 - LOG_VARIANCE)).mean(axis=0)
  order = sorted(range(4), key=lambda latent: -kl[latent])
  grid = result.grids['traversals']
  assert rows_of(grid).shape == (4, 5, *SHAPE)   # ten are asked for, but there are four
  assert grid.row_names == tuple(f'z{latent}  KL {kl[latent]:.3g}' for latent in order)
  assert '-2' in grid.title and 'standard deviations' in grid.title
  assert result.numbers['latents'] == order and result.numbers['values'] == [-2, -1, 0, 1, 2]
  np.testing.assert_allclose(result.numbers['kl'], kl[order], rtol=1e-5)
  for latent, row in zip(order, rows_of(grid), strict=True):
    expected = blocks(np.repeat(start, 5, axis=0)).copy()
    expected[:, latent // 2, :, latent % 2] = pixels(np.arange(-2, 3) / SCALE)[:, None, None, None]
    np.testing.assert_array_equal(blocks(row), expected)


def test_the_latents_with_the_most_divergence_are_shown(splits):
  all_rows = rows_of(measured('traversals', splits).grids['traversals'])
  result = measured('traversals', splits, num_latents=2)
  np.testing.assert_array_equal(rows_of(result.grids['traversals']), all_rows[:2])
  assert result.numbers['latents'][0] == 2     # the narrowest posterior


# Interpolations


def test_a_row_leads_from_one_original_to_another_on_a_straight_line(splits):
  result = measured('interpolations', splits, num_pairs=3, num_steps=3)
  pairs = np.array(result.numbers['test_images'])
  assert len(set(pairs.ravel())) == 6
  rows = rows_of(result.grids['interpolations'])
  assert rows.shape == (3, 7, *SHAPE)
  first, last = splits.test.images[pairs[:, 0]], splits.test.images[pairs[:, 1]]
  np.testing.assert_array_equal(rows[:, 0], first)
  np.testing.assert_array_equal(rows[:, 6], last)
  assert (rows[:, [1, 5]] == 160).all()        # apart from what is decoded
  np.testing.assert_array_equal(rows[:, 2], flattened(first))
  np.testing.assert_array_equal(rows[:, 4], flattened(last))
  halfway = (rows[:, 2].astype(float) + rows[:, 4]) / 2
  np.testing.assert_allclose(rows[:, 3], halfway, atol=1.01)   # all three are rounded


# t-SNE and linear separability


class Listed:
  """Encodes image number n, which its first two values tell, as row n of a table."""

  def __init__(self, means):
    self.means = np.asarray(means, np.float32)

  def encode(self, images):
    numbers = images[:, 0, 0, 0] + 256 * images[:, 0, 1, 0].astype(int)
    return self.means[numbers], np.zeros_like(self.means[numbers])


def numbered(count, codes, names=('no', 'yes'), **kwargs):
  """Splits of `count` test images for Listed, of which the annotation `mark` has these codes."""
  images = np.zeros((count, 2, 2, 1), np.uint8)
  images[:, 0, 0, 0], images[:, 0, 1, 0] = np.arange(count) % 256, np.arange(count) // 256
  annotations = Annotation('other', ('a', 'b')), Annotation('mark', names)
  columns = np.stack([np.zeros(count, int), codes], axis=1).astype(np.int32)
  dataset = dataset_of(images, annotations=annotations, codes=columns, **kwargs)
  return Splits(dataset, dataset)


def scores(means, codes, **keys):
  result = measured('tsne', numbered(len(codes), codes), Listed(means), annotation='mark', perplexity=5., **keys)
  return result.numbers


def test_two_normals_are_told_apart_as_well_as_they_can_be():
  """Normals whose means are 2 apart are told apart with probability Phi(1), and no better."""
  random = np.random.default_rng(0)
  codes = np.arange(600) % 2
  means = random.normal(size=(600, 6))
  means[:, 3] += 2 * codes
  means[:, 3] *= 1e-3                   # which standardising undoes
  accuracy, balanced = separability(means, codes)
  best = 0.5 * (1 + math.erf(1 / math.sqrt(2)))
  assert accuracy == pytest.approx(best, abs=0.03)
  assert balanced == pytest.approx(accuracy, abs=1e-9)   # both are as many


def test_what_the_latents_do_not_know_is_at_chance():
  """100 latents of noise can tell 150 images apart by heart; those that were held out they cannot."""
  codes = np.arange(150) % 5 == 0
  numbers = scores(np.random.default_rng(0).normal(size=(150, 100)), codes)
  assert numbers['majority_share'] == pytest.approx(0.8) and numbers['num_values'] == 2
  assert numbers['linear_accuracy'] < 0.85 and numbers['linear_balanced_accuracy'] == pytest.approx(0.5, abs=0.12)


def test_points_of_a_kind_lie_together():
  codes = np.arange(90) % 3
  means = 8 * np.eye(3)[codes] + np.random.default_rng(0).normal(size=(90, 3))
  splits = numbered(90, np.zeros(90, int), labels=codes, num_classes=3)
  first, again = (measured('tsne', splits, Listed(means), perplexity=10.).numbers for _ in range(2))
  assert first == again
  points = np.stack([first['x'], first['y']], axis=1)
  assert points.shape == (90, 2) and np.ptp(points, axis=0).min() > 1
  assert (points == np.round(points, 3)).all()
  # the data set's own classes, as none is named, in the order of the images
  assert first['values'] == codes.tolist() and first['value_names'] == ['0', '1', '2']
  assert first['annotation'] == 'class'
  assert KNeighborsClassifier(4).fit(points, codes).score(points, codes) > 0.95
  assert first['linear_accuracy'] == 1 and first['tsne_divergence'] > 0


@pytest.mark.parametrize('means', [np.ones((40, 4)), np.arange(40.)[:, None]], ids=['collapsed', 'one latent'])
def test_a_poor_encoder_is_measured_too(means):
  numbers = scores(means, np.arange(40) % 4 == 0)
  assert numbers['linear_accuracy'] == pytest.approx(0.75) and len(numbers['x']) == 40


def test_points_are_no_more_than_asked_for():
  random = np.random.default_rng(0)
  codes = random.integers(0, 2, 300)
  numbers = scores(random.normal(size=(300, 2)) + 20 * codes[:, None], codes, num_images=50)
  assert numbers['linear_accuracy'] == 1   # the codes are those of the images that are encoded
  assert numbers['num_test_images'] == len(numbers['x']) == len(numbers['values']) == 50
  assert 10 < sum(numbers['values']) < 40


# What cannot work


MARKED = (Annotation('color', ('white',)), Annotation('Bangs', ('not Bangs', 'Bangs')))


@pytest.mark.parametrize('name, keys, spec, words', [
    ('tsne', {'annotation': 'Bang'}, Spec('made', SHAPE, 0, (), MARKED), ["'Bang'", "mean 'Bangs'"]),
    ('tsne', {'annotation': 'color'}, Spec('made', SHAPE, 0, (), MARKED), ["single value 'white'"]),
    ('tsne', {'annotation': ''}, Spec('made', SHAPE, 0, (), MARKED), ['no classes', 'color, Bangs']),
    ('tsne', {'annotation': ''}, Spec('made', SHAPE), ['no classes', 'remove']),
    ('tsne', {'annotation': 'Bangs'}, Spec('made', SHAPE), ["'Bangs'", 'available: none']),
    ('tsne', {'num_images': 30}, Spec('made', SHAPE, 2), ['num_images is 30', 'perplexity of 30']),
    ('tsne', {'perplexity': 0.}, Spec('made', SHAPE, 2), ['perplexity is 0.0']),
    ('traversals', {'span': 0.}, Spec('made', SHAPE), ['span is 0.0']),
    ('traversals', {'image': -2}, Spec('made', SHAPE), ['image is -2']),
    ('interpolations', {'num_steps': 1}, Spec('made', SHAPE), ['num_steps is 1', 'at least 2']),
])
def test_what_the_data_set_cannot_serve_is_refused_before_it_is_read(name, keys, spec, words):
  section = recipes.evaluator(name)
  section.update(keys)
  with pytest.raises(UserError) as error:
    create({name: section}, spec, FAMILY, has_test=True)
  assert all(word in str(error.value) for word in [f'config.evaluators.{name}', *words])
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', ['reconstructions', 'traversals', 'interpolations', 'tsne'])
def test_test_images_and_an_encoder_are_needed(name):
  sections, spec = {name: recipes.evaluator(name)}, Spec('made', SHAPE, 2)
  with pytest.raises(UserError, match='test_splits'):
    create(sections, spec, FAMILY)
  with pytest.raises(UserError, match='needs a model that can (encode|reconstruct)'):
    create(sections, spec, types.SimpleNamespace(num_classes=0), has_test=True)


@pytest.mark.parametrize('name, keys, codes, words', [
    ('interpolations', {'num_pairs': 5}, [0, 1] * 4, ['num_pairs is 5', 'are 8', 'set 4']),
    ('traversals', {'image': 8}, [0, 1] * 4, ['image is 8', '8 test images', '0 to 7']),
    ('tsne', {'annotation': 'mark', 'perplexity': 8.}, [0, 1] * 4, ['perplexity is 8', '8 test images']),
    ('tsne', {'annotation': 'mark', 'perplexity': 3.}, [0] * 9 + [1] * 4, ["'mark' = 'yes'", '4 of 13', '5 images']),
    ('tsne', {'annotation': 'mark', 'perplexity': 3.}, [0] * 9, ["'mark' = 'no'", '9 of 9', 'two values']),
])
def test_what_the_images_cannot_serve_is_refused_before_training(name, keys, codes, words):
  section = recipes.evaluator(name)
  section.update(keys)
  splits = numbered(len(codes), codes)
  created = create({name: section}, splits.test.spec, FAMILY, has_test=True)
  with pytest.raises(UserError) as error:
    check_data(created, splits)
  assert all(word in str(error.value) for word in [f'config.evaluators.{name}', *words])
  assert '\n' not in str(error.value)


# With a real model


@pytest.fixture(scope='module')
def config():
  config = tiny.vae()
  config.data.test_splits = ('test',)
  with config.unlocked():
    for name in ('reconstructions', 'traversals', 'interpolations', 'tsne'):
      config.evaluators[name] = recipes.evaluator(name)
  return config


@pytest.mark.parametrize('mode', [train, evaluate])
def test_nothing_begins_where_the_images_are_too_few(config, tmp_path, mode, monkeypatch):
  config = copy.deepcopy(config)
  config.evaluators.tsne.perplexity = 171.
  monkeypatch.setattr(evaluate.run_folder, 'read_config', lambda folder: config.to_dict())
  monkeypatch.setattr(evaluate.Checkpoints, 'newest_and_best', lambda self, like: ({'newest': 'not looked at'}, []))
  with pytest.raises(UserError, match='there are 171 test images; set it below'):
    mode.run(config, tmp_path / 'run', 'python launch.py')
  assert not (tmp_path / 'run' / 'evaluation').exists()


def test_a_real_model_is_drawn_and_measured(config, tmp_path):
  spec = data.describe(config.data)
  family = families.create(config, spec)
  evaluators = create(config.evaluators, spec, family, has_test=True)
  state = jax_utils.replicate(jax.jit(family.init)(jax.random.key(0)))
  writer = types.SimpleNamespace(write_images=lambda *_: None, write_scalars=lambda *_: None)
  evaluate_now = actions.Evaluate(0, evaluators, Compiled(family), data.load_splits(config.data), tmp_path, 0, writer)
  assert 0 <= evaluate_now(2, state, {})['tsne/linear_accuracy'] <= 1
  folder = tmp_path / 'evaluation'
  sizes = {name: Image.open(folder / f'{name}_step_00000002.png').size
           for name in ('reconstructions', 'traversals', 'interpolations')}
  # 8x8 images become 48x48, 2 pixels apart; two of the pictures have a title of 27 pixels
  assert [height for _, height in sizes.values()] == [2 * 50 + 2, 5 * 50 + 2 + 27, 5 * 50 + 2 + 27]
  stored = {name: json.loads((folder / f'{name}_step_00000002.json').read_text()) for name in evaluators}
  assert stored['tsne']['settings']['perplexity'] == 30 and len(stored['tsne']['results']['x']) == 171
  assert stored['traversals']['results']['num_test_images'] == 171
  assert [path.name for path in draw_figures(tmp_path)] == ['tsne.png']
