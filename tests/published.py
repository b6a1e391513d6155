"""Small files in a published layout, ways to spoil them, and what is said of it."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import savemat

from jgen.errors import UserError


def section(name='svhn', folder='', splits=('train',), image_size=32, cache_dir='', **others):
  """A config.data."""
  usual = dict(label='', crop=0., label_file='', partition_file='', max_bad_share=0.01)
  return SimpleNamespace(
      name=name, dir=str(folder), splits=splits, image_size=image_size, cache_dir=str(cache_dir), **usual | others)


def refusal(call, *arguments):
  """The one line that a UserError says."""
  with pytest.raises(UserError) as caught:
    call(*arguments)
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
