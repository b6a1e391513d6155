"""Small files in published layouts, ways to damage them, and the expected errors."""

import gzip
import struct
from types import SimpleNamespace

from helpers.pictures import encoded, put, smooth
import numpy as np
import pytest
from scipy.io import savemat

from jgen.data.readers import celeba, dsprites, sprites
from jgen.errors import UserError


def section(name='svhn', folder='', splits=('train',), image_size=32, cache_dir='', **others):
  """A config.data."""
  usual = dict(label='', crop=0., label_file='', partition_file='', max_bad_share=0.01, image_width=0, channels=0)
  return SimpleNamespace(
      name=name, dir=str(folder), splits=splits, image_size=image_size, cache_dir=str(cache_dir), **usual | others)


def refusal(call, *arguments, **keywords):
  """The one line that a UserError says."""
  with pytest.raises(UserError) as caught:
    call(*arguments, **keywords)
  line = str(caught.value)
  assert '\n' not in line
  return line


def write_mat(path, count=12, **other):
  """A file in the published layout, of random images; returns them as [N, 32, 32, 3] and the digits."""
  rng = np.random.default_rng(count)
  images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
  y = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]
  variables = {'X': images.transpose(1, 2, 3, 0), 'y': y} | other
  savemat(path, {name: value for name, value in variables.items() if value is not None}, do_compression=True)
  return images, y[:, 0] % 10


def cut(path, share):
  """Leaves the first part of a file, as a broken download does."""
  whole = path.read_bytes()
  path.write_bytes(whole[:int(len(whole) * share)])


def write_svhn(folder):
  folder.mkdir()
  for split, count in (('train', 60), ('test', 20), ('extra', 20)):
    write_mat(folder / f'{split}_32x32.mat', count)
  return folder


def write_celeba(folder):
  """60 faces' worth of pictures, 40 to train on and 20 to test with."""
  names = [f'{n + 1:06d}.jpg' for n in range(60)]
  yes = np.random.default_rng(0).integers(0, 2, (60, 40)) * 2 - 1
  rows = [f"{name} {' '.join(map(str, row))}" for name, row in zip(names, yes, strict=True)]
  put(folder, {f'img_align_celeba/{name}': encoded(smooth(n, 109, 89)) for n, name in enumerate(names)} | {
      'list_attr_celeba.txt': '\n'.join(['60', ' '.join(celeba.ATTRIBUTES), *rows]) + '\n',
      'list_eval_partition.txt': ''.join(f'{name} {2 * (n >= 40)}\n' for n, name in enumerate(names))})
  return folder


def write_dsprites(folder, count=400):
  folder.mkdir()
  numbers = np.arange(count) * (sprites.NUM_IMAGES // count)
  classes = sprites.classes(numbers)
  _, shape, scale, orientation, x, y = classes.T
  images = sprites.render(shape, sprites.SCALES[scale], sprites.ORIENTATIONS[orientation], sprites.POSITIONS[x],
                          sprites.POSITIONS[y], 64)
  np.savez_compressed(folder / dsprites.FILE, imgs=images[..., 0] // 255, latents_classes=classes,
                      latents_values=classes / 7.)
  return folder


def write_pictures(folder):
  put(folder, {f'{n}.jpg': encoded(smooth(n, 96, 96)) for n in range(80)})
  return folder


def write_tiny_imagenet(folder):
  """Two classes, 8 training and 2 validation images each."""
  wnids = ('n01', 'n02')
  train = [f'train/{wnid}/images/{wnid}_{n}.JPEG' for wnid in wnids for n in range(8)]
  val = [(f'val_{n}.JPEG', wnids[n % 2]) for n in range(4)]
  put(folder, {name: encoded(smooth(n, 64, 64)) for n, name in enumerate(
      [*train, *(f'val/images/{name}' for name, _ in val)])} | {
          'wnids.txt': '\n'.join(wnids) + '\n',
          'val/val_annotations.txt': ''.join(f'{name}\t{wnid}\t0\t0\t9\t9\n' for name, wnid in val)})
  return folder


def idx(array):
  """An idx file of unsigned bytes, as MNIST is published in."""
  return (0x800 + array.ndim).to_bytes(4) + b''.join(side.to_bytes(4) for side in array.shape) + array.tobytes()


def write_mnist(folder, counts=(60, 20)):
  """Random images in the published format; returns the folder."""
  folder.mkdir()
  for stem, count in zip(('train', 't10k'), counts, strict=True):
    images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
    (folder / f'{stem}-images-idx3-ubyte.gz').write_bytes(gzip.compress(idx(images)))
    (folder / f'{stem}-labels-idx1-ubyte.gz').write_bytes(gzip.compress(idx((np.arange(count) % 10).astype(np.uint8))))
  return folder


def pickled_batch(pixels, labels):
  """A pickle of {b'batch_label', b'labels', b'data', b'filenames'} as Python 2 wrote it: protocol 2, texts of bytes."""
  def text(value):
    return b'U' + bytes([len(value)]) + value if len(value) < 256 else b'T' + struct.pack('<i', len(value)) + value
  def number(value):
    return b'K' + bytes([value]) if value < 256 else b'M' + struct.pack('<H', value)
  array = (b'cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85' + text(b'b') +
           b'\x87Rq\x03(K\x01' + number(len(pixels)) + number(pixels.shape[1]) + b'\x86' +
           b'cnumpy\ndtype\nq\x04' + text(b'u1') + b'K\x00K\x01\x87Rq\x05(K\x03' + text(b'|') +
           b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89' +
           text(pixels.tobytes()) + b'tb')
  return (b'\x80\x02}q\x00(' + text(b'batch_label') + text(b'testing batch 1 of 1') + text(b'labels') + b']q\x06(' +
          b''.join(map(number, labels)) + b'e' + text(b'data') + array + text(b'filenames') + b']q\x07(' +
          b''.join(text(b'x_%d.png' % n) for n in range(len(labels))) + b'eu.')


def cifar10_batches(count=12):
  """{published name: (images uint8 [count, 32, 32, 3], labels)} of random images."""
  rng = np.random.default_rng(0)
  return {name: (rng.integers(0, 256, (count, 32, 32, 3), np.uint8), rng.integers(0, 10, count))
          for name in ('data_batch_1', 'data_batch_2', 'data_batch_3', 'data_batch_4', 'data_batch_5', 'test_batch')}


def planes(images):
  """Rows of 3,072 bytes, red, then green, then blue."""
  return np.moveaxis(images, 3, 1).reshape(len(images), -1)


def write_cifar10(folder):
  put(folder / 'cifar-10-batches-py', {
      name: pickled_batch(planes(images), labels) for name, (images, labels) in cifar10_batches().items()})
  return folder


# {data set: what writes small files in its published format into a folder, and returns it}
WRITERS = {'celeba': write_celeba, 'cifar10': write_cifar10, 'dsprites': write_dsprites,
           'fashion_mnist': write_mnist, 'folder': write_pictures,
           'mnist': write_mnist, 'svhn': write_svhn,
           'tiny_imagenet': write_tiny_imagenet}
