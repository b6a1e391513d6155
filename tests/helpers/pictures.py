"""Small image files of every kind, for the readers of image files."""

import io
import zipfile

import numpy as np
from PIL import Image

from jgen.data.files.resizing import resize


def smooth(seed, height, width):
  """uint8 [height, width, 3] that survives JPEG well: two gradients and a tint."""
  rng = np.random.default_rng(seed)
  y, x = np.mgrid[:height, :width]
  waves = [np.sin(y * a + x * b + c) for a, b, c in rng.uniform(-0.1, 0.1, (3, 3)) + [0, 0, seed]]
  return np.rint(127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)


def encoded(image, kind='JPEG', **options):
  """The bytes of a file that holds `image`, an array or a Pillow image."""
  file = io.BytesIO()
  (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, kind, **options)
  return file.getvalue()


def decoded(content):
  """Its pixels, by Pillow alone."""
  return np.asarray(Image.open(io.BytesIO(content)).convert('RGB'))


def put(root, files):
  """Writes {name: bytes or text} below a folder."""
  for name, content in files.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content.encode() if isinstance(content, str) else content)


def put_zip(path, files, compression=zipfile.ZIP_DEFLATED):
  """Writes {name: bytes or text} into a zip."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with zipfile.ZipFile(path, 'w', compression) as archive:
    for name, content in files.items():
      archive.writestr(name, content)


def served(content, side, top, left, size):
  """What a reader makes of a file, the crop given in pixels."""
  return resize(decoded(content)[np.newaxis, top:top + side, left:left + side], size)[0]
