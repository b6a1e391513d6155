"""Damages prepared images, lists, archives and published files at random; finds tracebacks and silent errors.

  python -m benchmarks.fuzz_data --seed=0 --minutes=3

Each case starts from sound files, changes some bytes of one (flips, cuts, insertions, repetitions) or replaces a value
of a JSON file, and loads the data set. A case is right if it ends in one line (UserError), or in the data set that was
there before. It is wrong if it raises anything else, says more than one line, or serves other images or labels than
before without a word. What a list says may become another sound list, and an image another image: there only the first
two count. Prints the number of cases by kind and outcome, and each wrong one; the exit status is 1 if there is one.
"""

import argparse
import collections
import contextlib
import io
import json
from pathlib import Path
import pickle
import shutil
import sys
import tempfile
import time
import traceback
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / 'tests'))   # the small published files of the tests

from helpers import published  # found there
from helpers.pictures import encoded, put, put_zip, smooth

from jgen import data
from jgen.data import cache
from jgen.errors import UserError

VALUES = (None, True, -1, 0, 3, 10**30, 1.5, float('nan'), '', 'x', 'é\x1b', [], [1], {}, {'a': 1}, [[['deep']]])


def mutated(content, rng):
  """The bytes with one to four places changed."""
  content = bytearray(content)
  for _ in range(rng.integers(1, 5)):
    at, length = rng.integers(0, len(content) + 1), int(rng.integers(1, 40))
    kind = rng.integers(6)
    if kind == 0:
      del content[at:]
    elif kind == 1:
      del content[at:at + length]
    elif kind == 2:
      content[at:at] = rng.bytes(length)
    elif kind == 3:
      content[at:at] = content[at:at + length]
    elif kind == 4 and at < len(content):
      content[at] ^= 1 << rng.integers(8)
    else:
      content[at:at + length] = rng.bytes(length)
  return bytes(content)


def mutated_json(content, rng):
  """The JSON with one entry, at any depth, changed to a value of another kind, or gone."""
  value = json.loads(content)
  place = value
  while True:
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    if not keys:
      break
    key = keys[rng.integers(len(keys))]
    if isinstance(place[key], dict | list) and rng.integers(2):
      place = place[key]
      continue
    if rng.integers(4):
      place[key] = VALUES[rng.integers(len(VALUES))]
    else:
      del place[key]
    break
  return json.dumps(value).encode()


def section(name, folder, root, **others):
  return published.section(name, folder, cache_dir=root / 'cache', **{'image_size': 8, **others})


