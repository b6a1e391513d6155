"""A trained run as an object: what it draws, encodes and decodes, checked against its networks called by Flax alone."""

import os
from pathlib import Path
import subprocess
import sys

from helpers import compiling, runs
from helpers.pictures import encoded, put, smooth
import jax
import numpy as np
from PIL import Image
import pytest
from scipy import stats

import jgen
from jgen.data import stored_spec
from jgen.errors import UserError
from jgen.evaluation import latents
from jgen.losses.information import LatentCodes

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  root = tmp_path_factory.mktemp('runs')
  return {name: runs.make(root / name, name) for name in ('dcgan', 'infogan', 'vae', 'vqvae')}


@pytest.fixture(scope='module')
def made(folders):
  return {name: jgen.load(folder) for name, folder in folders.items()}


def line_of(call, *arguments, **keywords):
  with pytest.raises(UserError) as caught:
    call(*arguments, **keywords)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def levels(images):
  """Floats in [-1, 1] as levels of 0 to 255, not rounded."""
  return (np.asarray(images, np.float64) + 1) * 127.5


def generated(run, noise, conditions):
  """What the averaged generator makes of noise [n, Z] and one-hot conditions, on one device."""
  params = run.used.ema_params.get('generator', run.used.params['generator'])
  inputs = np.concatenate([noise, conditions], axis=1).astype(np.float32)
  variables = {'params': params, **run.used.model_state['generator']}
  return levels(run.family.generator.apply(variables, inputs, train=False))


def assert_rounded(images, expected):
  """Levels of 0 to 255 that are those expected, to rounding and a hundredth of a level."""
  assert images.dtype == np.uint8 and np.abs(images - expected).max() < 0.51


# ------------------------------------------------------------------------------------------- samples


def test_samples_are_the_averaged_generators_whatever_number_of_devices(made):
  run, labels = made['dcgan'], np.arange(150) % 10   # more than one call of 128
  images = run.sample(150, seed=3)
  assert images.shape == (150, 8, 8, 1) and images.std() > 10
  assert len(jax.local_devices()) == 4
  assert_rounded(images, generated(run, run.latents(150, seed=3), np.eye(10)[labels]))
  np.testing.assert_array_equal(run.sample(20, seed=3), images[:20])
  assert (run.sample(20, seed=4) != images[:20]).mean() > 0.5


def test_one_label_by_number_name_or_attribute_and_the_same_latents_for_each(made):
  run = made['dcgan']
  threes = run.sample(6, labels=3)
  assert_rounded(threes, generated(run, run.latents(6), np.eye(10)[[3] * 6]))
  for label in ('3', 'class=3', ['3'], [3, 3], np.int64(3)):
    np.testing.assert_array_equal(run.sample(6, labels=label), threes)
  np.testing.assert_array_equal(run.sample(6, labels=[3, 7])[::2], threes[::2])
  assert line_of(run.sample, 6, labels='thre').startswith("there is no class 'thre'; the classes are 0, 1, 2")
  assert "there is no class '10'; the classes are" in line_of(run.sample, 6, labels=10)
  assert "is conditioned on 'class', not 'Smiling'" in line_of(run.sample, 6, labels='Smiling=yes')


def test_an_infogan_is_given_its_codes_and_draws_the_others(made):
  run = made['infogan']                 # two categorical codes of three values, two continuous ones
  given = [2, np.nan, 0.5, -0.25]
  codes = run.sample_codes(9, given, seed=1)[:]
  np.testing.assert_array_equal(codes[:, [0, 2, 3]], np.float32([[2, 0.5, -0.25]] * 9))
  assert set(codes[:, 1]) == {0, 1, 2}
  one_hots = np.concatenate([np.eye(3)[codes[:, 0].astype(int)], np.eye(3)[codes[:, 1].astype(int)], codes[:, 2:]], 1)
  assert_rounded(run.sample(9, codes=given, seed=1), generated(run, run.latents(9, seed=1), one_hots))
  assert 'expected a whole number from 0 to 2' in line_of(run.sample, 9, codes=[3, 0, 0, 0])
  assert 'expected [4] or [9, 4]' in line_of(run.sample, 9, codes=[1, 0])
  assert 'codes: the model in' in line_of(made['dcgan'].sample, 9, codes=[1])


