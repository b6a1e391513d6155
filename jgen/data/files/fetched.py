"""Data sets downloaded by tensorflow_datasets, and error lines that say how to download a data set by hand."""

from collections.abc import Callable, Sequence
import dataclasses
from pathlib import Path
import shlex
from typing import Any
import urllib.request

from jgen.data import cache
from jgen.data.cache import Original
from jgen.data.host import tensorflow
from jgen.errors import UserError
from jgen.host.files import expanded

_PROBE = 'https://storage.googleapis.com/tfds-data/'   # tried first, since tensorflow_datasets retries for minutes
_PART = 4096                            # images decoded at a time


@dataclasses.dataclass(frozen=True)
class Published:
  """Where a data set can be downloaded."""

  title: str                            # for messages
  tfds_name: str
  pattern: str                          # of the published files to look for in config.data.dir
  probe: str                            # a URL, tried first, since tensorflow_datasets retries for minutes
  urls: str                             # of the published files, in curl's URL syntax


def remedy(published: Published, folder: object) -> str:
  """The end of an error line: how to download the published files into `folder` and to name it."""
  folder = shlex.quote(str(folder))
  return (f"download it with: curl --fail --create-dirs --output-dir {folder} -O "
          f"'{published.urls}' and name that folder with --config.data.dir={folder}")


def again(path: object, url: str) -> str:
  """The end of an error line: how to download one damaged file again."""
  return f'download it again: curl --fail -o {shlex.quote(str(path))} {url}'


def through_tfds(published: Published, folder: str, splits: Sequence[str], version: int,
                 read: Callable) -> tuple[Original, str]:
  """Splits of a data set, downloaded by tensorflow_datasets if it has not prepared them yet.

  Args:
    published: a Published
    folder: config.data.dir
    splits: their names in tensorflow_datasets
    version: of the reader
    read: a batch of the data set's features -> (images uint8 [n, h, w, C], annotations [n, M])

  Returns:
    (cache.Original, the folder that it is read from)

  Raises:
    UserError: it is not prepared and cannot be downloaded.
  """
  tensorflow()
  import tensorflow_datasets as tfds
  builder = tfds.builder(published.tfds_name, data_dir=folder or None)
  if not builder.data_path.exists():
    _download(published, builder, folder)

  def batches(split):
    return map(read, tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False, batch_size=_PART)))

  return of_builder(builder, splits, version, batches), builder.data_path


def of_builder(builder: Any, splits: Sequence[str], version: int, batches: Callable) -> Original:
  """The cache.Original of splits that a builder of tensorflow_datasets has prepared.

  Args:
    builder: a tfds.core.DatasetBuilder
    splits: their names
    version: of the reader
    batches: a split's name -> iterable of (images uint8 [n, h, w, C], annotations [n, M])
  """
  tf = tensorflow()
  infos = [builder.info.splits[split] for split in splits]

  def parts():
    try:
      for split in splits:
        yield from batches(split)
    except tf.errors.OpError as error:
      raise UserError(f'{builder.data_path}: cannot be read ({in_one_line(error)}); delete that folder and '
                      'start again to prepare it again') from error

  files = tuple(Path(path) for info in infos for path in info.filepaths)
  return cache.Original(files, sum(info.num_examples for info in infos), version, parts)


def prepare(builder: Any, name: str) -> None:
  """Downloads and prepares the data set of a tensorflow_datasets builder, unless it is prepared already.

  Raises:
    UserError: it cannot be downloaded, or needs a package or files that the user has to provide.
  """
  if builder.data_path.exists():
    return
  try:
    urllib.request.urlopen(urllib.request.Request(_PROBE, method='HEAD'), timeout=10).close()
    builder.download_and_prepare()
  except Exception as error:   # network or disk errors, or a package that tensorflow_datasets lacks
    raise UserError(
        f'{name} is not prepared in {builder.data_path} and the download failed ({in_one_line(error)}); prepare it '
        'with a network connection and name the folder of tensorflow_datasets with --config.data.dir=FOLDER') from error


def in_one_line(error: BaseException) -> str:
  """An exception of another library, shortened to fit into an error line."""
  return ' '.join(f'{type(error).__name__}: {error}'.split())[:200]


def _download(published, builder, folder):
  try:
    urllib.request.urlopen(urllib.request.Request(published.probe, method='HEAD'), timeout=10).close()
    builder.download_and_prepare()
  except Exception as error:   # network or disk errors, or a package that tensorflow_datasets lacks
    data_dir = expanded(folder or builder.data_path.parents[1])
    raise UserError(
        f'{published.title} not found in {data_dir} (neither {published.pattern} nor {published.tfds_name} of '
        f'tensorflow_datasets), and the download failed ({in_one_line(error)}); '
        f"{remedy(published, Path(folder or published.title.lower()))}") from error
