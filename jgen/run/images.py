"""Checks that a continued run uses the images it started with, wherever they are stored now.

images.json in the run folder holds {'train' or 'test': {'count', 'sha256' of images and annotations, 'source'}}.
"""

from collections.abc import Mapping
import json
from pathlib import Path

from jgen.errors import UserError
from jgen.host.files import write_text

FILE = 'images.json'


def check_images(folder: Path, images: Mapping[str, Mapping]) -> None:
  """Compares the images with those that the run in `folder`, if there is one, started with. Writes nothing.

  Args:
    folder: of the run
    images: {'train' or 'test': {'count': int, 'sha256': text, 'source': text}}

  Raises:
    UserError: they have changed, or the stored file is damaged.
  """
  path = Path(folder) / FILE
  stored = _read(path) if path.exists() else {}
  for part, now in images.items():
    before = stored.get(part, now)
    if before['sha256'] != now['sha256']:
      raise UserError(
          f"the images to {part} {'on' if part == 'train' else 'with'} have changed since the run in {folder} began: "
          f"{before['count']:,} from {before['source']} then, {now['count']:,} from {now['source']} now; bring them "
          'back, or name another --workdir to start a new run with these')


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
    raise UserError(f'{path} is damaged; restore it, or delete it if the images are those that the run began '
                    'with') from error
