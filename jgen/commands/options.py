"""Flags of the modes that work on a trained run: one dataclass per mode, with one key per flag.

  python launch.py --mode=sample --workdir=runs/quickstart --num_samples=100 --labels=3
"""

from collections.abc import Callable
import dataclasses
import typing
from typing import Any

from absl import flags

from jgen import keys
from jgen.errors import UserError
from jgen.keys import key

DRAWINGS = ('images', 'grid', 'npz', 'pairs', 'traversal', 'interpolation', 'reconstruction')
FORMATS = ('stablehlo', 'safetensors', 'onnx')


def _step():
  return key('newest', 'the checkpoint: newest, best or a step number')


def _averaged():
  return key(True, 'whether the moving average of the parameters is used, if there is one')


def _of_seed():
  return key(-1, 'the seed, for a run that trains several seeds; -1 for the first', at_least=-1)


@dataclasses.dataclass(frozen=True)
class Sample:
  """Flags of --mode=sample: what to draw, the checkpoint, the latents, and the output."""

  draw: str = key('images', 'the output: images (one PNG each), grid (one picture), npz (one file of arrays), pairs '
                  '(the same latents with every label), traversal (one latent or code at a time), interpolation (from '
                  'sample to sample), reconstruction (of your own images)', names=DRAWINGS)
  num_samples: int = key(64, 'number of images; for pairs and a traversal of codes the number of latents', at_least=1)
  labels: str = key('', 'classes, separated by commas and used in turn: numbers, names or ATTRIBUTE=VALUE; all by '
                    'default')
  codes: str = key('', 'for an InfoGAN: one number per code, separated by commas, * for any; by default all are '
                   'random')
  seed: int = key(0, 'the same seed gives the same images', at_least=0, at_most=2**32 - 1)
  step: str = _step()
  averaged: bool = _averaged()
  of_seed: int = _of_seed()
  prior: str = key('', 'for a VQ-VAE: the prior that samples the codes, such as mixture, vae or autoregressive')
  truncation: float = key(0., 'largest absolute value of an entry of the latents, such as 0.7; 0 for none', at_least=0)
  max_norm: float = key(0., 'largest norm of a latent; 0 for none', at_least=0)
  columns: int = key(10, 'images per row of a picture', at_least=1)
  numbers: str = key('', 'numbers of samples of the seed, separated by commas: the ends of an interpolation (0,1 by '
                     'default), or the start of a traversal (0)')
  latents: str = key('', 'latents to traverse, separated by commas; by default the eight that change the '
                     'image most')
  span: float = key(3., 'traversals run from -span to span, in standard deviations of the prior', above=0)
  images: str = key('', 'your own images, a file or a folder: to reconstruct or, with a VAE, as the start of a '
                    'traversal or the ends of an interpolation')
  output: str = key('', 'output folder, which must be empty; by default a new one in WORKDIR/drawn')


@dataclasses.dataclass(frozen=True)
class Export:
  """Flags of --mode=export: the formats, the checkpoint, and the output."""

  formats: tuple[str, ...] = key(('stablehlo', 'safetensors'), 'separated by commas', names=FORMATS)
  step: str = _step()
  averaged: bool = _averaged()
  of_seed: int = _of_seed()
  output: str = key('', 'output folder, which must be empty; by default a new one in WORKDIR/export')


OPTIONS = {'export': Export, 'sample': Sample}
_DEFINE: dict[type, Callable[..., object]] = {
    bool: flags.DEFINE_boolean, float: flags.DEFINE_float, int: flags.DEFINE_integer, str: flags.DEFINE_string}


def define(mode: str, flag_values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the flags of a mode in OPTIONS."""
  declaration = OPTIONS[mode]
  types = typing.get_type_hints(declaration)
  for name, flag in keys.plain(declaration).items():
    kind = types[name]
    if typing.get_origin(kind) is tuple:
      flags.DEFINE_list(name, [*flag.default], flag.meaning, flag_values=flag_values)
    else:
      _DEFINE[kind](name, flag.default, flag.meaning, flag_values=flag_values)


def read(mode: str, flag_values: flags.FlagValues = flags.FLAGS) -> Any:
  """The dataclass with the values of a mode's flags; raises UserError if one is out of range."""
  declaration = OPTIONS[mode]
  values = {name: flag_values[name].value for name in keys.declared(declaration)}
  try:
    return keys.read(declaration, values, mode)
  except UserError as error:
    raise UserError(str(error).replace(f'{mode}.', '--', 1)) from error


def words(text: str) -> list[str]:
  """The entries of a flag, separated by commas."""
  return [word.strip() for word in text.split(',') if word.strip()]


def whole_numbers(flag: str, text: str) -> list[int]:
  """The whole numbers from 0 of a flag, separated by commas; raises UserError for anything else."""
  wrong = [word for word in words(text) if not word.isdecimal()]
  if wrong:
    raise UserError(f"--{flag}: '{wrong[0]}' is not a whole number from 0; expected a list such as 0,3,17")
  return [int(word) for word in words(text)]


def checkpoint(text: str) -> str | int:
  """The value of `--step`: a name, or a step number."""
  if text.isdecimal():
    return int(text)
  if text not in ('newest', 'best'):
    raise UserError(f"--step is '{text}'; expected newest, best or the number of a saved step")
  return text
