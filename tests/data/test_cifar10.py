"""CIFAR-10 from both published versions, unpacked and packed; nothing in a pickle is executed."""

import io
import os
import pickle
import pickletools
import tarfile

from helpers.pictures import put
from helpers.published import cifar10_batches, pickled_batch, planes, refusal, section, write_cifar10
import numpy as np
import pytest

from jgen import data
from jgen.data.files import pickles

TRAIN = [f'data_batch_{n}' for n in range(1, 6)]


def wanted(path, tmp_path, **others):
  return section('cifar10', path, cache_dir=tmp_path / 'cache', **others)


def of(names):
  batches = cifar10_batches()
  return tuple(np.concatenate([batches[name][part] for name in names]) for part in (0, 1))


def binary(images, labels):
  return np.concatenate([labels[:, None].astype(np.uint8), planes(images)], axis=1).tobytes()


def packed(path, contents, prefix):
  """The batches in another order than theirs, as in the published archive."""
  with tarfile.open(path, 'w:gz') as archive:
    for name in reversed(contents):
      member = tarfile.TarInfo(f'{prefix}/{name}')
      member.size = len(contents[name])
      archive.addfile(member, io.BytesIO(contents[name]))


def layout(kind, root):
  """Writes the batches in one of the published layouts; returns what config.data.dir names."""
  batches = cifar10_batches()
  if 'binary' in kind:
    contents = {f'{name}.bin': binary(*batch) for name, batch in batches.items()}
    folder, archive = 'cifar-10-batches-bin', 'cifar-10-binary.tar.gz'
  else:
    contents = {name: pickled_batch(planes(images), labels) for name, (images, labels) in batches.items()}
    folder, archive = 'cifar-10-batches-py', 'cifar-10-python.tar.gz'
  root.mkdir()
  if 'packed' in kind:
    packed(root / archive, contents, folder)
    return root / archive if 'itself' in kind else root
  put(root / folder, contents)
  return root / folder if 'itself' in kind else root


@pytest.mark.parametrize('kind', ['python', 'python itself', 'python packed', 'python packed itself', 'binary',
                                  'binary itself', 'binary packed', 'binary packed itself'])
def test_every_layout(kind, tmp_path):
  path = layout(kind, tmp_path / 'data')
  for splits, names in ((('train',), TRAIN), (('test', 'train'), ['test_batch', *TRAIN])):
    images, labels = of(names)
    dataset = data.load(wanted(path, tmp_path, splits=splits))
    np.testing.assert_array_equal(dataset.images, images)
    np.testing.assert_array_equal(dataset.labels, labels)
  assert dataset.spec == data.describe(wanted('/nowhere', tmp_path)) and dataset.spec.label_names[9] == 'truck'


def test_the_batches_of_these_tests_are_as_pickle_reads_the_published_ones():
  images, labels = cifar10_batches()['test_batch']
  content = pickled_batch(planes(images), labels)
  batch = pickle.loads(content, encoding='bytes')   # of our own making
  np.testing.assert_array_equal(batch[b'data'], planes(images))
  assert batch[b'labels'] == labels.tolist() and b'batch_label' in batch
  read = pickles.entries(content)
  np.testing.assert_array_equal(read['data'], batch[b'data'])
  assert read['labels'] == batch[b'labels'] and read['filenames'] == batch[b'filenames']


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_batches_that_were_saved_again_by_python_3(protocol):
  images, labels = cifar10_batches()['test_batch']
  content = pickle.dumps({'data': planes(images), 'labels': labels.tolist()}, protocol)
  if protocol < 5:
    np.testing.assert_array_equal(pickles.entries(content)['data'], planes(images))
  else:                                 # through numpy's _frombuffer
    with pytest.raises(pickles.PickleError, match='which would run when it is unpickled; it was not'):
      pickles.entries(content)


def test_only_the_text_of_bytes_is_encoded():
  images, labels = cifar10_batches()['test_batch']
  content = pickle.dumps({'data': planes(images), 'labels': labels.tolist()}, 2)
  assert content.count(b'latin1') == 1
  with pytest.raises(pickles.PickleError, match='it encodes something other than the text of bytes'):
    pickles.entries(content.replace(b'latin1', b'utf_16'))


class Evil:
  def __reduce__(self):
    return os.system, ('touch executed',)


class Deeper(dict):
  def __reduce__(self):
    return eval, ("__import__('os').system('touch executed')",)


