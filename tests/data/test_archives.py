"""Archives: tars and zips are read in place; others are named, with how to unpack them; no path climbs out."""

import io
import tarfile
import zipfile

from helpers.pictures import encoded, put, put_zip, smooth
from helpers.published import refusal, section
import numpy as np
import pytest

from jgen import data

PICTURES = {f'{"cat" if n % 2 else "dog"}/{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(5)}


def wanted(path, tmp_path, **others):
  return section('folder', path, image_size=8, cache_dir=tmp_path / 'cache', **{'splits': ('all',), **others})


def put_tar(path, files, mode='w', **attributes):
  with tarfile.open(path, mode) as archive:
    for name, content in files.items():
      member = tarfile.TarInfo(name)
      member.size = len(content)
      for key, value in attributes.items():
        setattr(member, key, value)
      archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize('format', [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_read_as_its_folder(format, tmp_path):
  put(tmp_path / 'data', PICTURES)
  with tarfile.open(tmp_path / 'data.tar', 'w', format=format) as archive:
    archive.add(tmp_path / 'data', 'x' * 120 if format != tarfile.USTAR_FORMAT else 'x')
  put_tar(tmp_path / 'flat.tar', PICTURES | {'._0.png': b'', 'cat/.DS_Store': b''})
  expected = data.load(wanted(tmp_path / 'data', tmp_path))
  flat = data.load(wanted(tmp_path / 'flat.tar', tmp_path))
  np.testing.assert_array_equal(flat.images, expected.images)
  assert flat.labels.tolist() == expected.labels.tolist() and flat.spec.label_names == ('cat', 'dog')
  np.testing.assert_array_equal(data.load(wanted(tmp_path / 'data.tar', tmp_path)).images, expected.images)


@pytest.mark.parametrize(('mode', 'name', 'kind', 'flag'), [
    ('w:gz', 'x.tar.gz', 'a gzip file', '-xzf'), ('w:gz', 'x.tgz', 'a gzip file', '-xzf'),
    ('w:bz2', 'x.tar.bz2', 'a bzip2 file', '-xjf'), ('w:xz', 'x.tar.xz', 'an xz file', '-xJf')])
def test_packed_tars_are_to_be_unpacked(mode, name, kind, flag, tmp_path):
  put_tar(tmp_path / name, PICTURES, mode)
  assert refusal(data.load, wanted(tmp_path / name, tmp_path)) == (
      f'{tmp_path}/{name} is {kind}, which does not allow reading single files; unpack it: mkdir '
      f'{tmp_path}/x_unpacked; tar {flag} {tmp_path}/{name} -C {tmp_path}/x_unpacked and name that folder with '
      f'--config.data.dir={tmp_path}/x_unpacked')


@pytest.mark.parametrize(('magic', 'line'), [
    (b'7z\xbc\xaf\x27\x1c', 'is a 7z archive, which does not allow reading single files; unpack it: 7z x '),
    (b'Rar!\x1a\x07\x00', 'is a rar archive, which does not allow reading single files; unpack it: mkdir '),
    (b'\x28\xb5\x2f\xfd', 'is a zstd file'),
    (b'plain text', 'cannot be read as a zip (File is not a zip file); it may be'),
    (b'', 'cannot be read as a zip')])
def test_other_archives_are_named(magic, line, tmp_path):
  put(tmp_path, {'x y.7z': magic})
  assert line in refusal(data.load, wanted(tmp_path / 'x y.7z', tmp_path))


def test_zips_as_windows_writes_them(tmp_path):
  put(tmp_path / 'data', PICTURES)
  put_zip(tmp_path / 'windows.zip', {name.replace('/', '\\'): content for name, content in PICTURES.items()})
  dataset = data.load(wanted(tmp_path / 'windows.zip', tmp_path))
  assert dataset.spec.label_names == ('cat', 'dog')
  np.testing.assert_array_equal(dataset.images, data.load(wanted(tmp_path / 'data', tmp_path)).images)
  for name in (r'..\w.png', r'cat\..\..\w.png', r'C:\w.png', r'\\server\w.png'):
    put_zip(tmp_path / 'evil.zip', PICTURES | {name: b'x'})
    assert 'a path that leads out of the archive' in refusal(data.load, wanted(tmp_path / 'evil.zip', tmp_path))


@pytest.mark.parametrize(('method', 'kind'), [
    (9, 'Deflate64, which Windows uses for large files'), (93, 'zstd'), (98, 'PPMd'), (97, 'method 97')])
def test_zips_in_compressions_that_are_not_read(method, kind, tmp_path):
  path = tmp_path / 'x.zip'
  put_zip(path, PICTURES, zipfile.ZIP_STORED)
  content = bytearray(path.read_bytes())
  at = content.index(b'PK\x01\x02')     # the first entry of the directory, whose compression follows after 10 bytes
  content[at + 10:at + 12] = method.to_bytes(2, 'little')
  path.write_bytes(content)
  line = refusal(data.load, wanted(path, tmp_path))
  assert line.startswith(f'{path}: dog/0.png is compressed by {kind}, which is not supported; unpack it: unzip ')


@pytest.mark.parametrize('name', ['../climbs.png', '/etc/absolute.png', 'a/../../b.png', '..\\w.png'])
def test_tars_that_climb_out_are_refused(name, tmp_path):
  put_tar(tmp_path / 'evil.tar', PICTURES | {name: b'x'})
  assert refusal(data.load, wanted(tmp_path / 'evil.tar', tmp_path)).startswith(
      f"{tmp_path}/evil.tar: holds '{name}', a path that leads out of the archive")


def test_links_and_devices_in_a_tar_are_no_images(tmp_path):
  put_tar(tmp_path / 'x.tar', PICTURES)
  for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
    put_tar(tmp_path / 'x.tar', {f'cat/{kind[0]}.png': b''}, 'a', type=kind, linkname='/etc/passwd')
  assert len(data.load(wanted(tmp_path / 'x.tar', tmp_path)).images) == 5


def test_a_list_in_an_archive_that_is_damaged(tmp_path):
  path = tmp_path / 'x.zip'
  put_zip(path, PICTURES | {'l.csv': 'file,a\n' + ''.join(f'{n}.png,{n}\n' for n in range(5))}, zipfile.ZIP_STORED)
  content = path.read_bytes()
  path.write_bytes(content.replace(b'0.png,0', b'0.png,1'))
  line = refusal(data.load, wanted(path, tmp_path, label_file='l.csv'))
  assert line.startswith(f'{path}/l.csv: cannot be read (damaged')


def test_a_tar_that_is_cut_short(tmp_path):
  path = tmp_path / 'x.tar'
  put_tar(path, PICTURES)
  whole = path.read_bytes()
  path.write_bytes(whole[:700])
  assert 'x.tar: ' in refusal(data.load, wanted(path, tmp_path))
  path.write_bytes(whole[:300] + b'\xff' * 200 + whole[500:])
  assert f'{path}: cannot be read as a' in refusal(data.load, wanted(path, tmp_path))
