"""The pictures and films of --mode=sample: each function writes files into a folder and returns their paths."""

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

_MOST = 8                               # latents of a traversal if none are given
_PROBES = 256                           # largest number of latents whose effect is measured to select them
_FRAMES = 16                            # frames of a film from one end to the other


def sheet(request: Request, folder: Path) -> list[Path]:
  """grid.png: one row per class, or rows of `--columns` images for an unconditional model."""
  trained, num, labels = request.trained, request.options.num_samples, request.labels()
  names = tuple(trained.class_names[label] for label in labels) if trained.num_classes else ()
  if trained.num_classes:
    columns = -(-num // len(labels))
    image_labels = labels.repeat(columns)
  else:
    columns, image_labels = min(request.options.columns, num), np.zeros(num, np.int32)
  samples = np.concatenate([part for _, part in request.parts(len(image_labels), image_labels)])
  path = folder / 'grid.png'
  save_grid(path, filled(samples, columns), columns, names)
  return [path]


def pairs(request: Request, folder: Path) -> list[Path]:
  """pairs.png: one row per class; all images of a column have the same latents."""
  trained, num, labels = request.trained, request.options.num_samples, request.labels()
  if not trained.num_classes:
    raise UserError(f'--draw=pairs: the model in {trained.folder} is not conditioned on a class ({trained.kind()})')
  rows = [trained.sample(num, labels=int(label), **request.arguments()) for label in labels]
  path = folder / 'pairs.png'
  save_grid(path, np.concatenate(rows), num, tuple(trained.class_names[label] for label in labels),
            'each column: the same latents')
  return [path]


def reconstruction(request: Request, folder: Path) -> list[Path]:
  """reconstructions.png, the user's images above their reconstructions, and one PNG per reconstruction."""
  if not request.options.images:
    raise UserError('--draw=reconstruction: give your images with --images=FILE or --images=FOLDER')
  request.trained.need('reconstruct', 'has an encoder')
  originals, files = request.pictures()
  reconstructions = request.trained.reconstruct(originals)
  path = folder / 'reconstructions.png'
  grid = alternating(originals, reconstructions)
  save_grid(path, grid.images, grid.columns, grid.row_names)
  paths = [path]
  for number, (file, image) in enumerate(zip(files, reconstructions, strict=True)):
    paths.append(folder / f'{number:05d}_{file.stem}.png')
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(paths[-1], format='PNG')
  return paths


def interpolation(request: Request, folder: Path) -> list[Path]:
  """interpolation.png, one row from each end to the next, and interpolation.gif, all rows one after the other.

  The ends are samples (`--numbers`) or, with a VAE, the user's images (`--images`).
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
  """(latents [n, Z], their names): the ends of an interpolation."""
  if request.options.images:
    request.trained.need('encode', 'encodes images as latents to interpolate')
    pictures, files = request.pictures()
    ends, names = request.trained.encode(pictures), [file.stem[:20] for file in files]
  else:
    numbers = whole_numbers('numbers', request.options.numbers) or [0, 1]
    ends, names = request.latents(numbers), list(map(str, numbers))
  if len(ends) < 2:
    raise UserError('--draw=interpolation needs at least two ends: --numbers=0,1 or two images in --images')
  return ends, names


def traversal(request: Request, folder: Path) -> list[Path]:
  """traversal.png, one row per latent or code of an InfoGAN, and traversal.gif, all rows at once.

  Each row varies one of them over `--columns` values; all others are those of a sample (`--numbers`) or of an image
  (`--images`).
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
  """(images [v, H, W, C] of each traversed latent, names, title)."""
  trained, options = request.trained, request.options
  start, more = _start(request), {'labels': request.label(), 'codes': _fixed_codes(request)}
  indices = whole_numbers('latents', options.latents) or _most_influential(trained, start, options.span, more)
  values = np.linspace(-options.span, options.span, options.columns)
  rows = trained.traverse(start, indices, values, **more)
  title = f'from {-options.span:g} to {options.span:g} standard deviations'
  return list(rows), [f'z{latent}' for latent in indices], title


def _start(request):
  """The latents [Z] from which a traversal starts."""
  if request.options.images:
    request.trained.need('encode', 'encodes an image as latents to traverse')
    return request.trained.encode(request.pictures()[0][:1])[0]
  return request.latents((whole_numbers('numbers', request.options.numbers) or [0])[:1])[0]


def _fixed_codes(request):
  codes = request.trained.sample_codes(1, request.codes(), request.options.seed)
  return None if codes is None else codes[:][0]


def _most_influential(trained, start, span, more):
  """The latents that change the image most between -span and span, the most influential first."""
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
  return rows, names, 'one code per row; categorical from 0, continuous from -1 to 1'


# ------------------------------------------------------------------------------------------- of images


def filled(images: Pixels, columns: int) -> Pixels:
  """The images uint8 [n, H, W, C], the last row filled up with images in the colour of the separators."""
  missing = np.full((-len(images) % columns, *images.shape[1:]), SEPARATOR_COLOR, np.uint8)
  return np.concatenate([images, missing])


def write_film(path: Path, frames: UInt8[np.ndarray, 'f rows H W C']) -> None:
  """Writes a GIF that plays the frames uint8 [f, rows, H, W, C] forwards and backwards."""
  pictures = [compose_grid(frame, 1) for frame in [*frames, *frames[-2:0:-1]]]
  with replacing(path) as temporary:
    save_film(temporary, pictures)
