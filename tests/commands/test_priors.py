"""Priors over the latents of a VQ-VAE: runs of their own, around the frozen VQ-VAE, and what is refused."""

import contextlib
import dataclasses
import json
import shutil

from flax import jax_utils
from helpers import declared, published, tiny
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from configs import vqvae_digits, vqvae_tiny_imagenet
from jgen import data, families, recipes
from jgen.commands import prior as priors
from jgen.errors import UserError
from jgen.evaluation import EVALUATORS
from jgen.families.model import Compiled, Model
from jgen.parallel import AXIS
from jgen.run import checkpoints
from jgen.run import config as config_lib
from jgen.run import folder as run_folder
from jgen.training import setup
from jgen.training import step as step_lib

pytestmark = pytest.mark.usefixtures('few_figures')

NAMES = ('mixture', 'vae', 'autoregressive')
COMMAND = 'python launch.py --mode=prior'


@pytest.mark.parametrize('source', [vqvae_digits, vqvae_tiny_imagenet])
def test_the_priors_of_every_config_fit_its_vqvae(source, tmp_path):
  config = source.get_config()
  if config.data.name == 'tiny_imagenet':
    config.data.dir = str(published.WRITERS['tiny_imagenet'](tmp_path))
  for name in NAMES:
    varied = priors.Source(config, tmp_path / 'run', 1).variation(name).config
    family, evaluators, _ = setup.build(varied)
    state = jax.eval_shape(family.init, jax.random.key(0))
    drawn = jax.eval_shape(jax.vmap(family.sample, in_axes=(None, None, 0), axis_name=AXIS), state, jax.random.key(0),
                           jax.ShapeDtypeStruct((1, 4), np.int32))
    assert drawn.shape == (1, 4, *data.describe(varied.data).image_shape) and 'test_loss' in evaluators


def config_of_all():
  """A tiny VQ-VAE with tiny priors."""
  config = tiny.vqvae()
  config.data.test_splits = ('test',)
  with config.unlocked():
    config.priors = recipes.priors()
  section = config.priors
  section.mixture.model.update(num_points=300, pca_dimension=6, num_components=3)
  section.vae.model.latent_size = 3
  section.vae.model.encoder.features = section.vae.model.decoder.features = (8,)
  section.autoregressive.model.update(width=8, num_layers=1, num_heads=2, conditional=True)
  for prior in (section.vae, section.autoregressive):
    prior.update(num_steps=4, batch_size=16, log_every_steps=2, sample_every_steps=2, checkpoint_every_steps=2,
                 evaluate_every_steps=0)
  return config


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """The run folder of a VQ-VAE, as good as trained, with its three priors."""
  folder, config = tmp_path_factory.mktemp('runs') / 'vqvae', config_of_all()
  family = families.create(config, data.describe(config.data))
  state = family.init_from_data(jax.jit(family.init)(jax.random.key(0)), data.load(config.data))
  with (run_folder.opened(folder, config),
        contextlib.closing(checkpoints.Checkpoints(folder, config.checkpoints)) as stored):
    stored.save(8, jax.device_get(state.replace(step=jnp.int32(8))), {})
  priors.run(config, folder, COMMAND)
  return folder


def copied(folder, to):
  """A copy of the VQ-VAE's run without its priors."""
  return shutil.copytree(folder, to, ignore=shutil.ignore_patterns('priors'))


def of_prior(folder, name):
  """(family, state on the host) of a prior as it is stored."""
  config = priors.Source.read(config_of_all(), folder).variation(name).config
  family = families.create(config, data.describe(config.data))
  like = jax.eval_shape(family.init, jax.random.key(0))
  return config, family, checkpoints.newest(folder / 'priors' / name, like)


def test_each_prior_is_a_run_and_they_are_laid_side_by_side(folder):
  rows = {}
  for name, steps in zip(NAMES, (1, 4, 4), strict=True):
    run = folder / 'priors' / name
    assert (run / f'samples/step_{steps:08d}.png').exists()
    assert (run / f'checkpoints/{steps}').exists() and (run / 'config.json').exists()
    assert int((run / 'metrics.csv').read_text().splitlines()[-1].split(',')[0]) == steps
    rows[name] = json.loads((run / f'evaluation/test_loss_step_{steps:08d}.json').read_text())['results']
    config, family, _ = of_prior(folder, name)
    declared.check('test_loss', EVALUATORS['test_loss'](0), rows[name], data.describe(config.data), family)
  assert {'log_likelihood', 'train_log_likelihood', 'log_likelihood_standard_error'} <= set(rows['mixture'])
  assert 'elbo' in rows['vae'] and {'nats', 'bits_per_code'} <= set(rows['autoregressive'])
  assert [line.split(',')[:3] for line in (folder / 'priors/comparison.csv').read_text().splitlines()[1:]] == [
      [name, f'family={name}_prior num_steps={steps}', 'done'] for name, steps in zip(NAMES, (1, 4, 4), strict=True)]
  assert 'test_loss/bits_per_code' in (folder / 'priors/comparison.md').read_text()
  assert Image.open(folder / 'priors/samples.png').size[0] > 10 * 48


