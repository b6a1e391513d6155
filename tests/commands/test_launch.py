"""The command line: what it prints, and one clear line with exit status 2 for a user's mistake."""

import importlib.metadata
import os
import re
import subprocess
import sys

from helpers.launching import ROOT, environment, launch
from PIL import Image
import pytest

from jgen.commands import main
from jgen.errors import UserError
from jgen.host import runtime

CONVOLUTIONS = '--xla_cpu_experimental_ynn_fusion_type'
FAST = f'{CONVOLUTIONS}=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION'


@pytest.mark.parametrize('arguments, expected', [
    (['--config.batch_sze=3'], "config key 'batch_sze' is not known; did you mean 'batch_size'?"),
    (['--config.data.nme=digits'], "config key 'nme' is not known; did you mean 'name'?"),
    (['--config.qqqqq=1'], 'docs/config.md lists all keys'),
    (['--config.batch_size=many'], '--config.batch_size=many'),
    (['--config.batch_size=2.5'], '--config.batch_size=2.5'),
    (['--config.model.conditional=maybe'], 'maybe'),
    (['--config.num_steps=0'], 'config.num_steps and config.num_epochs are both 0'),
    (['--config.steps_per_dispatch=7'], 'not a multiple of config.steps_per_dispatch, 7'),
    (['--config=nowhere.py'], 'the config nowhere.py cannot be read'),
    (['--mode=sample', '--workdir=nowhere', '--num_samples=0'], '--num_samples is 0; expected a whole number'),
    (['--num_samples=3'], "Unknown command line flag 'num_samples'"),
    (['--mode=tran'], "--mode=tran is not known; did you mean 'train'?"),
    (['--config=wgan_svh'], "did you mean 'wgan_svhn'?"),
    (['--config=wgan_svhn', '--evaluators=diversitee'], "did you mean 'diversity'?"),
    (['--mode=list', 'x'], "--mode=list takes no argument, but 'x' was given"),
    (['--wrkdir=x'], "Did you mean: workdir"),
    (['train'], "'train' is not a flag"),
    (['--config'], 'config'),
    (['-workdir=gs://bucket/run'], 'gs: URLs are not supported'),
    (['--config=https://host/config.py'], 'https: URLs are not supported'),
], ids=lambda value: value[0] if isinstance(value, list) else '')
def test_mistakes_on_the_command_line(arguments, expected):
  with pytest.raises(UserError) as error:
    main.run(arguments)
  assert expected in str(error.value) and '\n' not in str(error.value)


def test_a_mistake_ends_the_program_in_one_line():
  expect_one_line(launch('--config.batch_sze=3'), "config key 'batch_sze' is not known; did you mean 'batch_size'?")


@pytest.mark.parametrize('text, expected', [
    ('from jgen import recipes\ndef get_config():\n  config = recipes.base()\n  config.num_step = 3\n',
     ", line 4: config key 'num_step' is not known; did you mean 'num_steps'?"),
    ('from configs import common\n', ', line 1: configs/common.py, models.py and evaluators.py are gone; use `from'),
    ('def get_config():\n  return 1 / 0\n', ', line 2: ZeroDivisionError: division by zero'),
    ('def get_config(:\n', ', line 1: SyntaxError: invalid syntax'),
    ('raise ValueError("a\\nb\\x1b[31m")\n', ', line 1: ValueError: a b [31m'),
    ('x = 1\n', "has no attribute 'get_config'"),
    ('def get_config():\n  return {}\n', ': get_config returned dict; expected a ConfigDict')])
