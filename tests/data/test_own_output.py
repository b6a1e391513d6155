"""What this package writes among a user's pictures never becomes data."""

import json
from pathlib import Path
from types import SimpleNamespace

from helpers.pictures import encoded, put, put_zip, smooth
from helpers.published import refusal, section
from ml_collections import ConfigDict
import pytest

from jgen import data
from jgen.commands import data as data_sheet
from jgen.data.files import archive
from jgen.host import files
from jgen.run import folder as run_folder
from jgen.run.images import check_images, store_images

RUN = {'config.json': json.dumps({'family': 'gan', 'data': {}, 'model': {}, 'seed': 0}), 'samples/step_1.png': b'x'}
STUDY = {'study.json': json.dumps({'command': 'x', 'variations': []}), 'figures/loss.png': b'x'}


def pictures(count, prefix=''):
  return {f'{prefix}{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(count)}


def below(prefix, contents):
  return {prefix + name: content for name, content in contents.items()}


def wanted(path, tmp_path, **others):
  return section('folder', path, image_size=8, cache_dir=tmp_path / 'cache', **{'splits': ('all',), **others})


@pytest.mark.parametrize('output', [
    below('runs/gan/', RUN), below('deep/er/run/', RUN), below('runs/my_study/', STUDY | below('a/', RUN)),
    {'sheets/.jgen': '', 'sheets/data.png': b'x'}])
@pytest.mark.parametrize('zipped', [False, True])
def test_runs_studies_and_sheets_are_no_data(output, zipped, tmp_path):
  path = tmp_path / ('pics.zip' if zipped else 'pics')
  (put_zip if zipped else put)(path, pictures(3, 'cat/') | pictures(3, 'dog/') | output)
  dataset = data.load(wanted(path, tmp_path))
  assert len(dataset.images) == 6 and dataset.spec.label_names == ('cat', 'dog')
  assert [why for _, why in archive.opened(path).left_out if why == 'written by jgen']


@pytest.mark.parametrize('others', [
    {'config.json': '{"model_type": "clip"}'}, {'config.json': '[1]'}, {'config.json': '{'}, {'config.json': b'\xff'},
    {'config.json': '[' * 100_000}, {'study.json': '{}'}])
def test_another_programs_files_of_these_names_change_nothing(others, tmp_path):
  put(tmp_path / 'pics', pictures(2, 'cat/') | pictures(2, 'dog/') | below('dog/', others))
  assert len(data.load(wanted(tmp_path / 'pics', tmp_path)).images) == 4


def test_the_folder_that_is_asked_for_is_read_whatever_it_is(tmp_path):
  put(tmp_path / 'run', {'config.json': RUN['config.json']} | pictures(3, 'samples/'))
  assert len(data.load(wanted(tmp_path / 'run', tmp_path)).images) == 3
  assert len(data.load(wanted(tmp_path / 'run/samples', tmp_path)).images) == 3


def test_a_folder_is_marked_before_anything_else_is_in_it(tmp_path):
  with run_folder.locked(tmp_path / 'run'):
    assert (tmp_path / 'run' / files.OUTPUT_MARK).exists()
  put(tmp_path / 'mine', {'a.png': b''})
  files.mark_output(tmp_path / 'mine')
  assert not (tmp_path / 'mine' / files.OUTPUT_MARK).exists()


def test_a_sheet_is_not_drawn_among_the_pictures(tmp_path):
  put(tmp_path / 'pics', pictures(3))
  config = SimpleNamespace(data=wanted(tmp_path / 'pics', tmp_path), augmentation=ConfigDict(dict(
      horizontal_flip=0., smallest_crop=1., largest_rotation=0.)), seed=0)
  assert refusal(data_sheet.run, config, tmp_path / 'pics', '').startswith(
      f'{tmp_path}/pics is inside the folder config.data.dir and holds files; data.png would become an image')
  for workdir in (tmp_path / 'pics/runs/x', tmp_path / 'pics/sheet'):
    for _ in range(2):
      data_sheet.run(config, workdir, '')
  assert (tmp_path / 'pics/sheet/data.png').exists() and len(data.load(config.data).images) == 3


def test_the_images_of_a_run_are_compared_wherever_they_lie(tmp_path):
  one = {'train': {'count': 70, 'sha256': 'a', 'source': '/scratch/1'},
         'test': {'count': 7, 'sha256': 'b', 'source': 's'}}
  check_images(tmp_path, one)
  assert not list(tmp_path.iterdir())
  store_images(tmp_path, one)
  moved = {part: entry | {'source': '/scratch/2'} for part, entry in one.items()}
  check_images(tmp_path, moved)
  store_images(tmp_path, moved)
  assert json.loads((tmp_path / 'images.json').read_text()) == one
  grown = moved | {'train': moved['train'] | {'count': 88, 'sha256': 'c'}}
  assert refusal(check_images, tmp_path, grown) == (
      f'the training images have changed since the run in {tmp_path} began: 70 from /scratch/1 then, 88 from '
      '/scratch/2 now; restore them, or name another --workdir to start a new run with these')
  changed = moved | {'test': moved['test'] | {'sha256': 'c'}}
  assert refusal(check_images, tmp_path, changed).startswith('the test images have changed')
  for damage in ('{', '[]', '{"train": 3}', '{"train": {"count": "x", "sha256": 1, "source": 1}}'):
    (tmp_path / 'images.json').write_text(damage)
    assert refusal(check_images, tmp_path, one).startswith(f'{tmp_path}/images.json is damaged')


def test_digests_are_of_images_and_labels_and_not_of_places(tmp_path):
  from jgen.data import cache
  digests = {}
  for name, contents in (('one', pictures(4, 'a/') | pictures(4, 'b/')), ('two', pictures(4, 'a/') | pictures(4, 'b/')),
                         ('moved', pictures(5, 'a/') | pictures(3, 'b/'))):
    put(tmp_path / name, contents)
    digests[name] = cache.digest(data.load(wanted(tmp_path / name, tmp_path)))
  assert digests['one'] == digests['two'] != digests['moved'] and Path(tmp_path, 'cache').exists()
  in_memory = [cache.digest(data.load(section('digits', image_size=8, splits=(split,)))) for split in ('test', 'valid')]
  assert in_memory[0] != in_memory[1] == cache.digest(data.load(section('digits', image_size=8, splits=('valid',))))
