"""Reading dSprites: small files in the published format, and every way in which one can be wrong."""

import io
import os
from pathlib import Path
import pickle
from types import SimpleNamespace
import urllib.error
import zipfile

from helpers.published import cut, refusal, section
import numpy as np
import pytest

from jgen import data
from jgen.data.readers import dsprites, sprites

URL = 'https://raw.githubusercontent.com/google-deepmind/dsprites-dataset/master/' + dsprites.FILE


class Runs:
  """Unpickling it makes a folder."""

  def __init__(self, folder):
    self.folder = str(folder)

  def __reduce__(self):
    return os.mkdir, (self.folder,)


def content(count=9000):
  """Arrays as published, of more images than are decoded at one time; every image is another one."""
  images = np.zeros((count, 64, 64), np.uint8)
  images[:, 0, :16] = np.arange(count)[:, None] >> np.arange(16) & 1
  images[:, 1:] = np.random.default_rng(0).integers(0, 2, (63, 64))
  classes = np.stack(np.unravel_index(np.arange(count) * 80, sprites.SIZES), axis=1)
  return {'imgs': images, 'latents_classes': classes, 'latents_values': classes / 7.}


def write(folder, trap, **other):
  """The file, whose `metadata`, as that of the published one, is pickled."""
  arrays = content(other.pop('count', 20)) | other
  metadata = io.BytesIO()
  np.save(metadata, np.array(Runs(trap), dtype=object), allow_pickle=True)
  assert b'mkdir' in metadata.getvalue()
  path = folder / dsprites.FILE
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('metadata.npy', metadata.getvalue())
    for name, array in arrays.items():
      if array is not None:
        member = io.BytesIO()
        np.save(member, array)
        archive.writestr(f'{name}.npy', member.getvalue())
  return path


def wanted(tmp_path, image_size=64, splits=('all',)):
  return section('dsprites', tmp_path, splits=splits, image_size=image_size, cache_dir=tmp_path / 'cache')


def test_the_published_format_is_read_and_nothing_unpickled(tmp_path):
  arrays = content()
  write(tmp_path, tmp_path / 'trap', **arrays)
  dataset = data.load(wanted(tmp_path))
  assert dataset.images.shape == (9000, 64, 64, 1) and dataset.source == f'{tmp_path / dsprites.FILE}: all'
  np.testing.assert_array_equal(dataset.images[..., 0], 255 * arrays['imgs'])
  np.testing.assert_array_equal(dataset.annotations, arrays['latents_classes'])
  np.testing.assert_array_equal(dataset.labels, arrays['latents_classes'][:, 1])
  assert not (tmp_path / 'trap').exists()
  with pytest.raises(FileExistsError):    # the trap does spring where one unpickles it
    (tmp_path / 'sprung').mkdir()
    pickle.loads(pickle.dumps(Runs(tmp_path / 'sprung')))
  assert data.load(wanted(tmp_path, 16)).images.shape == (9000, 16, 16, 1)


def test_what_the_factors_are_called():
  spec = data.describe(section('dsprites'))
  assert spec.num_classes == 3 and spec.label_names == ('square', 'ellipse', 'heart')
  names = {factor.name: factor.values for factor in spec.annotations}
  assert list(names) == ['color', 'shape', 'scale', 'orientation', 'posX', 'posY']
  assert names['scale'] == ('0.5', '0.6', '0.7', '0.8', '0.9', '1.0')
  assert names['orientation'][:2] == ('0.0 degrees', '9.2 degrees') and names['orientation'][39] == '360.0 degrees'
  assert len(names['posX']) == len(names['posY']) == 32


def with_member(**arrays):
  return lambda folder: write(folder, folder / 'trap', **arrays)


@pytest.mark.parametrize(('spoil', 'said'), [
    (with_member(imgs=None), "cannot be read as dSprites (KeyError: \"There is no item named 'imgs.npy'"),
    (with_member(latents_classes=None), "no item named 'latents_classes.npy'"),
    (with_member(imgs=np.zeros((20, 64, 32), np.uint8)), 'imgs is uint8 [20, 64, 32]; expected uint8 [N, 64, 64]'),
    (with_member(imgs=np.zeros((), np.uint8)), 'imgs is uint8 []; expected uint8 [N, 64, 64]'),
    (with_member(imgs=np.zeros((20, 64, 64))), 'imgs is float64 [20, 64, 64]; expected uint8'),
    (with_member(imgs=np.asfortranarray(np.zeros((20, 64, 64), np.uint8))), 'imgs is uint8 [20, 64, 64]; expected'),
    (with_member(imgs=np.full((20, 64, 64), 2, np.uint8)), 'imgs holds the value 2; expected 0 and 1'),
    (with_member(imgs=np.full((20, 64, 64), None)), 'imgs is object [20, 64, 64]; expected uint8'),
    (with_member(latents_classes=np.zeros((19, 6), np.int64)), '20 images but 19 rows of latents_classes'),
    (with_member(latents_classes=np.zeros((20, 5), np.int64)), 'latents_classes is int64 [20, 5]; expected int64 ['),
    (with_member(latents_classes=np.full((20, 6), 3)), 'latents_classes holds [3, 3, 3, 3, 3, 3] to [3, 3'),
    (with_member(latents_classes=np.full((20, 6), -1)), 'expected 0 to [0, 2, 5, 39, 31, 31]'),
    (lambda folder: cut(with_member()(folder), 0.7), 'cannot be read as dSprites (BadZipFile'),
    (lambda folder: (folder / dsprites.FILE).write_text('<html>404</html>'), 'cannot be read as dSprites (BadZipFile'),
    (lambda folder: flip(with_member(count=300)(folder), b'imgs.npy', 2000), 'cannot be read as dSprites ('),
])
def test_a_file_that_is_wrong(tmp_path, spoil, said):
  spoil(tmp_path)
  line = refusal(data.load, wanted(tmp_path))
  assert line.startswith(f'{tmp_path / dsprites.FILE}: ') and said in line
  assert line.endswith(f'download it again: curl --fail -o {tmp_path / dsprites.FILE} {URL}')
  assert not list(tmp_path.glob('cache/*')) and not (tmp_path / 'trap').exists()


