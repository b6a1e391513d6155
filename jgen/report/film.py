"""Samples over the course of training, from the same latents, as a film and as a strip."""

from collections.abc import Sequence
from pathlib import Path
import re

import numpy as np
from PIL import Image

from jgen.host.files import replacing
from jgen.images.grids import headed, side_by_side
from jgen.shapes import PixelMap

MAX_FRAMES = 60           # frames of the film; of more pictures, evenly spaced ones are used
FRAME_SECONDS, LAST_SECONDS = 0.2, 2.
MAX_STRIP = 8             # pictures of the strip
STRIP_SIDE = 400          # largest width and height of a picture of the strip, in pixels
FILM_SIDE = 1_000         # largest width and height of the film, in pixels


def draw_film(folder: Path) -> list[Path]:
  """Writes figures/samples.gif and figures/filmstrip.png of a run folder; returns their paths, [] for one picture."""
  pictures = {int(match[1]): path for path in (folder / 'samples').glob('step_*.png')
              if (match := re.fullmatch(r'step_(\d+)', path.stem))}
  if len(pictures) < 2:
    return []
  film, strip = folder / 'figures' / 'samples.gif', folder / 'figures' / 'filmstrip.png'
  with replacing(film) as temporary:
    save_film(temporary, [_frame(pictures, step, FILM_SIDE) for step in _spread(sorted(pictures), MAX_FRAMES)])
  with replacing(strip) as temporary:
    frames = [_frame(pictures, step, STRIP_SIDE) for step in _spread(sorted(pictures), MAX_STRIP)]
    Image.fromarray(side_by_side(frames)).save(temporary, format='PNG')
  return [film, strip]


def _spread(steps, most):
  """At most `most` of the increasing steps, evenly spaced, including the first and the last."""
  if len(steps) <= most:
    return steps
  return [steps[place] for place in np.rint(np.linspace(0, len(steps) - 1, most)).astype(int)]


def _frame(pictures, step, max_side):
  """The picture of a step below its number, uint8 [height, width, 3]."""
  picture = Image.open(pictures[step]).convert('RGB')
  share = max_side / max(picture.size)
  if share < 1:
    picture = picture.resize(tuple(max(1, round(side * share)) for side in picture.size), Image.Resampling.BOX)
  return headed(np.asarray(picture), f'step {step:,}')


def save_film(path: Path, frames: Sequence[PixelMap]) -> None:
  """Writes pictures uint8 [height, width, 3] of one size as a looping GIF; the last frame is shown longer."""
  durations = [round(1_000 * FRAME_SECONDS)] * (len(frames) - 1) + [round(1_000 * LAST_SECONDS)]
  first, *others = map(Image.fromarray, frames)
  first.save(path, format='GIF', save_all=True, append_images=others, duration=durations, loop=0)
