"""The request of a --mode=sample command: the model, and its labels, codes and latents, checked in advance."""

from collections.abc import Iterator, Sequence
import dataclasses
from pathlib import Path
import shlex
import sys
from typing import Any

from jaxtyping import Float
import numpy as np

from jgen.commands import options as options_lib
from jgen.commands.options import Sample
from jgen.errors import UserError
from jgen.host.progress import counted
from jgen.shapes import HostLabels, HostLatents, Pixels
from jgen.trained.run import Trained


@dataclasses.dataclass(frozen=True)
class Request:
  """A model and the options of --mode=sample."""

  trained: Trained
  options: Sample

  def check(self) -> None:
    """Raises UserError if the model does not support the request, before a file is written."""
    trained, options = self.trained, self.options
    options_lib.checkpoint(options.step)
    if not trained.step:
      raise UserError(f'the checkpoint in {trained.folder} is of step 0; train first')
    self.labels()
    self.codes()
    if not trained.latent_size:
      trained.refuse(truncation=options.truncation, max_norm=options.max_norm)

  def labels(self) -> HostLabels:
    """The requested classes int32 [k], by default all classes of the model; [0] for an unconditional model."""
    names = options_lib.words(self.options.labels)
    if names:
      return self.trained.labels(names)
    return np.arange(max(1, self.trained.num_classes), dtype=np.int32)

  def label(self) -> int | None:
    """The first requested class, for pictures of a single class; None for an unconditional model."""
    return int(self.labels()[0]) if self.trained.num_classes else None

  def codes(self) -> Float[np.ndarray, ' C'] | None:
    """The requested codes, NaN for random ones; None if --codes is not given."""
    words = options_lib.words(self.options.codes)
    if not words:
      return None
    try:
      codes = np.array([np.nan if word == '*' else float(word) for word in words], np.float32)
    except ValueError as error:
      raise UserError(f"--codes is '{self.options.codes}'; expected numbers, separated by commas, * for any") from error
    self.trained.sample_codes(1, codes)
    return codes

  def latents(self, numbers: Sequence[int]) -> HostLatents:
    """The latents float32 [n, Z] of the samples with these numbers."""
    options = self.options
    return self.trained.latents(max(numbers) + 1, options.seed, options.truncation, options.max_norm)[numbers]

  def pictures(self) -> tuple[Pixels, list[Path]]:
    """(uint8 [n, H, W, C], files) of the user's own images."""
    from jgen.data import own_pictures
    return own_pictures.read(self.options.images, self.trained.image_shape)

  def arguments(self) -> dict[str, Any]:
    """The arguments of `Trained.sample` apart from the number and the labels."""
    options = self.options
    arguments: dict[str, Any] = {'seed': options.seed, 'codes': self.codes()}
    if self.trained.latent_size:
      arguments |= {'truncation': options.truncation, 'max_norm': options.max_norm}
    return arguments

  def parts(self, num: int, labels: HostLabels | None = None) -> Iterator[tuple[int, Pixels]]:
    """Yields (number of images before, images) part by part, with a progress line."""
    labels, done = labels if self.trained.num_classes else None, 0
    for images in counted(self.trained.sample_parts(num, labels=labels, **self.arguments()), num):
      yield done, images
      done += len(images)

  def receipt(self) -> dict[str, Any]:
    """The metadata stored with the files."""
    state, config = self.trained.state, self.trained.config
    return {**dataclasses.asdict(self.options), 'run': str(self.trained.folder), 'family': config.family,
            'step': self.trained.step, 'averaged_parameters': bool(state.ema_params),
            'command': shlex.join(['python', *sys.argv])}