MALICIOUS = [
    pickle.dumps(Evil()), pickle.dumps({'data': Evil(), 'labels': []}), pickle.dumps(Deeper(), 2),
    pickle.dumps({'labels': [Evil()]}, 0), b'cos\nsystem\n(S"touch executed"\ntR.',
    b"(S'touch executed'\nios\nsystem\n.",
    b"\x80\x02cbuiltins\neval\nX\x05\x00\x00\x001 + 1\x85R.", b'\x80\x02cnumpy\nload\nU\x01x\x85R.',
    b'\x80\x02cnumpy\nndarray\ncnumpy\nndarray\nK\x00\x85RK\x01\x85R.',
    b'\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.',
    b'\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x05\x00\x00\x00rot13\x86R.',
    b'\x80\x02}X\x04\x00\x00\x00datac_codecs\nencode\ns.',
    b'\x80\x02P0\n.', b'\x80\x02U\x01xQ.', b'\x80\x02\x82\x01.', b'\x80\x02)cos\nsystem\n\x81.']


@pytest.mark.parametrize('content', MALICIOUS)
def test_a_pickle_with_code_is_refused_and_not_executed(content, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  put(tmp_path / 'data', {'data_batch_1': content} | dict.fromkeys(TRAIN[1:], b''))
  line = refusal(data.load, wanted(tmp_path / 'data', tmp_path))
  assert line.startswith(f'{tmp_path}/data/data_batch_1: not read as a batch of CIFAR-10: ')
  assert 'nothing of it was executed; download https' in line
  assert not (tmp_path / 'executed').exists()


def test_damaged_batches_end_in_one_line():
  images, labels = cifar10_batches(2)['test_batch']
  whole = pickled_batch(planes(images), labels)
  rng = np.random.default_rng(0)
  for n in range(300):
    content = bytearray(whole[:rng.integers(1, len(whole))] if n % 2 else whole)
    for at in rng.integers(0, min(len(content), 400), rng.integers(1, 5)):
      content[at] = rng.integers(256)
    try:
      pickles.entries(bytes(content))
    except pickles.PickleError as error:
      assert '\n' not in str(error)


@pytest.mark.parametrize(('kind', 'spoil', 'line'), [
    ('python', lambda batch: batch | {'labels': [10] * 12}, 'holds the label 10; expected 0 to 9'),
    ('python', lambda batch: batch | {'labels': [1]}, '12 images and 1 labels; expected one label per image'),
    ('python', lambda batch: {'fine_labels': []}, "holds fine_labels; expected 'data', bytes [N, 3072], and 'labels'"),
    ('python', lambda batch: batch | {'labels': ['cat'] * 12}, "expected 'data', bytes [N, 3072], and 'labels'"),
    ('python', lambda batch: batch | {'data': batch['data'].astype(np.int64)}, 'an array whose type is not uint8'),
    ('python', lambda batch: batch | {'data': batch['data'][:, :10].copy()}, "expected 'data', bytes [N, 3072]"),
])
def test_other_contents(kind, spoil, line, tmp_path):
  write_cifar10(tmp_path / 'data')
  images, labels = cifar10_batches()['data_batch_3']
  batch = spoil({'data': planes(images), 'labels': labels.tolist()})
  (tmp_path / 'data/cifar-10-batches-py/data_batch_3').write_bytes(pickletools.optimize(pickle.dumps(batch, 4)))
  said = refusal(data.load, wanted(tmp_path / 'data', tmp_path))
  assert line in said and 'data_batch_3: ' in said and said.endswith(' again')


def test_missing_and_cut(tmp_path):
  path = layout('binary', tmp_path / 'data') / 'cifar-10-batches-bin'
  (path / 'data_batch_2.bin').write_bytes(b'x' * 100)
  assert '100 bytes, not a multiple of 3,073; it may be truncated' in refusal(data.load, wanted(path, tmp_path))
  (path / 'data_batch_2.bin').unlink()
  assert refusal(data.load, wanted(path, tmp_path)).startswith(f'{path}: holds no data_batch_2.bin; download https')
  archive = layout('python packed itself', tmp_path / 'packed')
  archive.write_bytes(archive.read_bytes()[:3000])
  assert 'cannot be read as cifar-10-python.tar.gz (EOFError' in refusal(data.load, wanted(archive, tmp_path))
  archive.write_bytes(b'<html>')
  assert 'or a web page; download https' in refusal(data.load, wanted(archive, tmp_path))
