"""Images are prepared once, and completely or not at all."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time

from helpers.published import cut, refusal, section, write_mat
import numpy as np
import pytest

from jgen import data
from jgen.data import cache, unfinished, verification
from jgen.data.readers import svhn
from jgen.data.spec import Spec


def test_images_are_prepared_once(tmp_path, monkeypatch):
  write_mat(tmp_path / 'train_32x32.mat')
  monkeypatch.setenv('JGEN_CACHE', str(tmp_path / 'cache'))
  first = data.load(section(folder=tmp_path))
  folder, = tmp_path.glob('cache/*')
  assert folder.name.startswith('svhn-32-')
  assert sorted(path.name for path in folder.iterdir()) == [
      'annotations.npy', 'images.npy', 'manifest.json', 'verified.json']
  np.testing.assert_array_equal(np.load(folder / 'images.npy', allow_pickle=False), first.images)
  with monkeypatch.context() as context:
    context.setattr(svhn, '_mat_images', lambda path: pytest.fail('decoded again'))
    again = data.load(section(folder=tmp_path))
  np.testing.assert_array_equal(first.images, again.images)


def test_what_determines_the_images_names_the_folder(tmp_path, monkeypatch):
  path, kept = tmp_path / 'train_32x32.mat', tmp_path / 'cache'

  def folders(count, **changes):
    data.load(section(folder=tmp_path, cache_dir=kept, **changes))
    assert len(list(kept.iterdir())) == count

  write_mat(path)
  write_mat(tmp_path / 'test_32x32.mat', 5)
  folders(1)
  folders(2, image_size=16)
  folders(3, splits=('train', 'test'))
  folders(4, splits=('test', 'train'))
  os.utime(path, ns=(0, 10**18))
  folders(5)
  new, _ = write_mat(path, 13)
  folders(6)
  np.testing.assert_array_equal(data.load(section(folder=tmp_path, cache_dir=kept)).images, new)
  monkeypatch.setattr(svhn, '_VERSION', 2)
  folders(7)
  folders(7)


def test_splits_and_channels_of_the_same_files_are_told_apart(tmp_path):
  (tmp_path / 'source').touch()
  for fill, (split, channels) in enumerate([('train', 1), ('test', 1), ('train', 3)]):
    content = np.full((2, 4, 4, channels), fill, np.uint8)
    original = cache.Original((tmp_path / 'source',), 2, 1, lambda part=content: [(part, np.zeros((2, 0)))])
    kept = section(splits=(split,), cache_dir=tmp_path / 'cache')
    images, _ = cache.prepared(kept, Spec('set', (4, 4, channels)), original)
    np.testing.assert_array_equal(images, content)
  assert len(list(tmp_path.glob('cache/*'))) == 3


# A process that prepares 50,000 images of 4x4; MODE says what happens to it half way.
_PREPARE = """
import os, resource, signal, sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from jgen.data import cache
from jgen.data.spec import Annotation, Spec
from jgen.errors import UserError

mode, source, root = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

def meet():
  source.with_name(f'ready-{os.getpid()}').touch()
  while not list(source.parent.glob('let-go')):
    time.sleep(0.01)

HALF_WAY = {
    'alone': lambda: None,
    'slow': meet,
    'killed': lambda: os.kill(os.getpid(), signal.SIGKILL),
    'limited': lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1)),
}

published = np.random.default_rng(0).integers(0, 256, (50_000, 4, 4, 3), dtype=np.uint8)
classes = np.arange(50_000)[:, None] % 7
done = []
resized = cache._resized
cache._resized = lambda *arguments: (done.append(1), resized(*arguments))[1]

def parts():
  yield published[:40_000], classes[:40_000]
  HALF_WAY[mode]()
  yield published[40_000:], classes[40_000:]

section = SimpleNamespace(splits=('train',), cache_dir=root)
original = cache.Original((source,), 50_000, 1, parts)
try:
  images, annotations = cache.prepared(section, Spec('set', (4, 4, 3), annotations=(Annotation('class', '0123456'),)),
                                       original)
except UserError as error:
  sys.exit(str(error))
