"""The length of a run: `num_steps` training steps, or `num_epochs` passes over its training images."""

from fractions import Fraction
import math
from pathlib import Path

from ml_collections import ConfigDict

from jgen.errors import UserError
from jgen.host.progress import epochs_text


def check(config: ConfigDict) -> None:
  """Raises UserError unless exactly one of `num_steps` and `num_epochs` is set; the other is 0."""
  if config.num_steps and config.num_epochs:
    raise UserError(f'config.num_steps is {config.num_steps} and config.num_epochs is {config.num_epochs:g}; a run has '
                    'one length: set one of the two to 0')
  if not config.num_steps and not config.num_epochs:
    raise UserError('config.num_steps and config.num_epochs are both 0; set one of the two: --config.num_epochs=20')


def steps_of(epochs: float, num_images: int, images_per_step: int, multiple: int = 1) -> int:
  """The smallest multiple of `multiple` steps in which `num_images` images are seen `epochs` times on average.

  Computed with exact fractions, so that 0.1 epochs of 1,280 images are one step of 128.
  """
  steps = Fraction(repr(float(epochs))) * num_images / images_per_step
  return math.ceil(steps / multiple) * multiple


def resolved(config: ConfigDict, num_images: int, batches_per_step: int) -> ConfigDict:
  """The config with `num_steps` computed from `num_epochs`; unchanged if it sets `num_steps` itself.

  Args:
    config: a ConfigDict that `check` accepts.
    num_images: training images.
    batches_per_step: batches of `config.batch_size` images that a training step consumes.
  """
  if not config.num_epochs:
    return config
  result = config.copy_and_resolve_references()
  result.num_steps = steps_of(config.num_epochs, num_images, config.batch_size * batches_per_step,
                              config.steps_per_dispatch)
  return result


def text(config: ConfigDict, num_images: int | None, batches_per_step: int) -> str:
  """One line about the length of a run: '25,433 steps of 128 images, 20 epochs of 162,770 training images'.

  With `num_images` None (images not prepared yet) it states only the config's values.
  """
  per_step = config.batch_size * batches_per_step
  if num_images is None:
    length = f'{epochs_text(config.num_epochs)} in steps' if config.num_epochs else f'{config.num_steps:,} steps'
    return f'length: {length} of {per_step:,} images; the training images are not prepared, so their number is unknown'
  config = resolved(config, num_images, batches_per_step)
  return (f'length: {config.num_steps:,} steps of {per_step:,} images, '
          f'{epochs_text(config.num_steps * per_step / num_images)} of {num_images:,} training images')


def as_asked(stored: dict) -> dict:
  """A stored config, a dict, as the user set it: with `num_steps` 0 if the length is set in epochs."""
  return {**stored, 'num_steps': 0} if stored.get('num_epochs') else stored


def check_not_passed(folder: str | Path, config: ConfigDict) -> None:
  """Raises UserError if the run in `folder` has a checkpoint beyond the step to which `config.num_epochs` corresponds.

  A run whose length is set in steps is accepted: a study may contain a run that was trained further.
  """
  steps = [int(path.name) for path in (Path(folder) / 'checkpoints').glob('*') if path.name.isdecimal()]
  if config.num_epochs and max(steps, default=0) > config.num_steps:
    raise UserError(f'{folder} holds a run that is trained to step {max(steps):,}, but '
                    f'config.num_epochs={config.num_epochs:g} is step {config.num_steps:,}; raise it, or name '
                    'another --workdir')