def test_truncated_latents_follow_the_truncated_normal_distribution():
  plain, cut = (latents.normal(1_000, 8, seed=5, truncation=bound)[:] for bound in (0., 0.7))
  assert stats.kstest(plain.ravel(), 'norm').pvalue > 0.01
  assert np.abs(cut).max() <= 0.7 and stats.kstest(cut.ravel(), stats.truncnorm(-0.7, 0.7).cdf).pvalue > 0.01
  assert (np.diff(cut.ravel()[np.argsort(plain.ravel())]) >= 0).all()
  short = latents.normal(1_000, 8, seed=5, max_norm=2.)[:]
  norms = np.linalg.norm(plain, axis=1, keepdims=True)
  np.testing.assert_allclose(short, plain * np.minimum(1, 2 / norms), rtol=1e-5)


def test_latents_and_codes_depend_on_seed_and_number_alone():
  rows = latents.normal(300, 4, seed=7)
  np.testing.assert_array_equal(rows[130:140], latents.normal(200, 4, seed=7)[:][130:140])
  np.testing.assert_array_equal(rows[np.array([299, 0, 131])], rows[:][[299, 0, 131]])
  assert not np.isin(rows[:128], rows[128:256]).any() and rows[5:5].shape == (0, 4)
  kinds = LatentCodes(1, 4, 1)
  codes = latents.codes(20_000, kinds, seed=8)[:]
  assert stats.chisquare(np.bincount(codes[:, 0].astype(int), minlength=4)).pvalue > 0.01
  assert stats.kstest(codes[:, 1], stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_interpolations_and_traversals_are_decoded_where_they_say(made):
  run = made['dcgan']
  first, last = run.latents(4)[:2], run.latents(4)[2:]
  images = run.interpolate(first, last, 5, labels=2)
  assert images.shape == (2, 5, 8, 8, 1)
  ends = run.sample(4, labels=2)
  np.testing.assert_array_equal(images[:, [0, 4]], np.stack([ends[:2], ends[2:]], axis=1))
  along = run.traverse(first[0], [1, 3], [-2., 0., 2.], labels=2)
  changed = first[0].copy()
  changed[3] = -2
  np.testing.assert_array_equal(along[1, 0], run.decode(changed[None], labels=2)[0])
  assert 'there is no latent 5' in line_of(run.traverse, first[0], [5], [0.])
  assert "path is 'curve'; expected arc or line" in line_of(run.interpolate, first, last, path='curve')


def test_without_averages_the_trained_parameters_draw(folders):
  raw = jgen.load(folders['dcgan'], averaged=False)
  assert_rounded(raw.sample(10), generated(raw, raw.latents(10), np.eye(10)))
  assert (raw.sample(10) != jgen.load(folders['dcgan']).sample(10)).mean() > 0.3


# ------------------------------------------------------------------------------------------- images in


def test_a_vae_encodes_decodes_and_reconstructs(made):
  run = made['vae']
  images = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 1), np.uint8)
  variables = {'params': run.used.params['vae'], **run.used.model_state['vae']}
  mean, _ = run.family.network.apply(variables, images / np.float32(127.5) - 1, False, method='encode')
  np.testing.assert_allclose(run.encode(images), mean, atol=1e-5)
  np.testing.assert_array_equal(run.reconstruct(images), run.decode(run.encode(images)))
  np.testing.assert_array_equal(run.sample(9), run.decode(run.latents(9)))
  assert run.posterior(images)[1].shape == (9, 5)
  assert 'expected uint8 [n, 8, 8, 1]' in line_of(run.encode, images[:, :4])
  assert 'latents are [9, 4]; expected [9, 5]' in line_of(run.decode, np.zeros((9, 4)))
  np.testing.assert_array_equal(run.interpolate(images[:1], images[1:2], 3)[0, 0], run.reconstruct(images[:1])[0])


def test_a_vqvae_encodes_as_codes(made):
  run = made['vqvae']
  images = run.sample(5)
  codes = run.encode(images)
  assert codes.dtype == np.int32 and codes.shape == (5, run.family.codes_per_image)
  np.testing.assert_array_equal(run.decode(codes), run.reconstruct(images))
  assert 'expected whole numbers from 0 to 8' in line_of(run.decode, codes + 9)
  assert 'has no normal latents' in line_of(run.latents, 3)
  assert 'truncation: the model in' in line_of(run.sample, 3, truncation=0.5)
  assert "of the family 'gan'; no such model has an encoder" in line_of(made['dcgan'].encode, images)


