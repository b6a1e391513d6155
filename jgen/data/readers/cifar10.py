"""CIFAR-10: 32x32 RGB, 10 classes, 50,000 training and 10,000 test images (Krizhevsky 2009).

https://www.cs.toronto.edu/~kriz/cifar.html. Read from the published "python" or "binary" version, as .tar.gz or
unpacked, if `config.data.dir` holds it, else through tensorflow_datasets. The python version is pickled, and unpickling
can run any code: the batches are read by jgen/data/files/pickles.py, which executes nothing.
"""

from pathlib import Path
import tarfile
import zlib

from ml_collections import ConfigDict
import numpy as np

from jgen.data import cache
from jgen.data.files import fetched, pickles
from jgen.data.spec import Annotation, Dataset, Spec, served_shape
from jgen.errors import UserError
from jgen.host.files import expanded

SPLITS = ('train', 'test')
NEEDS = '--config.data.dir=FOLDER with the published batches, or a download by TensorFlow Datasets'
CLASSES = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck')
_BATCHES = {'train': tuple(f'data_batch_{n}' for n in range(1, 6)), 'test': ('test_batch',)}
_ARCHIVES = {'': 'cifar-10-python.tar.gz', '.bin': 'cifar-10-binary.tar.gz'}   # {ending of the batches: archive}
_FOLDERS = {'': 'cifar-10-batches-py', '.bin': 'cifar-10-batches-bin'}
_URL = 'https://www.cs.toronto.edu/~kriz/'
_PUBLISHED = fetched.Published('CIFAR-10', 'cifar10', 'cifar-10-python.tar.gz', f'{_URL}cifar-10-python.tar.gz',
                               f'{_URL}cifar-10-python.tar.gz')
_PIXELS = 3 * 32 * 32
_MAX_BYTES = 1 << 28                    # per batch; a published one has 31 million
_VERSION = 1


def describe(section: ConfigDict) -> Spec:
  """Three channels, ten classes; the published size is 32."""
  return Spec('cifar10', served_shape(section, 3), len(CLASSES), CLASSES, (Annotation('class', CLASSES),))


def load(section: ConfigDict) -> Dataset:
  """The splits, concatenated in the order listed; prepared once, then memory-mapped."""
  batches = _find_batches(expanded(section.dir)) if section.dir else None
  original, source = _batches(*batches, section.splits) if batches else _prepared_by_tfds(section)
  spec = describe(section)
  images, annotations = cache.prepared(section, spec, original)
  return Dataset(spec, images, annotations[:, 0], source, annotations)


def _prepared_by_tfds(section):
  original, where = fetched.through_tfds(
      _PUBLISHED, section.dir, section.splits, _VERSION, lambda batch: (batch['image'], batch['label'][:, np.newaxis]))
  return original, f"{where}: {', '.join(section.splits)}"


def _find_batches(path) -> tuple[Path, str] | None:
  """(the archive or folder of batches that `path` is or holds, the extension of the batches); None if there is none."""
  for ending, archive in _ARCHIVES.items():
    for place in (path, path / _FOLDERS[ending]):
      if any((place / f'{name}{ending}').is_file() for names in _BATCHES.values() for name in names):
        return place, ending
    if (path / archive).is_file():
      return path / archive, ending
  if path.is_file():
    return path, '.bin' if 'binary' in path.name else ''
  return None


def _batches(path, ending, splits):
  """(Original, source) of the batches in a folder or .tar.gz, all read into memory: 180 MB."""
  wanted = [f'{name}{ending}' for split in splits for name in _BATCHES[split]]
  contents = _contents_of_folder(path, wanted) if path.is_dir() else _contents_of_tar(path, wanted)
  missing = [name for name in wanted if name not in contents]
  if missing:
    raise UserError(f'{path}: holds no {", ".join(missing)}; download {_URL}{_ARCHIVES[ending]} again')
  parse = _of_binary if ending else _of_pickle
  batches = [parse(contents[name], f'{path}/{name}') for name in wanted]
  files = tuple(path / name for name in wanted) if path.is_dir() else (path,)
  original = cache.Original(files, sum(len(images) for images, _ in batches), _VERSION, lambda: batches)
  return original, f"{path}: {', '.join(splits)}"


def _contents_of_folder(folder, names):
  try:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
  except OSError as error:
    raise UserError(f'{error.filename}: cannot be read ({error.strerror})') from error


def _contents_of_tar(path, names):
  """{name: bytes} of the files with these names in any folder of an archive; nothing is written to disk."""
  contents = {}
  try:
    with tarfile.open(path, 'r:*') as archive:
      for member in archive:
        name = member.name.rpartition('/')[2]
        wanted = member.isreg() and name in names and member.size <= _MAX_BYTES
        if wanted and (file := archive.extractfile(member)):
          contents[name] = file.read()
  except (OSError, EOFError, ValueError, zlib.error, tarfile.TarError) as error:
    raise UserError(f'{path}: cannot be read as {_ARCHIVES[""]} ({fetched.in_one_line(error)}); it may be truncated or '
                    f'a web page; download {_URL}{path.name} again') from error
  return contents


def _of_binary(content, where):
  """Parses rows of one label byte and 3,072 pixel bytes."""
  if not content or len(content) % (1 + _PIXELS):
    raise UserError(f'{where}: {len(content):,} bytes, not a multiple of {1 + _PIXELS:,}; it may be truncated, so '
                    f'download {_URL}{_ARCHIVES[".bin"]} again')
  rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
  return _checked(rows[:, 1:], rows[:, 0], where, '.bin')


def _of_pickle(content, where):
  """Parses a pickled dict of `data`, uint8 [N, 3072], and `labels`, a list of N."""
  try:
    batch = pickles.entries(content)
  except pickles.PickleError as error:
    raise UserError(f'{where}: not read as a batch of CIFAR-10: {error}; nothing of it was executed; download '
                    f'{_URL}{_ARCHIVES[""]} again') from error
  data, labels = batch.get('data'), batch.get('labels')
  is_data = isinstance(data, np.ndarray) and data.ndim == 2 and data.shape[1] == _PIXELS
  if not is_data or not isinstance(labels, list) or not all(type(label) is int for label in labels):
    raise UserError(f"{where}: holds {', '.join(batch) or 'nothing'}; expected 'data', bytes [N, 3072], and 'labels', "
                    f'N numbers; download {_URL}{_ARCHIVES[""]} again')
  return _checked(data, np.array(labels, np.int64), where, '')


def _checked(pixels, labels, where, ending):
  """(uint8 [N, 32, 32, 3], int32 [N, 1]) of pixels [N, 3072], plane after plane, and labels [N]."""
  if len(pixels) != len(labels) or not len(pixels):
    raise UserError(f'{where}: {len(pixels)} images and {len(labels)} labels; expected one label per image; download '
                    f'{_URL}{_ARCHIVES[ending]} again')
  outside = labels[(labels < 0) | (labels >= len(CLASSES))]
  if outside.size:
    raise UserError(f'{where}: holds the label {outside[0]}; expected 0 to {len(CLASSES) - 1}; download '
                    f'{_URL}{_ARCHIVES[ending]} again')
  return np.moveaxis(pixels.reshape(-1, 3, 32, 32), 1, 3), labels.astype(np.int32)[:, np.newaxis]
