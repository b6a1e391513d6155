"""Every config builds and trains, and every key that is declared is read somewhere."""

import importlib
import os
from pathlib import Path
import re

import jax
import numpy as np
import pytest
from scipy.io import savemat

from configs import common
from jgen import config as config_lib
from jgen import data, evaluation, families, train

ROOT = Path(__file__).parent.parent
CONFIGS = sorted(path.stem for path in (ROOT / 'configs').glob('*.py') if path.stem not in ('common', 'stored'))


def load(name):
  return importlib.import_module(f'configs.{name}').get_config()


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_is_sound_and_its_step_fits_together(name):
  config = load(name)
  config_lib.validate(config)
  spec = data.describe(config.data)
  family = families.create(config, spec)
  evaluation.create(config.evaluators, spec, family, bool(config.data.test_splits))
  state = jax.eval_shape(lambda key: jax.tree.map(lambda x: x[None], family.init(key)), jax.random.key(0))
  shape = (1, config.steps_per_dispatch, family.batches_per_step, 4)
  batches = {'image': jax.ShapeDtypeStruct((*shape, *spec.image_shape), np.uint8),
             'label': jax.ShapeDtypeStruct(shape, np.int32)}
  new_state, metrics = jax.eval_shape(
      train.make_dispatch(family, devices=jax.devices()[:1]), state, batches, jax.random.key(0))
  assert jax.tree.map(lambda x: x.shape, new_state) == jax.tree.map(lambda x: x.shape, state)
  assert {value.shape for value in metrics.values()} == {(1, config.steps_per_dispatch)}


def test_every_declared_key_is_read():
  source = '\n'.join(path.read_text() for path in (ROOT / 'jgen').rglob('*.py'))
  sections = {name: make() for name, make in vars(common).items() if callable(make) and name != 'ConfigDict'}
  keys = {key.rsplit('.', 1)[-1] for section in sections.values() for key in config_lib.flatten(section)}
  assert len(keys) > 25
  unread = [key for key in sorted(keys) if not re.search(rf'\.{key}\b|^  {key}: ', source, re.MULTILINE)]
  assert not unread


@pytest.fixture(scope='module')
def mat_folder(tmp_path_factory):
  """The published files where there are any, else small ones in their format."""
  real = Path(os.environ.get('JGEN_TEST_DATA', ''), 'svhn')
  if (real / 'train_32x32.mat').exists():
    return real
  folder, rng = tmp_path_factory.mktemp('svhn'), np.random.default_rng(0)
  for split, count in (('train', 60), ('test', 20)):
    savemat(folder / f'{split}_32x32.mat', {
        'X': rng.integers(0, 256, (32, 32, 3, count), np.uint8), 'y': np.arange(count)[:, None] % 10 + 1})
  return folder


@pytest.mark.parametrize('name', ['wgan_svhn', 'cdcgan_svhn'])
def test_svhn_trains_from_its_files(name, mat_folder, tmp_path):
  config = load(name)
  config.batch_size = 16
  config.num_steps = config.log_every_steps = config.samples_per_class = 1
  config.data.dir, config.data.cache_dir = str(mat_folder), str(tmp_path / 'cache')
  config.evaluators.class_consistency.num_generated = 10
  config.evaluators.class_consistency.num_real = 80
  train.run(config, tmp_path / 'run', 'python launch.py')
  assert (tmp_path / 'run/samples/step_00000001.png').exists()
  assert len((tmp_path / 'run/metrics.csv').read_text().splitlines()) == 2