def test_own_pictures_become_squares_of_the_models_size(made, tmp_path):
  wide = smooth(0, 32, 64)
  put(tmp_path, {'b.png': encoded(wide, 'PNG'), 'a.jpg': encoded(smooth(1, 16, 16)), 'list.txt': 'no picture'})
  images = made['vae'].images_of(tmp_path)
  assert images.shape == (2, 8, 8, 1) and images.dtype == np.uint8
  grey = np.asarray(Image.fromarray(wide[:, 16:48]).convert('L'), float).reshape(8, 4, 8, 4).mean((1, 3))
  assert np.abs(images[1, ..., 0] - grey).mean() < 8   # of a triangle filter, so only nearly the mean of squares
  assert 'list.txt cannot be read' in line_of(made['vae'].images_of, tmp_path / 'list.txt')
  assert 'nothing.png: No such file' in line_of(made['vae'].images_of, tmp_path / 'nothing.png')


# ------------------------------------------------------------------------------------------- the folder


def test_a_run_is_sampled_without_its_data_set_and_without_slow_imports(made, folders):
  code = (f'import jgen, sys; run = jgen.load({str(folders["dcgan"])!r}); images = run.sample(4, seed=3); '
          'slow = {"tensorflow", "sklearn", "scipy.stats"} & set(sys.modules); '
          'print(images.tobytes().hex(), len(slow), len(__import__("jax").devices()))')
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=False,
                        env={**os.environ, 'XLA_FLAGS': compiling.flags(devices=1)})
  assert done.returncode == 0 and not done.stderr, done.stderr
  text, slow, devices = done.stdout.split()
  assert (slow, devices) == ('0', '1')
  there = np.frombuffer(bytes.fromhex(text), np.uint8).reshape(4, 8, 8, 1)
  assert np.abs(there.astype(int) - made['dcgan'].sample(4, seed=3)).max() <= 1   # this process has four devices


def test_what_describes_the_images_is_stored_and_older_runs_ask_the_data_set(made, folders, tmp_path):
  stored = stored_spec.read(folders['dcgan'])
  assert stored.image_shape == (8, 8, 1) and stored.label_names == tuple('0123456789')
  (folders['vqvae'] / stored_spec.FILE).rename(tmp_path / 'gone')
  assert jgen.load(folders['vqvae']).spec == stored
  (folders['vqvae'] / stored_spec.FILE).write_text('{"spec": {}}')
  assert 'spec.json is damaged; delete it' in line_of(lambda: jgen.load(folders['vqvae']).spec)


def test_folders_that_hold_nothing_to_sample(folders, tmp_path):
  assert 'holds no run' in line_of(jgen.load, tmp_path)
  (tmp_path / 'config.json').write_text((folders['dcgan'] / 'config.json').read_text())
  assert 'holds no checkpoint yet; train first' in line_of(jgen.load(tmp_path).sample)
  assert 'no checkpoint of step 3; it holds: 4' in line_of(jgen.load(folders['dcgan'], step=3).sample)
  assert jgen.load(folders['dcgan'], step=4).step == jgen.load(folders['dcgan'], step='best').step == 4
  other = tmp_path / 'other'
  runs.make(other, 'dcgan', **{'model.ema_decay': 0.})
  (other / 'config.json').write_text((folders['dcgan'] / 'config.json').read_text())
  assert 'another version of jgen wrote it' in line_of(jgen.load(other).sample)
  (other / 'config.json').write_text((folders['vae'] / 'config.json').read_text().replace('latent_size', 'latents'))
  assert 'latent' in line_of(lambda: jgen.load(other).family)


def test_metrics_and_configs_from_python(folders, tmp_path):
  run = jgen.load(folders['dcgan'])
  assert run.metrics == {} and 'gan of digits at 8x8x1, 10 classes' in repr(run)
  (folders['dcgan'] / 'metrics.csv').write_text('step,critic/loss\n2,0.5\n4,0.25\n')
  np.testing.assert_array_equal(run.metrics['critic/loss'], [0.5, 0.25])
  np.testing.assert_array_equal(run.metrics['step'], [2, 4])
  config = jgen.config('quickstart', num_steps=20, **{'model.latent_size': 4})
  assert (config.num_steps, config.model.latent_size) == (20, 4)
  assert [*jgen.config('quickstart', evaluators='diversity').evaluators] == ['diversity']
  assert {'tsne', 'ledger'} < {*jgen.config('vae_celeba_small', evaluators='+tsne').evaluators}
  assert "'critic' is not known" in line_of(jgen.config, 'quickstart', evaluators='critic')
  assert 'num_steps' in line_of(jgen.config, 'quickstart', num_steps='many')
  assert "did you mean 'num_steps'" in line_of(jgen.config, 'quickstart', num_step=20)
  assert "did you mean 'wgan_svhn'" in line_of(jgen.config, 'wgan_shvn')
  assert jgen.grid(run.sample(15), columns=4).size == (4 * 50 + 2, 4 * 50 + 2)
