"""Evaluators and pictures of GANs against numpy, scipy and scikit-learn, and on models with known outputs."""

import json
import types

from flax import jax_utils
from helpers import tiny
import jax
import numpy as np
from PIL import Image
import pytest
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import roc_auc_score

from jgen import families, recipes
from jgen.data.spec import Dataset, Spec, Splits
from jgen.errors import UserError
from jgen.evaluation import check_data, create
from jgen.evaluation.features import neighbours
from jgen.evaluation.latents import on_arcs
from jgen.families.model import Compiled, Model
from jgen.images import grids
from jgen.images.pixels import to_pixels
from jgen.report.film import draw_film

SHAPE = (4, 4, 3)
DIGITS = Spec('squares', (8, 8, 1), 10, tuple('0123456789'))


def random_images(count, seed=0):
  return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


def dataset_of(images, num_classes=0):
  labels = np.arange(len(images), dtype=np.int32) % max(1, num_classes)
  return Dataset(Spec('made', SHAPE, num_classes, tuple('abcdefghij'[:num_classes])), images, labels, 'made in a test')


def flat(images):
  return images.reshape(len(images), -1) / 127.5 - 1


def reference(first, second):
  return cdist(flat(first), flat(second)) / np.sqrt(np.prod(SHAPE))


class Fake:
  """A model that draws the images it is given, in their order, and trusts bright ones."""

  def __init__(self, images, num_classes=0):
    self.images, self.asked = images, []
    self.family = types.SimpleNamespace(num_classes=num_classes, latent_size=6, critic_logits=print, sample_at=print)

  def sample(self, labels, seed):
    self.asked.append((labels, seed))
    return self.images[:len(labels)]

  def critic_logits(self, images, labels):
    return images.mean(axis=(1, 2, 3)).astype(np.float32)

  def sample_at(self, latents, labels, seed):
    self.asked.append((latents, labels))
    return np.broadcast_to(to_pixels(latents[:, :1, None, None] / 4), (len(latents), *SHAPE))


def measured(name, model, splits, **keys):
  section = recipes.evaluator(name)
  section.update(keys)
  created = create({name: section}, splits.train.spec, model.family)
  check_data(created, splits)
  result = created[name].measure(model, splits, 7)
  assert json.loads(json.dumps(result.numbers, allow_nan=False)) == result.numbers   # plain numbers
  return result


def rows_of(grid):
  return grid.images.reshape(-1, grid.columns, *grid.images.shape[1:])


# Neighbours


def test_distances_are_scipys():
  first, second = random_images(5), random_images(7, seed=1)
  np.testing.assert_allclose(neighbours.distances(first, second), reference(first, second), atol=1e-7)


@pytest.mark.parametrize('chunk', [1, 7 * 48 * 4, 2**20])
def test_the_nearest_of_all_are_found_chunk_by_chunk(chunk, monkeypatch):
  monkeypatch.setattr(neighbours, '_CHUNK_BYTES', chunk)
  images, among = random_images(6), random_images(40, seed=1)
  among[33] = images[2]                 # a copy, at distance 0
  expected = reference(images, among)
  order = np.argsort(expected, axis=1)[:, :3]
  indices, distances = neighbours.nearest(images, among, 3)
  np.testing.assert_array_equal(indices, order)
  np.testing.assert_allclose(distances, np.take_along_axis(expected, order, axis=1), atol=1e-7)
  assert indices[2, 0] == 33 and distances[2, 0] < 1e-6
  itself = np.array([5, 11, 39])
  indices, distances = neighbours.nearest(among[itself], among, 2, left_out=itself)
  others = reference(among[itself], among) + np.where(itself[:, None] == np.arange(40), np.inf, 0)
  np.testing.assert_array_equal(indices, np.argsort(others, axis=1)[:, :2])


# Diversity


