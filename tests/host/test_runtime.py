"""The process: how it starts and ends, its devices, and the compiled programs that the next one finds."""

import os
import subprocess
import sys

from helpers.launching import ROOT
import jax
import pytest

from jgen.commands import main
from jgen.errors import UserError
from jgen.host import runtime

COMPILE = ('from jgen.host import runtime; runtime.start_jax(); import jax; '
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


def test_determinism_is_asked_of_xla(monkeypatch):
  jax.devices()                         # XLA has read its flags: it would end the process at one that it does not know
  monkeypatch.setenv('XLA_FLAGS', '--another')
  runtime.start_jax(**main.parse(['--deterministic']).start)
  assert os.environ['XLA_FLAGS'] == '--another --xla_gpu_deterministic_ops=true'


def test_what_was_read_longest_ago_goes_first(tmp_path):
  for age, name in enumerate('cab'):
    (tmp_path / name).write_bytes(bytes(10))
    os.utime(tmp_path / name, (1_000 - age, 500))
  runtime.delete_beyond(tmp_path, 20)
  assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'c']
  runtime.delete_beyond(tmp_path, 0)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('error, told', [
    (UserError('name another'), 'error: name another'),
    (MemoryError('Unable to allocate 8 TiB'), 'error: no memory left on the host (Unable to allocate 8 TiB)'),
    (jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore'),
     'error: no memory left on the device (RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes. more)'),
    (OSError(28, 'No space left on device', 'x'), "error: [Errno 28] No space left on device: 'x'"),
    (OSError(40, 'Too many levels of symbolic links', 'x'), 'error: [Errno 40]'),
    (KeyboardInterrupt(), 'interrupted')], ids=lambda value: type(value).__name__)
def test_what_the_user_can_mend_is_one_line(error, told, capsys):
  with pytest.raises(SystemExit) as end, runtime.exit_status():
    raise error
  line = capsys.readouterr().err
  assert line.startswith(told) and line.count('\n') == 1
  assert end.value.code == (130 if told == 'interrupted' else 2)


@pytest.mark.parametrize('error', [RuntimeError('a mistake of ours'), OSError(9, 'Bad file descriptor'), KeyError('x')])
def test_mistakes_of_the_program_are_not_hidden(error):
  with pytest.raises(type(error)), runtime.exit_status():
    raise error


@pytest.mark.parametrize('platform', ['cuda', 'rocm', 'nonsense'])
def test_devices_that_are_not_there_are_told_in_one_line(platform):
  program = 'from jgen.host import runtime\nwith runtime.exit_status(): runtime.start_jax()'
  done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, env={**os.environ, 'JAX_PLATFORMS': platform},
                        capture_output=True, text=True)
  if not done.returncode:
    pytest.skip('they are there')
  assert done.returncode == 2 and 'Traceback' not in done.stderr, done.stderr
  assert done.stderr.splitlines()[-1].startswith(f'error: JAX_PLATFORMS={platform}: there are no')


@pytest.mark.parametrize('coordinator, num_processes', [('auto', 1), ('no-port', 2), ('localhost:1', 0)])
def test_a_coordinator_that_cannot_be_is_told_in_one_line(coordinator, num_processes):
  program = ('from jgen.host import runtime\n'
             f'with runtime.exit_status(): runtime.start_jax("{coordinator}", {num_processes}, 1)')
  done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True, timeout=100)
  assert done.returncode == 2 and 'Traceback' not in done.stderr, done.stderr
  assert done.stderr.splitlines()[-1].startswith(f'error: --coordinator={coordinator}: the other processes')


def test_the_devices_are_told_once(capsys):
  runtime.tell_devices.cache_clear()
  runtime.tell_devices()
  runtime.tell_devices()
  assert capsys.readouterr().out == f'devices: 4 x cpu ({os.cpu_count()} cores); JAX {jax.__version__}\n'


def test_warnings_of_other_libraries_are_shown():
  program = ('import sys, logging; sys.argv[1:] = ["--mode=compare"]\n'
             'from jgen.commands import compare, main\n'
             'def speak(paths, workdir):\n'
             '  logging.getLogger("jax._src.xla_bridge").warning("shown")\n'
             '  logging.getLogger("orbax").warning("shown")\n'
             '  logging.getLogger("orbax").info("hidden")\n'
             'compare.run = speak\n'
             'main.console()')
  done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert done.stderr.count('shown') == 2 and 'hidden' not in done.stderr


def test_a_read_that_ends_after_its_event_loop_is_not_shown_as_an_error():
  """Orbax closes its loop as soon as one of several reads fails. Other errors of such threads are still shown."""
  program = '''
from jgen.host import runtime
runtime.prepare()
import asyncio, threading, tensorstore
loop = asyncio.new_event_loop()
loop.close()
def end(callback):
  promise, future = tensorstore.Promise.new()
  future.add_done_callback(callback)
  thread = threading.Thread(target=promise.set_result, args=(1,))
  thread.start(), thread.join(), future.result()
end(lambda future: loop.call_soon_threadsafe(print))
end(lambda future: {}["another error"])
'''
  done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True, text=True, check=True)
  assert 'another error' in done.stderr and 'loop' not in done.stderr