assert (images == published).all()
assert (annotations == classes).all()
print(len(done))
"""


def start(mode, tmp_path):
  source = tmp_path / 'source'
  source.touch()
  os.utime(source, (0, 0))   # the same file for all of them
  return subprocess.Popen([sys.executable, '-c', _PREPARE, mode, source, tmp_path / 'cache'],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
  """(exit status, pieces that were made, what was said on stderr)"""
  made, said = process.communicate(timeout=60)
  return process.returncode, int(made or 0), said


def wait_for(condition):
  end = time.monotonic() + 60
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.01)


def test_of_two_processes_at_once_the_second_waits_and_both_end_well(tmp_path):
  first = start('slow', tmp_path)
  wait_for(lambda: list(tmp_path.glob('ready-*')))
  second = start('slow', tmp_path)
  assert second.stderr.readline().startswith('waiting for the process that prepares ')
  assert first.poll() is None
  (tmp_path / 'let-go').touch()
  assert finish(first) == (0, 13, '') and finish(second) == (0, 0, '')   # 50,000 images in pieces of 4,096
  assert len(list(tmp_path.glob('cache/*'))) == 1


def test_the_one_that_waits_goes_on_where_the_other_was_killed(tmp_path):
  first = start('slow', tmp_path)
  wait_for(lambda: list(tmp_path.glob('ready-*')))
  second = start('alone', tmp_path)
  second.stderr.readline()
  first.kill()
  code, made, said = finish(second)
  assert code == 0 and 0 < made < 13 and said == ''
  assert len(list(tmp_path.glob('cache/*'))) == 1
  finish(first)


def contents(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != 'verified.json'}


def test_what_was_killed_is_gone_on_with_and_ends_in_the_same_bytes(tmp_path):
  assert finish(start('alone', tmp_path))[:2] == (0, 13)
  whole, = tmp_path.glob('cache/*')
  expected = contents(whole)
  shutil.rmtree(whole)
  for spoil in (lambda folder: None, *TORN):
    assert finish(start('killed', tmp_path))[0] == -9
    left, = tmp_path.glob('cache/*.unfinished')
    pieces = len((left / 'journal.jsonl').read_bytes().splitlines())
    assert pieces > 2
    spoil(left)
    code, made, said = finish(start('alone', tmp_path))
    assert (code, said) == (0, '')
    assert made == 13 - pieces if spoil not in TORN else made > 13 - pieces
    assert list(tmp_path.glob('cache/*')) == [whole]
    assert contents(whole) == expected
    shutil.rmtree(whole)


def flip(path, at):
  content = bytearray(path.read_bytes())
  content[at] ^= 0xff
  path.write_bytes(content)


TORN = (
    lambda folder: flip(folder / 'images.npy', 128 + 4096 * 48 + 5),   # within the second piece
    lambda folder: cut(folder / 'journal.jsonl', 0.7),
    lambda folder: flip(folder / 'annotations.raw', 4 * 48 + 5),       # the same
    lambda folder: cut(folder / 'annotations.raw', 0.3),
    lambda folder: (folder / 'images.npy').unlink(),
)


def test_the_manifest_names_the_sha256_of_both(tmp_path):
  write_mat(tmp_path / 'train_32x32.mat')
  data.load(section(folder=tmp_path, cache_dir=tmp_path / 'cache'))
  folder, = tmp_path.glob('cache/*')
  manifest = json.loads((folder / 'manifest.json').read_text())
  assert manifest['sha256'] == hashlib.sha256((folder / 'images.npy').read_bytes()).hexdigest()
  assert manifest['annotations_sha256'] == hashlib.sha256((folder / 'annotations.npy').read_bytes()).hexdigest()
  assert manifest['count'] == 12 and manifest['skipped'] == [] and manifest['splits'] == ['train']


def test_a_file_that_cannot_grow_is_told_in_one_line(tmp_path):
  code, _, said = finish(start('limited', tmp_path))
  assert code == 1 and said.count('\n') == 1
  assert said.startswith(f"cannot keep the prepared images in {tmp_path / 'cache'}: File too large; they")
  assert '--config.data.cache_dir=FOLDER' in said
  assert not list(tmp_path.glob('cache/*'))


@pytest.mark.parametrize('on_the_way', [False, True])
def test_a_full_disk_is_told_in_one_line(on_the_way, tmp_path, monkeypatch):
  write_mat(tmp_path / 'train_32x32.mat')
  sync = os.fsync

  def full(descriptor):
    if on_the_way and threading.current_thread() is threading.main_thread():
      return sync(descriptor)           # the system tells it once, to the one who asks first
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
  with monkeypatch.context() as context:
    context.setattr(os, 'fsync', full)
    context.setattr(unfinished, '_SYNC_BYTES', 0)
    line = refusal(data.load, section(folder=tmp_path, cache_dir=tmp_path / 'cache'))
  assert line.startswith(f"cannot keep the prepared images in {tmp_path / 'cache'}: No space left on device;")
  assert not list(tmp_path.glob('cache/*'))
  assert len(data.load(section(folder=tmp_path, cache_dir=tmp_path / 'cache')).images) == 12


def test_a_cache_folder_that_cannot_be_made(tmp_path):
  write_mat(tmp_path / 'train_32x32.mat')
  line = refusal(data.load, section(folder=tmp_path, cache_dir=tmp_path / 'train_32x32.mat'))
  assert line.startswith(f"cannot keep the prepared images in {tmp_path / 'train_32x32.mat'}: ")


@pytest.mark.parametrize('spoil', [
    lambda folder: cut(folder / 'images.npy', 0.5),
    lambda folder: cut(folder / 'annotations.npy', 0.9),
    lambda folder: np.save(folder / 'annotations.npy', np.zeros(3, np.int32)),
    lambda folder: (folder / 'manifest.json').unlink(),
    lambda folder: (folder / 'manifest.json').write_text('{'),
    lambda folder: (folder / 'manifest.json').write_text('[]'),
    lambda folder: (folder / 'manifest.json').write_bytes(b'\xff\xfe'),
    lambda folder: change(folder, splits=['test']),
    lambda folder: change(folder, count='12'),
    lambda folder: change(folder, bad=3, skipped=None),
    lambda folder: change(folder, sha256=None),
    lambda folder: flip(folder / 'images.npy', 128 + 7 * 32 * 32 * 3 + 5),   # a pixel of the eighth image
    lambda folder: flip(folder / 'images.npy', 30),   # in the header
    lambda folder: flip(folder / 'annotations.npy', 130),   # a label
    lambda folder: swap(folder / 'images.npy'),
])
def test_a_damaged_cache_is_told(tmp_path, spoil):
  write_mat(tmp_path / 'train_32x32.mat')
  wanted = section(folder=tmp_path, cache_dir=tmp_path / 'cache')
  data.load(wanted)
  folder, = tmp_path.glob('cache/*')
  spoil(folder)
  assert refusal(data.load, wanted).startswith(f'the prepared images in {folder} are damaged (')
  shutil.rmtree(folder)
  assert len(data.load(wanted).images) == 12


def change(folder, **entries):
  path = folder / 'manifest.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def swap(path):
  """Two images change places: no pixel is another, but the labels are of others."""
  images = np.load(path)
  images[[2, 3]] = images[[3, 2]]
  np.save(path, images)


def test_what_was_verified_is_read_again_when_it_changed_and_when_asked_to(tmp_path, monkeypatch):
  write_mat(tmp_path / 'train_32x32.mat')
  wanted = section(folder=tmp_path, cache_dir=tmp_path / 'cache')
  data.load(wanted)
  folder, = tmp_path.glob('cache/*')
  hashed = []
  sha256 = verification.sha256
  monkeypatch.setattr(verification, 'sha256', lambda path: (hashed.append(path.name), sha256(path))[1])
  data.load(wanted)
  assert not hashed
  os.utime(folder / 'annotations.npy', (0, 0))   # as after a copy
  data.load(wanted)
  assert hashed == ['images.npy', 'annotations.npy']
  data.load(wanted)
  assert len(hashed) == 2
  (folder / 'verified.json').write_text('{')
  data.load(wanted)
  assert len(hashed) == 4
  before = (folder / 'images.npy').stat()
  flip(folder / 'images.npy', 500)        # by a disk, which leaves the time as it was
  os.utime(folder / 'images.npy', ns=(before.st_atime_ns, before.st_mtime_ns))
  assert len(data.load(wanted).images) == 12
  assert refusal(cache.verify, folder).startswith(
      f'the prepared images in {folder} are damaged (images.npy has changed: its sha256')


def test_a_cache_that_cannot_be_written_is_verified_each_time(tmp_path, monkeypatch):
  write_mat(tmp_path / 'train_32x32.mat')
  wanted = section(folder=tmp_path, cache_dir=tmp_path / 'cache')
  data.load(wanted)
  folder, = tmp_path.glob('cache/*')
  (folder / 'verified.json').unlink()
  monkeypatch.setattr(verification, 'write_text', lambda *arguments: os.open('/proc/none/x', os.O_WRONLY | os.O_CREAT))
  assert len(data.load(wanted).images) == 12 and not (folder / 'verified.json').exists()


def test_a_source_that_changes_while_it_is_read(tmp_path):
  def parts():
    yield np.zeros((3, 2, 2, 1), np.uint8), np.zeros((3, 0))
  (tmp_path / 'source').touch()
  original = cache.Original((tmp_path / 'source',), 4, 1, parts)
  kept = section(cache_dir=tmp_path / 'cache')
  line = refusal(cache.prepared, kept, Spec('set', (2, 2, 1)), original)
  assert line.startswith('read 3 images, expected 4')
  assert not list(tmp_path.glob('cache/*'))
  (tmp_path / 'source').unlink()
  line = refusal(cache.prepared, kept, Spec('set', (2, 2, 1)), original)
  assert line.startswith(f"{tmp_path / 'source'}: cannot be read (No such file or directory)")


def test_long_preparations_show_how_far_they_are(tmp_path, monkeypatch, capsys):
  clock = iter(range(0, 1000, 3))   # every look at it is 3 seconds later
  monkeypatch.setattr(cache.time, 'monotonic', lambda: next(clock))
  write_mat(tmp_path / 'train_32x32.mat')
  data.load(section(folder=tmp_path, cache_dir=tmp_path / 'cache'))
  folder, = tmp_path.glob('cache/*')
  assert capsys.readouterr() == ('', f'preparing svhn, once, in {folder}: 12 of 12 images\n')