@pytest.mark.parametrize('num_classes', [0, 3])
def test_diversity_is_of_pairs_within_a_class(num_classes):
  real, drawn = random_images(30), random_images(30, seed=1) // 2
  splits = Splits(dataset_of(real, num_classes))
  numbers = measured('diversity', Fake(drawn, num_classes), splits, num_images=30).numbers
  pairs, nearest = {}, {}
  for name, images in (('real', real), ('generated', drawn)):
    groups = [images[label::num_classes] for label in range(num_classes)] or [images]
    pairs[name] = np.concatenate([pdist(flat(group)) for group in groups]).mean() / np.sqrt(48)
    nearest[name] = np.concatenate([np.sort(reference(group, group))[:, 1] for group in groups]).mean()
    assert numbers[f'pair_{name}'] == pytest.approx(pairs[name])
    assert numbers[f'nearest_{name}'] == pytest.approx(nearest[name])
  assert numbers['pair_ratio'] == pytest.approx(pairs['generated'] / pairs['real']) == pytest.approx(0.5, abs=0.05)
  assert numbers['nearest_ratio'] == pytest.approx(nearest['generated'] / nearest['real'])


def test_one_picture_and_a_few_pictures_are_told_from_many():
  splits = Splits(dataset_of(random_images(30)))
  ratios = {}
  for name, drawn in (('one', random_images(1)), ('five', random_images(5)), ('many', random_images(30, seed=1))):
    numbers = measured('diversity', Fake(np.resize(drawn, (30, *SHAPE))), splits, num_images=30).numbers
    ratios[name] = numbers['pair_ratio'], numbers['nearest_ratio']
  assert ratios['one'] == pytest.approx((0, 0), abs=1e-6)   # rounding
  assert ratios['five'][0] > 0.7 and ratios['five'][1] < 1e-6
  assert min(ratios['many']) > 0.9
  with pytest.raises(UserError, match='diversity.num_images is 5; set 6 or more'):
    measured('diversity', Fake(drawn, 3), splits, num_images=5)


# The critic's outputs


def test_outputs_are_counted_and_their_auc_is_that_of_all_pairs():
  real, test, drawn = random_images(50), random_images(50, seed=1), random_images(50, seed=2) // 5 * 4
  model, splits = Fake(drawn), Splits(dataset_of(real), dataset_of(test))
  numbers = measured('critic_outputs', model, splits, num_images=50, num_shown=3, num_bins=8).numbers
  kinds = {'train': real, 'test': test, 'generated': drawn}
  outputs = {name: model.critic_logits(images, None) for name, images in kinds.items()}
  everything = np.concatenate(list(outputs.values()))
  edges = np.array(numbers['edges'])
  np.testing.assert_allclose(edges, np.linspace(everything.min(), everything.max(), 9), rtol=1e-6)
  for name, values in outputs.items():
    bins = np.minimum(np.searchsorted(edges, values, side='right') - 1, 7)
    assert numbers['counts'][name] == np.bincount(bins, minlength=8).tolist() and sum(numbers['counts'][name]) == 50
    assert numbers[f'mean_{name}'] == pytest.approx(values.mean(), rel=1e-5)
  score = roc_auc_score([1] * 50 + [0] * 50, np.concatenate([outputs['train'], outputs['generated']]))
  assert numbers['auc'] == pytest.approx(score) and 0.7 < score < 1
  same = measured('critic_outputs', Fake(real), Splits(dataset_of(real)), num_images=50).numbers
  assert same['auc'] == pytest.approx(0.5) and set(same['counts']) == {'train', 'generated'}


def test_the_samples_at_both_ends_are_set_apart():
  drawn = np.stack([np.full(SHAPE, level, np.uint8) for level in np.random.default_rng(0).permutation(40) * 6])
  result = measured('critic_outputs', Fake(drawn), Splits(dataset_of(random_images(40))), num_images=40, num_shown=12)
  rows = rows_of(result.grids['best_and_worst_samples'])[:, :, 0, 0, 0]
  levels = [[6 * (39 - i) for i in range(10)], [6 * 29, 6 * 28], [160] * 10,
            [6 * (11 - i) for i in range(10)], [6, 0]]
  for row, expected in zip(rows, levels, strict=True):
    assert row.tolist() == expected + [160] * (10 - len(expected))   # 160: the separators' colour
  assert result.grids['best_and_worst_samples'].row_names == ('highest output', '', '', 'lowest output', '')


