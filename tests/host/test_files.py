"""Paths as users write them: resolved, or refused in one line without creating anything."""

import os
from pathlib import Path
import subprocess
import sys

from helpers import tiny
from helpers.launching import ROOT
import pytest

from jgen.commands import train
from jgen.data import cache
from jgen.errors import UserError
from jgen.host import files

pytestmark = pytest.mark.usefixtures('few_figures')


@pytest.mark.parametrize('path', [
    'gs://bucket/x', 's3://bucket/x', 'https://host/x', 'hdfs:///x', 'file:///tmp/x', 'gs:/bucket/x'])
def test_addresses_are_refused_and_no_folder_is_made_of_them(path, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for read in (files.expanded, files.folder, cache.root_of):
    with pytest.raises(UserError, match='URLs are not supported'):
      read(path)
  monkeypatch.setenv('JGEN_CACHE', path)
  with pytest.raises(UserError, match='URLs are not supported'):
    files.cache_folder()
  assert not list(tmp_path.iterdir())


def test_what_only_looks_like_an_address_is_a_path(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'a:').mkdir()
  for path in ('a:/b', 'run:1/x', '1:/x', './gs:/x'):
    assert files.expanded(path) == Path(path)


def test_a_home_is_meant_by_a_tilde(monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  assert files.folder('~/runs/x') == tmp_path / 'runs/x' and files.expanded('~') == tmp_path
  assert files.expanded('a/~/b') == Path('a/~/b')
  with pytest.raises(UserError, match='there is no such home'):
    files.folder('~nobody-is-called-so/x')


@pytest.fixture
def place(tmp_path):
  """A folder with a file, a dangling link, a link to itself and a link to a folder."""
  (tmp_path / 'file').write_text('x')
  (tmp_path / 'dangling').symlink_to('nowhere')
  (tmp_path / 'circle').symlink_to('circle')
  (tmp_path / 'real').mkdir()
  (tmp_path / 'link').symlink_to('real')
  return tmp_path


@pytest.mark.parametrize('path, message', [
    ('file', 'is a file; name a folder'), ('file/x/y', 'file is a file; name a folder outside of it'),
    ('dangling', 'is a link to nowhere, which does not exist'), ('dangling/x', 'is a link to nowhere'),
    ('circle/x', 'circle'), ('x' * 300, 'cannot be a folder'), ('a\0b', 'NUL character'),
    ('caf\udce9', 'is not UTF-8 text'),
    ('a\\b', 'backslash or brackets'), ('run[1]', 'backslash or brackets')], ids=ascii)
def test_what_cannot_be_a_folder_is_refused(path, message, place):
  before = sorted(place.rglob('*'))
  with pytest.raises(UserError, match=message) as error:
    files.folder(f'{place}/{path}')
  assert '\n' not in str(error.value) and sorted(place.rglob('*')) == before


def test_a_link_to_a_folder_is_that_folder(place):
  for path in ('link', 'link/new', 'real', 'new/newer'):
    assert files.folder(place / path) == place / path


def test_a_run_lies_in_a_folder_of_any_name(tmp_path):
  folder = files.folder(tmp_path / 'a b\'"%s%20{}[*?#&;$HOME!:日本é\n\t=end')
  train.run(tiny.dcgan(num_steps=2, **{'steps_per_dispatch': 2, 'checkpoint_every_steps': 2,
                                          'loggers': ('tensorboard',)}), folder, '')
  for entry in ('checkpoints/2', 'metrics.csv', 'figures/losses.png', 'samples/step_00000002.png'):
    assert (folder / entry).exists()
  assert list((folder / 'tensorboard').iterdir()) and [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize('variables, expected', [
    ({'JGEN_CACHE': '/a', 'XDG_CACHE_HOME': '/b'}, '/a'), ({'JGEN_CACHE': '~/a'}, '/home/me/a'),
    ({'XDG_CACHE_HOME': '/b'}, '/b/jgen'), ({'XDG_CACHE_HOME': 'b'}, '/home/me/.cache/jgen'),   # no absolute path: void
    ({'XDG_CACHE_HOME': ''}, '/home/me/.cache/jgen'), ({}, '/home/me/.cache/jgen')])
@pytest.mark.skipif(sys.platform != 'linux', reason='the conventions of Linux')
def test_the_cache_is_where_the_platform_keeps_caches(variables, expected, monkeypatch):
  for name in ('JGEN_CACHE', 'XDG_CACHE_HOME'):
    monkeypatch.delenv(name, raising=False)
  for name, value in {'HOME': '/home/me', **variables}.items():
    monkeypatch.setenv(name, value)
  assert cache.root_of('') == files.cache_folder() == Path(expected)


CHOSEN = """
import runpy, sys
runpy.run_path(sys.argv[1])
from jgen.commands import main
from jgen.run import config_file
name, _, argument = main.chosen_config(sys.argv[2:])[0].partition(':')
print(config_file.find(name), argument, sep=':')
"""


def chosen(launch, *arguments, cwd, **variables):
  done = subprocess.run([sys.executable, '-c', CHOSEN, launch, *arguments], cwd=cwd, capture_output=True, text=True,
                        env={**os.environ, 'PYTHONPATH': str(ROOT), **variables})
  assert done.returncode == 0, done.stderr
  return done.stdout.strip()


def test_the_config_is_found_from_a_link_with_one_dash_and_at_home(tmp_path):
  link = tmp_path / 'launch.py'
  link.symlink_to(ROOT / 'launch.py')
  assert Path(chosen(link, cwd=tmp_path)).is_relative_to(ROOT.resolve())
  (tmp_path / 'mine.py').write_text('')
  (tmp_path / 'run').mkdir()
  (tmp_path / 'run/config.json').write_text('{}')
  for flag in ('-config=~/mine.py', '--config=~/mine.py', '-config ~/mine.py', f'--config={tmp_path}/mine.py:/a/b'):
    found = chosen(link, *flag.split(), cwd=tmp_path, HOME=str(tmp_path))
    assert found.partition(':')[0] == f'{tmp_path}/mine.py'
  assert chosen(link, '-workdir=~/run', cwd='/', HOME=str(tmp_path)).endswith(f'stored.py:{tmp_path}/run')