def test_a_config_file_that_fails_is_named(text, expected, tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text(text)
  with pytest.raises(UserError) as error:
    main.parse([f'--config={path}'])
  assert str(error.value).startswith(str(path)) and expected in str(error.value) and str(error.value).isprintable()


def test_configs_are_found_by_name_and_listed(capsys):
  assert main.parse(['--config=wgan_svhn', '--config.batch_size=8']).config.batch_size == 8
  assert main.parse(['-config=configs/wgan_svhn.py']).name == 'wgan_svhn'
  main.run(['--mode=list'])
  printed = capsys.readouterr().out
  names = sorted(path.stem for path in (ROOT / 'configs').glob('*.py'))
  assert sorted(re.findall(r'^  (\w+)  ', printed, re.MULTILINE)) == names
  assert 'svhn: --config.data.dir=FOLDER with {train,test,extra}_32x32.mat' in printed


def test_help_names_every_mode_and_flag(capsys):
  main.run(['--help'])
  printed = capsys.readouterr().out
  files = (ROOT / 'jgen/commands').glob('*.py')
  modes = {path.stem for path in files if re.search(r'^def run\(', path.read_text(), re.MULTILINE)}
  for name in modes - {'main'}:
    assert re.search(rf'^  {name}  +\w', printed, re.MULTILINE), name
  assert all(f'--{name}' in printed for name in main.FLAGS)


def test_a_file_whose_name_is_no_text_is_named_all_the_same(tmp_path):
  for n in range(3):
    Image.new('RGB', (9, 9), (n, 9, 9)).save(tmp_path / f'{n}.png')
  with open(os.fsencode(tmp_path) + b'/caf\xe9.png', 'wb'):
    pass
  result = launch('--mode=prepare', f'--config={ROOT}/configs/dcgan_anime.py', f'--config.data.dir={tmp_path}',
                  "--config.data.splits=('all',)", '--config.data.max_bad_share=0.5',
                  f'--config.data.cache_dir={tmp_path}/cache', env=environment() | {'PYTHONIOENCODING': 'utf-8:strict'})
  assert result.returncode == 0 and 'caf\\udce9.png: empty file' in result.stdout


def test_a_data_folder_without_the_files(tmp_path):
  result = launch(f'--config={ROOT}/configs/wgan_svhn.py', f'--config.data.dir={tmp_path}', f'--workdir={tmp_path}/run',
                  '--config.batch_size=16', '--evaluators=class_consistency')
  expect_one_line(result, '_32x32.mat')
  for hint in (str(tmp_path), '--config.data.dir', 'http'):
    assert hint in result.stderr
  assert not (tmp_path / 'run').exists()


def test_evaluating_what_is_no_run(tmp_path):
  expect_one_line(launch('--mode=evaluate', f'--workdir={tmp_path}'), 'holds no run')


def expect_one_line(result, expected):
  assert result.returncode == 2, result.stderr
  assert expected in result.stderr
  assert result.stderr.count('\n') == 1 and 'Traceback' not in result.stderr
  assert not result.stdout


@pytest.mark.parametrize('name', ['wgan_svhn', 'cdcgan_svhn'])
def test_summary_ends_with_the_total_and_needs_no_data(name):
  result = launch(f'--config={ROOT}/configs/{name}.py', '--mode=summary', env=environment())
  assert result.returncode == 0, result.stderr
  lines = result.stdout.splitlines()
  assert re.fullmatch(r'total parameters: \d+', lines[-1])
  # Counted by hand: generator 110-512-256-128-64-3, critic 13-64-128-256-512-1, 4x4 kernels without bias, and
  # a scale and a bias for each normalised channel.
  generator = 16 * (110 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + 2 * (512 + 256 + 128 + 64)
  critic = 16 * (13 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512)
  normalised = {'wgan_svhn': 0, 'cdcgan_svhn': 2 * (128 + 256 + 512)}[name]
  assert int(lines[-1].split()[-1]) == generator + critic + normalised
  assert any('generator/layer_0 ' in line and '110 -> 8192' in line for line in lines)


def test_on_a_cpu_a_step_is_done_when_the_call_returns():
  program = ('from jgen.host import runtime; runtime.start_jax(); import jax; x = jax.numpy.ones((1500, 1500)); '
             'f = jax.jit(lambda x: jax.lax.fori_loop(0, 20, lambda i, x: x @ x / 1500, x)); '
             'f(x).block_until_ready(); print([f(x).is_ready() for _ in range(3)])')
  done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=False,
                        cwd=ROOT)
  assert done.stdout.strip() == '[True, True, True]', done.stderr


@pytest.mark.parametrize('version, given, expected', [
    ('0.10.2', '', FAST),
    ('0.10.2', '--xla_a=1', f'--xla_a=1 {FAST}'),
    ('0.10.2', f'{CONVOLUTIONS}=', f'{CONVOLUTIONS}='), ('0.11.0', '', FAST), ('0.12.0.1', '', FAST),
    ('0.13.0', '--xla_a=1', '--xla_a=1'), ('0.13.0', '', ''), ('0.9.2', '', '')])
def test_xla_is_told_what_is_fast_unless_the_user_or_another_version_decides(version, given, expected, monkeypatch):
  monkeypatch.setattr(os, 'environ', {'XLA_FLAGS': given, 'JGEN_MALLOC': '0'})
  monkeypatch.setattr(importlib.metadata, 'version', lambda name: version)
  runtime.prepare()
  assert os.environ['XLA_FLAGS'] == expected