# Interpolations


def test_arcs_have_equal_angles_and_the_ends_given():
  rng = np.random.default_rng(0)
  first, last = rng.normal(size=(2, 5, 6))
  last *= (np.linalg.norm(first, axis=1) / np.linalg.norm(last, axis=1))[:, None]   # on one sphere
  points = on_arcs(first, last, 4)
  np.testing.assert_allclose(points[:, [0, -1]], np.stack([first, last], axis=1), atol=1e-12)
  radius = np.linalg.norm(first, axis=1)[:, None]
  np.testing.assert_allclose(np.linalg.norm(points, axis=2), np.broadcast_to(radius, (5, 4)))
  cosines = (points[:, 1:] * points[:, :-1]).sum(axis=2) / radius**2
  whole = np.arccos((first * last).sum(axis=1) / radius[:, 0]**2)
  np.testing.assert_allclose(np.arccos(cosines), np.broadcast_to(whole[:, None] / 3, (5, 3)))
  line = np.array([[1., 0.]])
  np.testing.assert_allclose(on_arcs(line, 3 * line, 3)[0], [[1, 0], [2, 0], [3, 0]])
  np.testing.assert_allclose(on_arcs(line, -line, 3)[0], [[1, 0], [0, 0], [-1, 0]])


@pytest.mark.parametrize('num_classes', [0, 3])
def test_a_row_runs_from_one_latent_to_another_in_one_class(num_classes):
  model = Fake(None, num_classes)
  grid = measured('latent_interpolations', model, Splits(dataset_of(random_images(4), num_classes)), num_pairs=4,
                  num_steps=5).grids['latent_interpolations']
  (latents, labels), = model.asked
  assert latents.shape == (20, 6) and labels.tolist() == list(np.arange(4).repeat(5) % max(1, num_classes))
  np.testing.assert_array_equal(grid.images, model.sample_at(latents, labels, 0))
  assert grid.columns == 5 and grid.row_names == (('a', 'b', 'c', 'a') if num_classes else ())
  assert len(np.unique(latents, axis=0)) == 20


# Nearest images


def test_copies_are_told_from_what_is_new():
  real, new = random_images(60), random_images(20, seed=1)
  held_out = random_images(15, seed=2)
  for split in (None, dataset_of(held_out)):
    splits = Splits(dataset_of(real), split)
    copies, others = (measured('nearest_images', Fake(images), splits, num_rows=4, num_neighbours=2, num_generated=20,
                               num_real=60) for images in (real[40:], new))
    assert copies.numbers['ratio'] < 1e-6 and copies.numbers['generated'] < 1e-6
    expected = reference(held_out, real).min(axis=1) if split else np.sort(reference(real, real))[:, 1]
    assert others.numbers['real'] == pytest.approx(np.median(expected))
    assert others.numbers['num_real'] == len(expected) and others.numbers['least_real'] == pytest.approx(expected.min())
    to_new = np.sort(reference(new, real))
    assert others.numbers['ratio'] == pytest.approx(np.median(to_new[:, 0]) / np.median(expected))
  rows = rows_of(others.grids['nearest_images'])
  assert rows.shape == (4, 4, *SHAPE)   # the sample, a blank, two neighbours
  suspects = np.argsort(to_new[:, 0])[:2]
  shown = [*suspects, *[i for i in range(20) if i not in suspects][:2]]
  for row, sample, name, found in zip(rows, shown, others.grids['nearest_images'].row_names,
                                      others.numbers['training_images'], strict=True):
    order = np.argsort(reference(new[[sample]], real)[0])[:2]
    assert found == order.tolist() and float(name) == pytest.approx(to_new[sample, 0], abs=5e-4)
    np.testing.assert_array_equal(row, [new[sample], np.full(SHAPE, 160), *real[order]])


