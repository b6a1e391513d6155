"""The writer to the terminal: silent whatever state the streams are in; names cannot control the terminal."""

import ast
import io
import os
import shlex
import subprocess
import sys
import time

from helpers.launching import ROOT
import pytest

from jgen.host import progress, terminal

SAYS = 'from jgen.host import terminal; terminal.prepare(); terminal.say("a\\n" * 30_000); terminal.warn("b"); ' \
       'open("done", "w").close(); terminal.say("c"); terminal.finish()'


@pytest.mark.parametrize('redirection', [
    '| true', '>&-', '2>&-', '>&- 2>&-', '<&- >&- 2>&-', '>/dev/full', '2>/dev/full', '>/dev/full 2>&1',
    '2>&1 | head -1'])
def test_a_program_ends_well_whatever_its_streams_are(redirection, tmp_path):
  shell = f"set -o pipefail; {sys.executable} -c '{SAYS}' {redirection}"
  done = subprocess.run(['bash', '-c', shell], cwd=tmp_path, env={**os.environ, 'PYTHONPATH': str(ROOT)}, text=True,
                        capture_output=True)
  assert done.returncode == 0 and (tmp_path / 'done').exists(), done.stderr
  assert (tmp_path / 'done').stat().st_size == 0   # a closed stream's number is not given to a file
  assert 'Traceback' not in done.stderr and 'Exception ignored' not in done.stderr
  if redirection == '>/dev/full':
    assert done.stderr.splitlines()[0].startswith('warning: standard output cannot be written') and 'b' in done.stderr


def test_a_pipe_that_answers_at_once_is_waited_for():
  reader, writer = os.pipe()
  os.set_blocking(writer, False)        # the state that another program may leave a shared pipe in
  program = subprocess.Popen([sys.executable, '-c', SAYS.replace('open("done", "w").close(); ', '')], cwd=ROOT,
                             stdout=writer)
  os.close(writer)
  time.sleep(0.5)                       # until the pipe is full
  with open(reader) as pipe:
    lines = pipe.read().splitlines()
  assert program.wait() == 0 and lines.count('a') == 30_000 and lines[-1] == 'c'


class Broken(io.StringIO):
  """A stream that raises what it is given."""

  def __init__(self, error):
    super().__init__()
    self.error = error

  def write(self, text):
    raise self.error


@pytest.mark.parametrize('stream', [
    None, Broken(BrokenPipeError()), Broken(OSError(5, 'terminal hung up')), Broken(ValueError('closed file')),
    Broken(RuntimeError('reentrant call'))], ids=lambda stream: repr(stream and stream.error))
def test_any_state_of_a_stream_is_survived(stream, monkeypatch):
  monkeypatch.setattr(sys, 'stdout', stream)
  monkeypatch.setattr(sys, 'stderr', stream)
  terminal.say('x')
  terminal.warn('x')
  terminal.finish()
  progress.Progress(num_steps=1, images_per_step=1).update(1, {'loss': 1.})


@pytest.mark.parametrize('name, shown', [
    ('\x1b[31mred', r'\x1b[31mred'), ('a\x07b', r'a\x07b'), ('\x9b2J', r'\x9b2J'), ('gpj.\u202eexe', r'gpj.\u202eexe'),
    ('over\rwritten', r'over\rwritten'), ('tab\tbed', r'tab\tbed'), ('日本語 é', '日本語 é')], ids=ascii)
def test_control_characters_are_shown_and_not_obeyed(name, shown, capsys):
  terminal.say(f'class {name}\nnext line')
  assert capsys.readouterr().out == f'class {shown}\nnext line\n'
  terminal.warn(f'{name}\nand more')
  assert capsys.readouterr().err.count('\n') == 1


@pytest.mark.parametrize('words', [
    ['python', 'launch.py', "--config.study.variations=('squares:', 'VAE: config=x.py')"],
    ['a b', '$HOME', '`id`', '!!'],
    ["it's $5", "it's `id`", "it's \\", "it's !1", "it's \"so\""], ['', '\n', "'", '"']])
def test_a_command_line_is_read_by_a_shell_as_it_was_given(words):
  line = terminal.command_line(words)
  shown = subprocess.run(['sh', '-c', f'printf "%s\\0" {line}'], capture_output=True, check=True, text=True).stdout
  assert shown.split('\0')[:-1] == words == shlex.split(line)


def test_a_command_line_with_a_tuple_is_quoted_for_people():
  assert terminal.command_line(['--config.data.splits=(\'test\',)']) == '"--config.data.splits=(\'test\',)"'


def test_everything_that_is_printed_passes_here():
  for path in (ROOT / 'jgen').rglob('*.py'):
    if path.name != 'terminal.py':
      used = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text()))
              if isinstance(node, ast.Name | ast.Attribute)}
      assert not used & {'print', 'sys.stdout', 'sys.stderr'}, path