@pytest.mark.parametrize('name', NAMES)
def test_a_prior_keeps_the_vqvae_as_it_was_and_stands_for_its_images(folder, name):
  _, family, state = of_prior(folder, name)
  trained = checkpoints.newest(folder, jax.eval_shape(family.vqvae.init, jax.random.key(0)))
  frozen = family.frozen(state)
  for ours, theirs in zip(jax.tree.leaves((frozen.params, frozen.model_state)),
                          jax.tree.leaves((trained.params, trained.model_state)), strict=True):
    np.testing.assert_array_equal(ours, theirs)
  images = data.load(config_of_all().data).images[:300] / np.float32(127.5) - 1
  read = jax.jit(family.read)(state, images)
  np.testing.assert_allclose(jax.jit(family.write)(state, read), jax.jit(family.vqvae.reconstruct)(trained, images),
                             atol=1e-5)


def test_latents_are_standardised_by_training_images(folder):
  config, family, state = of_prior(folder, 'vae')
  images = data.load(config.data).images / np.float32(127.5) - 1      # all of them: num_points is more
  latents = np.asarray(jax.jit(family.read)(state, images), np.float64)
  np.testing.assert_allclose(latents.mean(0), 0, atol=1e-4)
  np.testing.assert_allclose(np.square(latents).mean(), 1, rtol=1e-4)
  raw = np.asarray(jax.jit(family.vqvae.latents)(family.frozen(state), images))
  np.testing.assert_allclose(latents * state.model_state['latents']['scale'], raw - raw.mean(0), atol=1e-4)


@pytest.mark.parametrize('name', ['vae', 'autoregressive'])
def test_a_step_on_four_devices_is_that_on_one(folder, name):
  config, family, state = of_prior(folder, name)
  dataset = data.load(config.data)
  batch = {'image': dataset.images[:16], 'label': dataset.labels[:16]}
  moved, told = {}, {}
  for count in (1, 4):
    devices = jax.devices()[:count]
    split = {key: x.reshape(count, 1, 1, -1, *x.shape[1:]) for key, x in batch.items()}
    after, metrics = step_lib.make_dispatch(family, devices=devices)(
        jax_utils.replicate(state, devices), split, jax.random.key(3))
    moved[count], told[count] = jax.device_get((jax_utils.unreplicate(after), metrics))
  for metric in told[1]:
    assert metric.startswith('prior/') or metric == f'{name}/update_norm'
    np.testing.assert_allclose(told[1][metric][0], told[4][metric][0], rtol=1e-3, atol=1e-4, err_msg=metric)
  start, one, four = (jax.tree.leaves(x.params) for x in (state, moved[1], moved[4]))
  assert np.mean([np.isclose(a, b, rtol=1e-2, atol=1e-4).mean() for a, b in zip(one, four, strict=True)]) > 0.98
  assert not any(np.array_equal(a, b) for a, b in zip(start, one, strict=True))


@pytest.mark.parametrize('name', NAMES)
def test_samples_follow_the_seed_and_the_label_where_it_is_told(folder, name):
  _, family, state = of_prior(folder, name)
  model, labels = Model(Compiled(family), jax_utils.replicate(state)), np.arange(40) % 10
  first = model.sample(labels, 1)
  np.testing.assert_array_equal(first, model.sample(labels, 1))
  assert (first != model.sample(labels, 2)).mean() > 0.05
  assert (first != model.sample(labels[::-1], 1)).any() == bool(family.num_classes) == (name == 'autoregressive')


def test_what_is_done_is_left_alone_and_more_steps_go_on(folder):
  config = config_of_all()
  config.priors.autoregressive.num_steps = 6
  before = {name: (folder / 'priors' / name / 'environment.json').read_text() for name in NAMES}
  priors.run(config, folder, COMMAND)
  after = {name: (folder / 'priors' / name / 'environment.json').read_text() for name in NAMES}
  assert [before[name] == after[name] for name in NAMES] == [True, True, False]
  assert json.loads(after['autoregressive'])['starts'][-1]['step'] == 4
  assert (folder / 'priors/autoregressive/checkpoints/6').exists()


def refused(config, folder):
  with pytest.raises(UserError) as error:
    priors.run(config, folder, COMMAND)
  assert '\n' not in str(error.value)
  return str(error.value)


