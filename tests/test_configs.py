"""Every config builds and trains."""

import importlib
from pathlib import Path
import re
import shutil

from helpers import figures, published, reports
import jax
import numpy as np
import pytest

from jgen import data, evaluation, families, recipes
from jgen.commands import train
from jgen.losses.adversarial import ADVERSARIAL_LOSSES
from jgen.report import comparison
from jgen.run import config as config_lib
from jgen.training import step
from jgen.training.config import check as check_config

ROOT = Path(__file__).parent.parent
PROMISED = reports.promised()
CONFIGS = sorted(path.stem for path in (ROOT / 'configs').glob('*.py'))


def load(name):
  return importlib.import_module(f'configs.{name}').get_config()


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  """{data set: a folder of small files in its published format}."""
  folder = tmp_path_factory.mktemp('published')
  return {name: write(folder / name) for name, write in published.WRITERS.items()}


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_is_sound_and_its_step_fits_together(name, files):
  config = load(name)
  config.data.dir = str(files.get(config.data.name, ''))
  check_config(config)
  spec = data.describe(config.data)
  family = families.create(config, spec)
  evaluation.create(config.evaluators, spec, family, bool(config.data.test_splits))
  state = jax.eval_shape(lambda key: jax.tree.map(lambda x: x[None], family.init(key)), jax.random.key(0))
  shape = (1, config.steps_per_dispatch, family.batches_per_step, 4)
  batches = {'image': jax.ShapeDtypeStruct((*shape, *spec.image_shape), np.uint8),
             'label': jax.ShapeDtypeStruct(shape, np.int32)}
  new_state, metrics = jax.eval_shape(
      step.make_dispatch(family, devices=jax.devices()[:1]), state, batches, jax.random.key(0))
  assert jax.tree.map(lambda x: x.shape, new_state) == jax.tree.map(lambda x: x.shape, state)
  assert {value.shape for value in metrics.values()} == {(1, config.steps_per_dispatch)}
  assert not [files for files in PROMISED.get(name, ()) if reports.broken(files, config, metrics)]


def test_the_page_on_the_reports_has_a_table_for_each_of_their_systems():
  assert len(PROMISED) == 19 and not PROMISED.keys() - set(CONFIGS)   # the 20th, the priors, is a row of the VQ-VAE's
  assert min(map(len, PROMISED.values())) >= 2


def test_lsgan_anime_is_dcgan_anime_but_for_its_objective():
  dcgan, lsgan = (config_lib.flatten(load(name)) for name in ('dcgan_anime', 'lsgan_anime'))
  changed = {key: value for key, value in lsgan.items() if value != dcgan[key]}
  del changed['study.variations']
  assert changed == {'model.loss': 'least_squares', 'model.critic_targets.real': 1.,
                     'model.critic_targets.generated': 0.}


def test_where_the_critic_of_dcgan_anime_is_as_sure_as_it_may_be_the_generator_still_has_a_gradient():
  model = load('dcgan_anime').model
  loss, logits = ADVERSARIAL_LOSSES[model.loss], np.linspace(-30, 30, 60_001, dtype=np.float32)
  costs = loss.towards(logits, np.full_like(logits, model.critic_targets.generated))
  surest = logits[np.argmin(costs)]
  assert surest == pytest.approx(np.log(0.1 / 0.9), abs=0.05)
  gradient = jax.grad(lambda logits: loss.generator(None, logits)[0])(surest[None])
  assert gradient == pytest.approx(-0.1, abs=0.005)   # log(1 - D) falls by D


CHEAP = {  # evaluators that take a second
    'attribute_pairs': {'num_pairs': 2},
    'code_grid': {'num_rows': 2},
    'critic_outputs': {'num_images': 8, 'num_shown': 2},
    'diversity': {'num_images': 20},
    'inception_features': {'num_generated': 8, 'weights': 'missing', 'instead': ('random_features',)},
    'latent_interpolations': {'num_pairs': 2, 'num_steps': 3},
    'nearest_images': {'num_rows': 2, 'num_neighbours': 2, 'num_generated': 4, 'num_real': 4},
    'class_consistency': {'num_generated': 10, 'num_real': 80},
    'interpolations': {'num_pairs': 2},
    'ledger': {'num_images': 4},
    'tsne': {'perplexity': 2.},
    'disentanglement': {'num_images': 300, 'num_train': 200, 'num_test': 100, 'num_train_batches': 100,
                        'num_test_batches': 100, 'batch_size': 4, 'num_trees': 2}}


# What all configs of a family are measured by takes longest to compile, and is the same for all: one of each runs it.
SHARED = {run().family: set(run().evaluators) for run in (recipes.gan_run, recipes.acgan_run, recipes.vae_run)}
WITH_SHARED = ('dcgan_celeba', 'acgan_celeba_male', 'infogan_celeba', 'vae_celeba', 'vqvae_tiny_imagenet')


def thin(model):
  """The same layers with few channels and latents."""
  if 'latent_size' in model:
    model.latent_size = 4
  if 'quantizer' in model:
    model.quantizer.code_size = 2
  for section in model.values():
    if hasattr(section, 'features'):
      section.features = (2,) * len(section.features)   # all of a kind, compiled once


@pytest.mark.parametrize('name', [name for name in CONFIGS if load(name).data.name in published.WRITERS])
def test_every_config_trains_from_the_published_files(name, files, tmp_path, monkeypatch):
  figures.draw_only(monkeypatch, re.findall(r'figures/(\w+\.png)`', ' '.join(PROMISED.get(name, ()))))
  config = load(name)
  config.batch_size = 4
  config.num_steps = config.log_every_steps = 1
  config.samples_per_class = 2
  config.report, config.loggers = False, ()   # they take seconds
  thin(config.model)
  if name not in WITH_SHARED:
    with config.unlocked():
      for evaluator in SHARED[config.family] & set(config.evaluators):
        del config.evaluators[evaluator]
  config.evaluators_at_end = tuple(name for name in config.evaluators_at_end if name in config.evaluators)
  for evaluator, keys in CHEAP.items():
    if evaluator in config.evaluators:
      config.evaluators[evaluator].update(keys)
  config.data.dir, config.data.cache_dir = str(files[config.data.name]), str(tmp_path / 'cache')
  train.run(config, tmp_path / 'run', 'python launch.py')
  assert (tmp_path / 'run/samples/step_00000001.png').exists()
  assert len((tmp_path / 'run/metrics.csv').read_text().splitlines()) == 2
  measured = {path.name.split('_step_')[0] for path in (tmp_path / 'run/evaluation').glob('*.json')}
  stand_ins = {'random_features': 'inception_features'}   # there are no weights here
  assert {stand_ins.get(name, name) for name in measured} == set(config.evaluators)
  header = (tmp_path / 'run/metrics.csv').read_text().splitlines()[0].split(',')
  compare_as_in_a_study(tmp_path / 'run', tmp_path / 'STUDY', PROMISED.get(name, ()))
  for files_of_row in PROMISED.get(name, ()):
    assert reports.missing(files_of_row, tmp_path / 'run', tmp_path / 'STUDY', config, header) == []


def compare_as_in_a_study(folder, study, rows):
  """Draws the comparison of a run and its copy, which stand for two variations, if it is promised."""
  if any('STUDY/' in row for row in rows):
    shutil.copytree(folder, folder.with_name('copy'), ignore=shutil.ignore_patterns('checkpoints'))
    comparison.compare([folder, folder.with_name('copy')], study)
