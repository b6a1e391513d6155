"""Locks: one holder at a time, with flock and without; a holder that is killed is followed."""

import errno
import fcntl
import signal
import subprocess
import sys
import threading

import filelock
from helpers.launching import ROOT
import pytest

from jgen.errors import UserError
from jgen.host import locks
from jgen.run import folder as run_folder

# A process that holds a lock until it is killed, or tries to; its second argument is the error that flock gives.
HOLDER = '''
import errno, fcntl, pathlib, sys, time
if sys.argv[2] != '0':
  def flock(*arguments): raise OSError(int(sys.argv[2]), 'no flock here')
  fcntl.flock = flock
from jgen.host import locks
with locks.held(pathlib.Path(sys.argv[1])):
  print('held', flush=True)
  time.sleep(100)
'''


@pytest.fixture
def without_flock(request, monkeypatch):
  def flock(*arguments):
    raise OSError(request.param, 'no flock here')
  if request.param:
    monkeypatch.setattr(fcntl, 'flock', flock)
  return request.param


@pytest.mark.parametrize('without_flock', [0, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK], indirect=True)
def test_one_process_holds_it_until_it_is_killed(without_flock, tmp_path, capsys):
  path = tmp_path / '.lock'
  other = subprocess.Popen([sys.executable, '-c', HOLDER, path, str(without_flock)], cwd=ROOT, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
  assert other.stdout.readline() == 'held\n'
  with pytest.raises(filelock.Timeout), locks.held(path):
    pass
  other.send_signal(signal.SIGKILL)
  other.communicate()
  with locks.held(path):
    pass
  with locks.held(path):
    pass
  warned = capsys.readouterr().err
  assert ('has no locks' in warned) == bool(without_flock)
  assert {entry.name for entry in tmp_path.iterdir()} == {'.lock'}


@pytest.mark.parametrize('without_flock', [0, errno.ENOSYS], indirect=True)
def test_a_waiting_process_says_so_and_follows(without_flock, tmp_path, capsys):
  path = tmp_path / 'images.lock'
  other = subprocess.Popen([sys.executable, '-c', HOLDER, path, str(without_flock)], cwd=ROOT, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
  assert other.stdout.readline() == 'held\n'
  threading.Timer(0.5, lambda: (other.kill(), other.communicate())).start()
  with locks.held(path, waiting='waiting for it'):
    path.unlink()                       # as the holder of a folder that is ready does
  assert 'waiting for it\n' in capsys.readouterr().err


def test_a_lock_file_that_is_removed_by_its_holder_still_excludes(tmp_path):
  path = tmp_path / 'images.lock'
  with locks.held(path):
    path.unlink()
    with locks.held(path):              # another file of that name, which nobody holds
      pass


@pytest.mark.parametrize('make, what', [
    (lambda path, other: path.symlink_to(other), 'a link'),
    (lambda path, other: path.symlink_to(path.parent / 'nowhere'), 'a link'),
    (lambda path, other: path.mkdir(), 'a folder')], ids=['link', 'dangling link', 'folder'])
def test_a_lock_that_is_no_file_of_its_own_is_refused_and_untouched(make, what, tmp_path):
  other = tmp_path / 'thesis.tex'
  other.write_text('years of work')
  make(tmp_path / '.lock', other)
  with pytest.raises(UserError, match=f'is {what}; expected a lock file'), run_folder.locked(tmp_path):
    pass
  assert other.read_text() == 'years of work' and not (tmp_path / 'nowhere').exists()