def test_those_that_were_fitted_before_stay_beside(folder, tmp_path):
  again = tmp_path / 'again'
  shutil.copytree(folder, again)
  config = config_of_all()
  config.priors.names = ('vae',)
  priors.run(config, again, COMMAND)
  names = lambda: {line.split(',')[0] for line in (again / 'priors/comparison.csv').read_text().splitlines()[1:]}
  assert names() == set(NAMES)
  config.priors.mixture.model.num_components = 4     # another mixture than was fitted
  priors.run(config, again, COMMAND)
  assert names() == {'vae', 'autoregressive'}


def test_what_cannot_work_is_named_by_the_keys_of_its_section(folder, tmp_path):
  fresh = copied(folder, tmp_path / 'fresh')
  for key, value, line in (
      ('vae.batch_size', 18, 'config.priors.vae.batch_size is 18, which is not divisible by the number of devices, 4'),
      ('vae.model.latent_size', 0, 'config.priors.vae.model.latent_size is 0'),
      ('autoregressive.num_steps', 0, 'config.priors.autoregressive.num_epochs are both 0')):
    config = config_of_all()
    config.priors.update_from_flattened_dict({key: value})
    assert line in refused(config, fresh)
  assert not (fresh / 'priors').exists()


def test_the_temperature_may_change_for_it_is_of_the_samples_alone(folder):
  config, *_ = of_prior(folder, 'autoregressive')
  stored = run_folder.read_config(folder / 'priors/autoregressive')
  config.model.prior.temperature = 0.5
  assert not config_lib.differences(config_lib.flatten(stored), config_lib.flatten(config))


@pytest.mark.parametrize('content', ['{}', '[]', '7', 'no json'])
def test_a_folder_with_another_config_json(content, tmp_path):
  (tmp_path / 'config.json').write_text(content)
  assert 'config.json: damaged' in refused(config_of_all(), tmp_path)
  assert 'holds no run' in refused(config_of_all(), tmp_path / 'config.json')


def test_bad_input_is_one_line(folder, tmp_path):
  config, fresh = config_of_all(), copied(folder, tmp_path / 'fresh')
  config.priors.mixture.model.num_points = 5_000
  assert refused(config, fresh).startswith(
      "prior 'mixture': config.priors.mixture.model.num_points is 5,000, but there are")
  assert 'holds a prior with other settings (model.prior.num_points: was 300, is 5000)' in refused(config, folder)
  config.priors.mixture.model.update(num_points=30, pca_dimension=31)
  assert 'pca_dimension is 31, above num_points, 30' in refused(config, fresh)
  config.priors.names = ('vae', 'mixtures')
  assert "'mixtures' is not known; did you mean 'mixture'?" in refused(config, folder)
  config.priors.names = ()
  assert 'config.priors.names is empty' in refused(config, folder)
  assert 'holds no run (no config.json)' in refused(config, tmp_path)
  other = tmp_path / 'vae'
  other.mkdir()
  (other / 'config.json').write_text(json.dumps(tiny.vae().to_dict()))
  assert "a run of the family 'vae', not a VQ-VAE" in refused(tiny.vae(), other)
  assert "a run of the family 'vae', not a VQ-VAE" in refused(config_of_all(), other)
  untrained = tmp_path / 'untrained'
  untrained.mkdir()
  (untrained / 'config.json').write_text(json.dumps(config_of_all().to_dict()))
  assert 'holds no checkpoint yet; train first' in refused(config_of_all(), untrained)
  changed = config_of_all()
  changed.model.commitment_weight = 0.5
  assert 'model.commitment_weight: was 0.25, is 0.5' in refused(changed, folder)


def test_priors_of_an_earlier_state_of_the_vqvae_are_refused(folder, tmp_path):
  config, further = config_of_all(), copied(folder, tmp_path / 'further')
  shutil.copytree(folder / 'priors', further / 'priors')
  state = checkpoints.newest(folder, jax.eval_shape(
      families.create(config, data.describe(config.data)).init, jax.random.key(0)))
  with contextlib.closing(checkpoints.Checkpoints(further, config.checkpoints)) as stored:
    stored.save(10, state.replace(step=np.int32(10)), {})
  assert 'holds a prior with other settings (model.vqvae_step: was 8, is 10)' in refused(config, further)


def test_a_prior_starts_from_the_step_of_the_vqvae_that_it_names(folder):
  config, family, _ = of_prior(folder, 'autoregressive')
  family = dataclasses.replace(family, step=7)
  state = jax.eval_shape(family.init, jax.random.key(0))
  with pytest.raises(UserError, match='is of step 8, but config.model.vqvae_step is 7'):
    family.init_from_data(state, data.load(config.data))
