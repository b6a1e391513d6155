"""The process: what JAX has compiled is found again by the next one, within a size."""

import os
import subprocess
import sys

from helpers.launching import ROOT

from jgen import runtime

COMPILE = ('from jgen import runtime; runtime.start_jax(); import jax; '
           'print(float(jax.jit(lambda x: 2 * x + 1)(3.)))')


def compile_in_a_process(**variables):
  env = {name: value for name, value in os.environ.items() if name != 'JAX_COMPILATION_CACHE_DIR'}
  env |= {'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0', **variables}
  done = subprocess.run([sys.executable, '-c', COMPILE], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
  assert done.stdout == '7.0\n' and 'ache' not in done.stderr


def programs(folder):
  return {path: path.stat().st_mtime_ns for path in folder.rglob('*-cache')}


def test_what_one_process_compiled_the_next_finds(tmp_path):
  compile_in_a_process(XDG_CACHE_HOME=str(tmp_path))
  first = programs(tmp_path / 'jgen' / 'compiled')
  compile_in_a_process(XDG_CACHE_HOME=str(tmp_path))
  assert first and programs(tmp_path / 'jgen' / 'compiled') == first
  compile_in_a_process(XDG_CACHE_HOME=str(tmp_path / 'other'), JAX_ENABLE_COMPILATION_CACHE='0')
  assert not (tmp_path / 'other').exists()


def test_a_home_that_is_a_file_does_no_harm(tmp_path):
  (tmp_path / 'home').touch()
  compile_in_a_process(XDG_CACHE_HOME=str(tmp_path / 'home'))


def test_what_was_read_longest_ago_goes_first(tmp_path):
  for age, name in enumerate('cab'):
    (tmp_path / name).write_bytes(bytes(10))
    os.utime(tmp_path / name, (1_000 - age, 500))
  runtime.delete_beyond(tmp_path, 20)
  assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'c']
  runtime.delete_beyond(tmp_path, 0)
  assert not list(tmp_path.iterdir())
