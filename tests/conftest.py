"""Four CPU devices for every test, the convolution form that compiles fastest, and nothing compiled twice.

Calls of the functions of CHECKED are compared with their annotations: types, shapes, and that these agree.
"""

import atexit
import gc
import os
import shutil
import tempfile

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ.setdefault('JGEN_CONVOLUTION', 'plain')

# What is kept at home, such as the Inception's weights, changes no test: they and their processes have an empty home.
if 'PYTEST_XDIST_WORKER' not in os.environ:
  os.environ['HOME'] = tempfile.mkdtemp(prefix='jgen-home-')
  atexit.register(shutil.rmtree, os.environ['HOME'], ignore_errors=True)
  for name in ('JGEN_CACHE', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME'):
    os.environ.pop(name, None)

# Compile time is what these tests cost: functions compiled once in a session are found again, by other processes too.
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
  os.environ['JAX_COMPILATION_CACHE_DIR'] = os.path.join(os.environ['HOME'], 'compiled')
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'

from helpers import compiling

os.environ['XLA_FLAGS'] = compiling.flags(devices=4)

import helpers.checked  # noqa: F401, the hook names it
import jax
import jaxtyping
import pytest

# Most functions run a few times only, so optimising them costs more than it saves.
jax.config.update('jax_disable_most_optimizations', True)

# Before any of them is imported; programs that tests start check nothing.
CHECKED = ('jgen.augmentation', 'jgen.images', 'jgen.losses', 'jgen.networks', 'jgen.parallel',
           'jgen.evaluation.descriptors', 'jgen.evaluation.disentanglement.beta_vae_score',
           'jgen.evaluation.disentanglement.dci', 'jgen.evaluation.disentanglement.factor_vae_score',
           'jgen.evaluation.disentanglement.gap', 'jgen.evaluation.disentanglement.mutual_information_gap',
           'jgen.evaluation.disentanglement.sap', 'jgen.evaluation.disentanglement.sharing',
           'jgen.evaluation.features.frechet', 'jgen.evaluation.features.inception_score',
           'jgen.evaluation.features.kernel_distance', 'jgen.evaluation.features.moments',
           'jgen.evaluation.features.neighbours', 'jgen.evaluation.features.precision_recall',
           'jgen.evaluation.latents')
jaxtyping.install_import_hook(CHECKED, 'helpers.checked.checked')


# Few tests each, which take long: begun first, so that no worker waits for the other at the end.
LONG = ('test_quickstart.py', 'test_two_processes.py', 'test_resume.py', 'test_doctor.py', 'test_gallery.py',
        'test_signals.py', 'test_study.py', 'test_configs.py', 'test_train.py', 'test_priors.py')


def pytest_collection_finish():
  """Leaves what was imported out of every garbage collection, of which tracing causes many: a tenth of the time."""
  gc.freeze()
  gc.set_threshold(50_000, 20, 50)


def pytest_collection_modifyitems(items):
  items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope='module')
def optimised():
  """Functions of this module run often: they are compiled to run faster."""
  jax.config.update('jax_disable_most_optimizations', False)
  yield
  jax.config.update('jax_disable_most_optimizations', True)


@pytest.fixture(scope='module')
def few_figures():
  """Runs of this module draw few of their figures."""
  from helpers import figures
  with pytest.MonkeyPatch.context() as patch:
    figures.draw_only(patch, figures.FEW)
    yield


@pytest.fixture(scope='module', autouse=True)
def unload():
  """Drops what a module has compiled: a process that has loaded some thousand functions runs out of memory maps."""
  yield
  jax.clear_caches()
  gc.collect()
