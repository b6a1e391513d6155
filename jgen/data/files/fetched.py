"""Data sets that tensorflow_datasets provides, and what to do where they are not available."""

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

_PROBE = 'https://storage.googleapis.com/tfds-data/'   # tried before tensorflow_datasets, which retries for minutes
_PART = 4096                            # images that are decoded at one time


@dataclasses.dataclass(frozen=True)
class Published:
  """Where a data set is available."""

  title: str                            # for messages
  tfds_name: str
  pattern: str                          # of the published files that are looked for in config.data.dir
  probe: str                            # a URL, tried before tensorflow_datasets, which retries for minutes
  urls: str                             # of the published files, as curl expands them


def remedy(published: Published, folder: object) -> str:
  """The end of an error line: how to fetch the published files into `folder` and to name it."""
  folder = shlex.quote(str(folder))
  return (f"fetch it with: curl --fail --create-dirs --output-dir {folder} -O "
          f"'{published.urls}' and name that folder with --config.data.dir={folder}")


def again(path: object, url: str) -> str:
  """The end of an error line: how to fetch one damaged file again."""
  return f'fetch it again: curl --fail -o {shlex.quote(str(path))} {url}'


def through_tfds(published: Published, folder: str, splits: Sequence[str], version: int,
                 read: Callable) -> tuple[Original, str]:
  """Splits of a set, downloaded by tensorflow_datasets if it has not prepared them yet.

  Args:
    published: a Published
    folder: config.data.dir
    splits: their names in tensorflow_datasets
    version: of the reader
    read: a batch of the set's features -> (images uint8 [n, h, w, C], annotations [n, M])

  Returns:
    (cache.Original, the folder that it is read from)

  Raises:
    UserError: it is not there and cannot be downloaded.
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
                      'start again: it is prepared again') from error

  files = tuple(Path(path) for info in infos for path in info.filepaths)
  return cache.Original(files, sum(info.num_examples for info in infos), version, parts)


def prepare(builder: Any, name: str) -> None:
  """Downloads and prepares what a builder of tensorflow_datasets describes, unless that was done.

  Raises:
    UserError: it cannot be downloaded, or needs a package or files of the user's.
  """
  if builder.data_path.exists():
    return
  try:
    urllib.request.urlopen(urllib.request.Request(_PROBE, method='HEAD'), timeout=10).close()
    builder.download_and_prepare()
  except Exception as error:   # of the network, of the disk, or of a tensorflow_datasets that lacks a package
    raise UserError(
        f'{name} is not prepared in {builder.data_path} and not downloaded ({in_one_line(error)}); prepare it where '
        'there is a network, and name that folder of tensorflow_datasets with --config.data.dir=FOLDER') from error


def in_one_line(error: BaseException) -> str:
  """An exception of someone else's as part of an error line."""
  return ' '.join(f'{type(error).__name__}: {error}'.split())[:200]


def _download(published, builder, folder):
  try:
    urllib.request.urlopen(urllib.request.Request(published.probe, method='HEAD'), timeout=10).close()
    builder.download_and_prepare()
  except Exception as error:   # of the network, of the disk, or of a tensorflow_datasets that lacks a package
    looked_in = expanded(folder or builder.data_path.parents[1])
    raise UserError(
        f'{published.title} not found in {looked_in} (neither {published.pattern} nor {published.tfds_name} of '
        f'tensorflow_datasets) and not downloaded ({in_one_line(error)}); '
        f"{remedy(published, Path(folder or published.title.lower()))}") from error