def test_more_neighbours_than_images_are_refused():
  with pytest.raises(UserError, match='num_neighbours is 5; there are 5 training images'):
    measured('nearest_images', Fake(None), Splits(dataset_of(random_images(5))))


# What these evaluators need of a GAN


def test_a_gan_is_asked_in_evaluation():
  family = families.create(tiny.dcgan(**{'model.ema_decay': 0.}), DIGITS)
  state = jax.jit(family.init)(jax.random.key(0))
  statistics = jax.tree.map(lambda x: x + 0.3, state.model_state)   # running ones that no batch has
  state = state.replace(model_state=statistics)
  model = Model(Compiled(family), jax_utils.replicate(state))
  rng = np.random.default_rng(0)
  images, labels = rng.integers(0, 256, (9, 8, 8, 1), np.uint8), rng.integers(0, 10, 9)
  one_hot = np.eye(10, dtype=np.float32)[labels]
  shown = np.concatenate([images / 127.5 - 1, np.broadcast_to(one_hot[:, None, None], (9, 8, 8, 10))], axis=-1)
  variables = {'params': state.params['critic'], **statistics['critic']}
  logits, _ = family.critic.apply(variables, np.float32(shown), train=False)
  np.testing.assert_allclose(model.critic_logits(images, labels), logits, rtol=1e-4, atol=1e-5)
  latents = rng.normal(size=(9, 5)).astype(np.float32)
  variables = {'params': state.params['generator'], **statistics['generator']}
  drawn = family.generator.apply(variables, np.concatenate([latents, one_hot], axis=1), train=False)
  difference = model.sample_at(latents, labels, 0).astype(int) - np.asarray(to_pixels(drawn))
  assert np.abs(difference).max() <= 1 and np.asarray(drawn).std() > 0.01


# The film


def test_the_film_shows_every_picture_and_holds_the_last(tmp_path):
  levels = {100: 40, 200: 90, 1_000: 200}
  for step, level in levels.items():
    grids.save_grid(tmp_path / f'samples/step_{step:08d}.png', np.full((4, 24, 24, 1), level, np.uint8), 2)
  (tmp_path / 'samples/notes_step_00000300.png').write_bytes(b'')
  film, strip = draw_film(tmp_path)
  with Image.open(film) as frames:
    assert frames.n_frames == 3 and frames.info['loop'] == 0
    durations, picture = [], None
    for frame, (step, level) in enumerate(levels.items()):
      frames.seek(frame)
      durations.append(frames.info['duration'])
      picture = np.asarray(frames.convert('RGB')).astype(int)
      expected = grids.headed(np.asarray(Image.open(tmp_path / f'samples/step_{step:08d}.png')), f'step {step:,}')
      assert np.abs(picture - expected).mean() < 2 and abs(picture[-10, 10, 0] - level) < 5
  assert durations == [200, 200, 2_000]
  wide = np.asarray(Image.open(strip))
  assert [level in wide for level in levels.values()] == [True] * 3 and wide.shape[1] == 3 * picture.shape[1] + 48


def test_one_picture_is_no_film_and_many_are_thinned(tmp_path):
  for step in range(1, 101):
    assert step != 2 or draw_film(tmp_path) == []
    grids.save_grid(tmp_path / f'samples/step_{step:08d}.png', np.full((1, 48, 48, 1), step, np.uint8), 1)
  film, strip = draw_film(tmp_path)
  with Image.open(film) as frames:
    assert frames.n_frames == 60
  shown = sorted(set(np.unique(np.asarray(Image.open(strip))[-20:])) & set(range(1, 101)))
  assert len(shown) == 8 and shown[0] == 1 and shown[-1] == 100 and set(np.diff(shown)) <= {14, 15}