def pictures(count):
  return {f'{"cat" if n % 2 else "dog"}/{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(count)}


# ------------------------------------------------------------------------------------- what is damaged
# Each makes sound files below a root and returns (config.data, files that may be damaged, whether content is checked).


def prepared(root, rng):
  put(root / 'data', pictures(12))
  wanted = section('folder', root / 'data', root, splits=('all',))
  data.load(wanted)
  made, = (root / 'cache').iterdir()
  return wanted, sorted(made.iterdir()), True


def half_prepared(root, rng):
  """A preparation that was killed: pieces and a journal."""
  put(root / 'data', pictures(300))
  wanted = section('folder', root / 'data', root, splits=('all',))
  failing = cache.Unfinished.finish
  cache.Unfinished.finish = _killed
  with contextlib.suppress(KeyboardInterrupt):
    data.load(wanted)
  cache.Unfinished.finish = failing
  left, = (root / 'cache').glob('*.unfinished')
  return wanted, sorted(left.iterdir()), True


def _killed(self, contents):
  raise KeyboardInterrupt


def lists(root, rng):
  put(root / 'data', {f'{n}.png': encoded(smooth(n, 9, 9), 'PNG') for n in range(6)})
  texts = {
      'l.csv': 'file,hair,split\n' + ''.join(f'{n}.png,{"ab"[n % 2]},train\n' for n in range(6)),
      'l2.csv': ';file;hair;split\n' + ''.join(f'{n};{n}.png;"{"ab"[n % 2]}";train\n' for n in range(6)),
      'l.txt': '6\nhair split\n' + ''.join(f'{n}.png {n % 2} 0\n' for n in range(6)),
      'l.tsv': 'file\thair\tsplit\n' + ''.join(f'{n}.png\t{n % 2}\t0\n' for n in range(6)),
      'l.json': json.dumps({'labels': [[f'0/{n}.png', n % 2] for n in range(6)]}),
      'l2.json': json.dumps([{'file': f'{n}.png', 'hair': n % 2, 'split': 'train'} for n in range(6)])}
  name = list(texts)[rng.integers(len(texts))]
  put(root, {name: texts[name]})
  others = ({}, {'label': 'label' if name == 'l.json' else 'hair'}, {'partition_file': str(root / name)})
  others = others[rng.integers(3)] | {'label_file': str(root / name)}
  splits = ('train',) if 'partition_file' in others else ('all',)
  return section('folder', root / 'data', root, splits=splits, **others), [root / name], False


def images(root, rng):
  image = smooth(0, 20, 20)
  kinds = {'a.jpg': 'JPEG', 'b.png': 'PNG', 'c.webp': 'WEBP', 'd.bmp': 'BMP', 'e.gif': 'GIF', 'f.tif': 'TIFF'}
  put(root / 'data', {name: encoded(image, kind) for name, kind in kinds.items()})
  wanted = section('folder', root / 'data', root, splits=('all',), max_bad_share=.5)
  return wanted, sorted((root / 'data').iterdir()), False


def zips(root, rng):
  put_zip(root / 'data.zip', pictures(6))
  return section('folder', root / 'data.zip', root, splits=('all',), max_bad_share=.5), [root / 'data.zip'], False


def tars(root, rng):
  import tarfile
  put(root / 'data', pictures(6))
  with tarfile.open(root / 'data.tar', 'w') as archive:
    archive.add(root / 'data', '.')
  return section('folder', root / 'data.tar', root, splits=('all',), max_bad_share=.5), [root / 'data.tar'], False


def mnist(root, rng):
  folder = published.write_mnist(root / 'data', (6, 4))
  return section('mnist', folder, root), sorted(folder.iterdir()), False


def cifar10(root, rng):
  batches = published.cifar10_batches(3)
  put(root / 'data', {name: published.pickled_batch(published.planes(pixels), labels)
                      for name, (pixels, labels) in batches.items()})
  return section('cifar10', root / 'data', root), sorted((root / 'data').iterdir()), False


def pickles_with_code(root, rng):
  """Random operations of pickles, among them those that would import and call."""
  wanted, files, _ = cifar10(root, rng)
  parts = [
      b'cos\nsystem\n', b'cbuiltins\neval\n', b'ios\nsystem\n', b'cnumpy\nndarray\n', b'cnumpy\ndtype\n',
      b'cnumpy.core.multiarray\n_reconstruct\n', b'U\x01x', b'K\x01', b'q\x01', b'h\x01', b'P1\n', pickle.dumps(1)[:-1],
      *(bytes((operation,)) for operation in b'(Robt}]u\x93\x8102Qeas\x85\x94')]
  content = b'\x80\x02' + b''.join(parts[n] for n in rng.integers(0, len(parts), rng.integers(1, 20))) + b'.'
  files[0].write_bytes(content)
  return wanted, [], False


def celeba(root, rng):
  folder = published.write_celeba(root / 'data')
  return section('celeba', folder, root), [folder / 'list_attr_celeba.txt', folder / 'list_eval_partition.txt'], False


def tiny_imagenet(root, rng):
  folder = published.write_tiny_imagenet(root / 'data')
  return section('tiny_imagenet', folder, root, splits=('val',)), [
      folder / 'wnids.txt', folder / 'val/val_annotations.txt'], False


def svhn(root, rng):
  folder = root / 'data'
  folder.mkdir()
  published.write_mat(folder / 'train_32x32.mat', 4)
  return section('svhn', folder, root), [folder / 'train_32x32.mat'], False


KINDS = (prepared, prepared, prepared, half_prepared, lists, lists, lists, images, zips, tars, mnist, cifar10,
         pickles_with_code, celeba, tiny_imagenet, svhn)


# ------------------------------------------------------------------------------------------------ cases


def served(wanted):
  """What a config.data serves, as bytes that can be compared."""
  dataset = data.load(wanted)
  return dataset.images.tobytes(), dataset.labels.tobytes(), None if dataset.annotations is None else (
      dataset.annotations.tobytes())


def case(make, root, rng):
  """The outcome of one case: 'refused', 'unchanged', 'changed', or what is wrong with it."""
  wanted, files, checked = make(root, rng)
  before = None
  if checked:
    before = served(SimpleNamespace(**vars(wanted) | {'cache_dir': root / 'another cache'}))
  if files:
    path = files[rng.integers(len(files))]
    content = path.read_bytes()
    as_json = path.suffix == '.json' and rng.integers(2)
    path.write_bytes((mutated_json if as_json else mutated)(content, rng))
  said = io.StringIO()
  try:
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
      after = served(wanted)
  except UserError as error:
    return 'refused' if '\n' not in str(error) else f'several lines: {error}'
  except Exception:
    return 'traceback: ' + traceback.format_exc()
  if before is None:
    return 'read'
  return 'unchanged' if after == before else f'changed without a word: {path.name}'


def main(arguments=None):
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--minutes', type=float, default=3.)
  parser.add_argument('--cases', type=int, default=1_500, help='at most')
  options = parser.parse_args(arguments)
  data.load(published.section('digits', image_size=16))   # TensorFlow is imported, which is told once
  end, counts, wrong = time.monotonic() + 60 * options.minutes, collections.Counter(), 0
  for number in range(options.cases):
    if time.monotonic() > end:
      break
    make, root = KINDS[number % len(KINDS)], Path(tempfile.mkdtemp(prefix='fuzz-'))
    outcome = case(make, root, np.random.default_rng((options.seed, number)))
    shutil.rmtree(root)
    kind = outcome.partition(':')[0]
    counts[make.__name__, kind] += 1
    if kind not in ('refused', 'unchanged', 'read'):
      wrong += 1
      print(f'case {number}, {make.__name__}: {outcome}', flush=True)
  for (name, kind), count in sorted(counts.items()):
    print(f'{name:<20} {kind:<12} {count:>6,}')
  print(f'{sum(counts.values()):,} cases, {wrong:,} wrong')
  return 1 if wrong else 0


if __name__ == '__main__':
  sys.exit(main())
