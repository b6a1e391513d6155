"""Checks that a resumed run uses the same images as before, even if they are stored elsewhere.

images.json in the run folder holds {'train' or 'test': {'count', 'sha256' of images and annotations, 'source'}}.
"""

from collections.abc import Mapping
import json
from pathlib import Path

from jgen.errors import UserError
from jgen.host.files import write_text

FILE = 'images.json'


def check_images(folder: Path, images: Mapping[str, Mapping]) -> None:
  """Compares the images with those of the run's first start, if images.json exists. Writes nothing.

  Args:
    folder: the run folder
    images: {'train' or 'test': {'count': int, 'sha256': str, 'source': str}}

  Raises:
    UserError: the images have changed, or images.json is damaged.
  """
  path = Path(folder) / FILE
  stored = _read(path) if path.exists() else {}
  for part, current in images.items():
    before = stored.get(part, current)
    if before['sha256'] != current['sha256']:
      raise UserError(
          f"the {'training' if part == 'train' else part} images have changed since the run in {folder} began: "
          f"{before['count']:,} from {before['source']} then, {current['count']:,} from {current['source']} now; "
          'restore them, or name another --workdir to start a new run with these')


def store_images(folder: Path, images: Mapping[str, Mapping]) -> None:
  """Stores the digests of the images at the first start of a run; an existing file is left unchanged."""
  path = Path(folder) / FILE
  if not path.exists():
    write_text(path, json.dumps(images, indent=2) + '\n')


def _read(path):
  try:
    stored = json.loads(path.read_text('utf-8'))
    return {part: {'count': int(entry['count']), 'sha256': str(entry['sha256']), 'source': str(entry['source'])}
            for part, entry in stored.items()}
  except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
    raise UserError(f'{path} is damaged; restore it, or delete it if the images have not changed since the run '
                    'began') from error