def flip(path, member, offset):
  """Changes one byte of a member's compressed contents."""
  damaged = bytearray(path.read_bytes())
  damaged[damaged.index(member) + offset] ^= 0xff
  path.write_bytes(damaged)


def test_a_member_that_is_shorter_than_its_header_says(tmp_path):
  path = write(tmp_path, tmp_path / 'trap', imgs=None)
  member = io.BytesIO()
  np.lib.format.write_array_header_1_0(member, {'descr': '|u1', 'fortran_order': False, 'shape': (20, 64, 64)})
  with zipfile.ZipFile(path, 'a') as archive:
    archive.writestr('imgs.npy', member.getvalue() + bytes(5000))
  assert 'cannot be read as dSprites (ValueError' in refusal(data.load, wanted(tmp_path))
  assert not list(tmp_path.glob('cache/*'))


def test_without_data_or_network(tmp_path, monkeypatch):
  def urlopen(request, timeout):
    assert request.full_url == URL and request.get_method() == 'HEAD'
    raise urllib.error.URLError('Name or service\nnot known')
  monkeypatch.setattr('urllib.request.urlopen', urlopen)
  line = refusal(data.load, wanted(tmp_path))
  assert line.startswith(f'dSprites not found in {tmp_path} (neither {dsprites.FILE} nor dsprites of tensorflow_data')
  assert line.endswith(f"download it with: curl --fail --create-dirs --output-dir {tmp_path} -O '{URL}' and name that "
                       f'folder with --config.data.dir={tmp_path}')


def test_through_tfds(tmp_path, monkeypatch):
  """Built by tensorflow_datasets itself from a small file of the kind that it downloads."""
  h5py = pytest.importorskip('h5py')
  import tensorflow_datasets as tfds
  arrays = content(30)
  with h5py.File(tmp_path / 'small.hdf5', 'w') as file:
    file['imgs'] = arrays['imgs']
    file['latents/classes'], file['latents/values'] = arrays['latents_classes'], arrays['latents_values']
  monkeypatch.setattr(tfds.download.DownloadManager, 'download', lambda manager, url: tmp_path / 'small.hdf5')
  monkeypatch.setattr('urllib.request.urlopen', lambda request, timeout: SimpleNamespace(close=lambda: None))
  dataset = data.load(wanted(tmp_path))
  order = {image.tobytes(): n for n, image in enumerate(255 * arrays['imgs'])}   # tfds shuffles
  found = [order[image.tobytes()] for image in dataset.images]
  assert sorted(found) == list(range(30)) and str(tmp_path / 'dsprites') in dataset.source
  np.testing.assert_array_equal(dataset.annotations, arrays['latents_classes'][found])
  np.testing.assert_array_equal(dataset.labels, arrays['latents_classes'][found, 1])


def test_the_whole_file_is_read_in_parts():
  """The published layout at its full size: headers, first part, classes, but no cache of 3 GB."""
  if not os.environ.get('JGEN_TEST_DATA'):
    pytest.skip('JGEN_TEST_DATA names no folder with dsprites/*.npz')
  path = Path(os.environ['JGEN_TEST_DATA']) / 'dsprites' / dsprites.FILE
  original = dsprites._npz(path)
  images, classes = next(original.parts())
  assert original.count == 737_280 and images.shape == (4096, 64, 64, 1)
  np.testing.assert_array_equal(classes, np.stack(np.unravel_index(np.arange(4096), sprites.SIZES), axis=1))
  shape, scale, orientation, x, y = classes.T[1:]
  drawn = sprites.render(shape, sprites.SCALES[scale], dsprites.ORIENTATIONS[orientation], x / 31, y / 31, 64)
  assert (drawn != images).mean() < 1e-3
