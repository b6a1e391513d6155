"""The pictures and films of --mode=sample: each writes its files into a folder and returns their paths."""

from pathlib import Path
from typing import Any

from jaxtyping import UInt8
import numpy as np
from PIL import Image

from jgen.commands.options import whole_numbers
from jgen.commands.request import Request
from jgen.errors import UserError
from jgen.evaluation.pictures.attribute_pairs import change
from jgen.evaluation.pictures.reconstructions import alternating
from jgen.host.files import replacing
from jgen.images.grids import SEPARATOR_COLOR, compose_grid, save_grid
from jgen.report.film import save_film
from jgen.shapes import Pixels

_MOST = 8                               # latents that a traversal shows where none are named
_PROBES = 256                           # latents whose effect is measured at most, to select those
_FRAMES = 16                            # pictures of a film from one end to the other


def sheet(request: Request, folder: Path) -> list[Path]:
  """grid.png: a row a class, or rows of `--columns` for a model that follows none."""
  trained, num, labels = request.trained, request.options.num_samples, request.labels()
  names = tuple(trained.class_names[label] for label in labels) if trained.num_classes else ()
  if trained.num_classes:
    columns = -(-num // len(labels))
    wanted = labels.repeat(columns)
  else:
    columns, wanted = min(request.options.columns, num), np.zeros(num, np.int32)
  made = np.concatenate([part for _, part in request.parts(len(wanted), wanted)])
  path = folder / 'grid.png'
  save_grid(path, filled(made, columns), columns, names)
  return [path]


def pairs(request: Request, folder: Path) -> list[Path]:
  """pairs.png: a column the same latents, a row a class."""
  trained, num, labels = request.trained, request.options.num_samples, request.labels()
  if not trained.num_classes:
    raise UserError(f'--draw=pairs: the model in {trained.folder} is not conditioned on a class ({trained.kind()})')
  rows = [trained.sample(num, labels=int(label), **request.arguments()) for label in labels]
  path = folder / 'pairs.png'
  save_grid(path, np.concatenate(rows), num, tuple(trained.class_names[label] for label in labels),
            'each column: the same latents')
  return [path]


def reconstruction(request: Request, folder: Path) -> list[Path]:
  """reconstructions.png, the user's pictures over what the model makes of them, and a PNG of each of the latter."""
  if not request.options.images:
    raise UserError('--draw=reconstruction: name your pictures with --images=FILE or --images=FOLDER')
  request.trained.need('reconstruct', 'has an encoder')
  originals, files = request.pictures()
  made = request.trained.reconstruct(originals)
  path = folder / 'reconstructions.png'
  grid = alternating(originals, made)
  save_grid(path, grid.images, grid.columns, grid.row_names)
  paths = [path]
  for number, (file, image) in enumerate(zip(files, made, strict=True)):
    paths.append(folder / f'{number:05d}_{file.stem}.png')
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(paths[-1], format='PNG')
  return paths


def interpolation(request: Request, folder: Path) -> list[Path]:
  """interpolation.png, a row each way from one end to the next, and interpolation.gif, all ways one after the other.

  The ends are samples (`--numbers`) or, of a VAE, the user's pictures (`--images`).
  """
  trained, options = request.trained, request.options
  ends, names = _ends(request)
  path = 'line' if options.images else 'arc'
  more: dict[str, Any] = {'labels': request.label(), 'codes': request.codes(), 'path': path}
  ways = trained.interpolate(ends[:-1], ends[1:], options.columns, **more)
  picture, film = folder / 'interpolation.png', folder / 'interpolation.gif'
  save_grid(picture, ways.reshape(-1, *ways.shape[2:]), options.columns,
            tuple(f'{a} to {b}' for a, b in zip(names, names[1:], strict=False)))
  frames = trained.interpolate(ends[:-1], ends[1:], _FRAMES, **more)
  write_film(film, frames.reshape(-1, 1, *frames.shape[2:]))
  return [picture, film]


def _ends(request):
  """(latents [n, Z], a name each) that an interpolation joins."""
  if request.options.images:
    request.trained.need('encode', 'encodes images as latents to be joined')
    pictures, files = request.pictures()
    ends, names = request.trained.encode(pictures), [file.stem[:20] for file in files]
  else:
    numbers = whole_numbers('numbers', request.options.numbers) or [0, 1]
    ends, names = request.latents(numbers), list(map(str, numbers))
  if len(ends) < 2:
    raise UserError('--draw=interpolation joins two ends at least: --numbers=0,1 or two pictures in --images')
  return ends, names


def traversal(request: Request, folder: Path) -> list[Path]:
  """traversal.png, a row a latent, or a code of an InfoGAN, and traversal.gif, all rows at once.

  Each runs over `--columns` values, all else stays: that of a sample (`--numbers`) or of a picture (`--images`).
  """
  options = request.options
  rows, names, title = (_code_rows if request.trained.codes and not options.latents else _latent_rows)(request)
  picture, film = folder / 'traversal.png', folder / 'traversal.gif'
  save_grid(picture, np.concatenate([filled(row, options.columns) for row in rows]), options.columns, tuple(names),
            title)
  if len({len(row) for row in rows}) == 1:
    write_film(film, np.stack(rows, axis=1))
    return [picture, film]
  return [picture]


def _latent_rows(request):
  """(images [v, H, W, C] of each latent shown, names, what is said above)."""
  trained, options = request.trained, request.options
  start, more = _start(request), {'labels': request.label(), 'codes': _fixed_codes(request)}
  shown = whole_numbers('latents', options.latents) or _most_influential(trained, start, options.span, more)
  values = np.linspace(-options.span, options.span, options.columns)
  rows = trained.traverse(start, shown, values, **more)
  title = f'from {-options.span:g} to {options.span:g} standard deviations'
  return list(rows), [f'z{latent}' for latent in shown], title


def _start(request):
  """The latents [Z] that a traversal changes."""
  if request.options.images:
    request.trained.need('encode', 'encodes an image as latents to be changed')
    return request.trained.encode(request.pictures()[0][:1])[0]
  return request.latents((whole_numbers('numbers', request.options.numbers) or [0])[:1])[0]


def _fixed_codes(request):
  codes = request.trained.sample_codes(1, request.codes(), request.options.seed)
  return None if codes is None else codes[:][0]


def _most_influential(trained, start, span, more):
  """The latents that change an image the most, between -span and span, the first of them first."""
  probed = np.arange(min(trained.latent_size, _PROBES))
  changes = [change(images[None], axis=1) for images in trained.traverse(start, probed, [-span, span], **more)]
  return [int(probed[i]) for i in np.argsort(changes, kind='stable')[::-1][:_MOST]]


def _code_rows(request):
  """(images of each code, names, title): categorical codes take all values, continuous ones go from -1 to 1."""
  trained, options, kinds = request.trained, request.options, request.trained.codes
  latents, fixed = request.latents(whole_numbers('numbers', options.numbers) or [0])[:1], _fixed_codes(request)
  rows, names = [], []
  for number in range(kinds.size):
    values = np.arange(kinds.values) if number < kinds.categorical else np.linspace(-1, 1, options.columns)
    codes = np.tile(fixed, (len(values), 1))
    codes[:, number] = values
    rows.append(trained.decode(latents.repeat(len(values), axis=0), codes=codes))
    names.append(f'code {number}')
  return rows, names, 'one code at a time; categorical from 0, continuous from -1 to 1'


# ------------------------------------------------------------------------------------------- of images


def filled(images: Pixels, columns: int) -> Pixels:
  """The images uint8 [n, H, W, C], the last row filled up in the colour between images."""
  missing = np.full((-len(images) % columns, *images.shape[1:]), SEPARATOR_COLOR, np.uint8)
  return np.concatenate([images, missing])


def write_film(path: Path, frames: UInt8[np.ndarray, 'f rows H W C']) -> None:
  """A GIF there and back of frames uint8 [f, rows, H, W, C]."""
  pictures = [compose_grid(frame, 1) for frame in [*frames, *frames[-2:0:-1]]]
  with replacing(path) as temporary:
    save_film(temporary, pictures)
