"""Flags of the modes that work on a trained run: each mode's are the keys of one dataclass, and no other mode has them.

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
  return key('newest', 'the checkpoint: newest, best or the number of a step')


def _averaged():
  return key(True, 'whether the moving average of the parameters is used where there is one')


def _of_seed():
  return key(-1, 'of a run that trains several seeds: which; -1 for the first', at_least=-1)


@dataclasses.dataclass(frozen=True)
class Sample:
  """Flags of --mode=sample: what is drawn, of which checkpoint, from which latents, and where it goes."""

  draw: str = key('images', 'what is made: images (a PNG each), grid (one picture), npz (one file of arrays), pairs '
                  '(the same latents with every label), traversal (one latent or code at a time), interpolation (from '
                  'sample to sample), reconstruction (of your pictures)', names=DRAWINGS)
  num_samples: int = key(64, 'images; of pairs and of a traversal of codes the latents', at_least=1)
  labels: str = key('', 'classes, separated by commas and taken in turn: numbers, names or ATTRIBUTE=VALUE; all by '
                    'default')
  codes: str = key('', 'of an InfoGAN: a number for each code, separated by commas, * for any; by default all are '
                   'drawn')
  seed: int = key(0, 'the same seed, the same images', at_least=0, at_most=2**32 - 1)
  step: str = _step()
  averaged: bool = _averaged()
  of_seed: int = _of_seed()
  prior: str = key('', 'of a VQ-VAE: the prior that draws the codes, as mixture, vae or autoregressive')
  truncation: float = key(0., 'absolute value that no entry of the latents exceeds, as 0.7; 0 for none', at_least=0)
  max_norm: float = key(0., 'norm that no latent exceeds; 0 for none', at_least=0)
  columns: int = key(10, 'images of a row of a picture', at_least=1)
  numbers: str = key('', 'which samples of the seed, separated by commas: those that an interpolation joins (0,1 by '
                     'default), the one that a traversal starts from (0)')
  latents: str = key('', 'latents that a traversal changes, separated by commas; by default the eight that change the '
                     'image most')
  span: float = key(3., 'how far a traversal goes from 0, in standard deviations of the prior', above=0)
  images: str = key('', 'your own pictures, a file or a folder: to be reconstructed, or of a VAE to start a traversal '
                    'or to be joined by an interpolation')
  output: str = key('', 'folder for the files, which has to be empty; by default a new one in WORKDIR/drawn')


@dataclasses.dataclass(frozen=True)
class Export:
  """Flags of --mode=export: which networks, in which formats, and where they go."""

  formats: tuple[str, ...] = key(('stablehlo', 'safetensors'), 'separated by commas', names=FORMATS)
  step: str = _step()
  averaged: bool = _averaged()
  of_seed: int = _of_seed()
  output: str = key('', 'folder for the files, which has to be empty; by default a new one in WORKDIR/export')


OPTIONS = {'export': Export, 'sample': Sample}
_DEFINE: dict[type, Callable[..., object]] = {
    bool: flags.DEFINE_boolean, float: flags.DEFINE_float, int: flags.DEFINE_integer, str: flags.DEFINE_string}


def define(mode: str, flag_values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the flags of a mode that has some."""
  declaration = OPTIONS[mode]
  types = typing.get_type_hints(declaration)
  for name, each in keys.plain(declaration).items():
    kind = types[name]
    if typing.get_origin(kind) is tuple:
      flags.DEFINE_list(name, [*each.default], each.meaning, flag_values=flag_values)
    else:
      _DEFINE[kind](name, each.default, each.meaning, flag_values=flag_values)


def read(mode: str, flag_values: flags.FlagValues = flags.FLAGS) -> Any:
  """The dataclass of a mode's flags, as they were given; raises UserError where one is out of its range."""
  declaration = OPTIONS[mode]
  given = {name: flag_values[name].value for name in keys.declared(declaration)}
  try:
    return keys.read(declaration, given, mode)
  except UserError as error:
    raise UserError(str(error).replace(f'{mode}.', '--', 1)) from error


def words(text: str) -> list[str]:
  """The entries of a flag, separated by commas."""
  return [word.strip() for word in text.split(',') if word.strip()]


def whole_numbers(flag: str, text: str) -> list[int]:
  """The whole numbers from 0 of a flag, separated by commas; raises UserError where one is none."""
  wrong = [word for word in words(text) if not word.isdecimal()]
  if wrong:
    raise UserError(f"--{flag}: '{wrong[0]}' is no whole number from 0; give some, separated by commas, as 0,3,17")
  return [int(word) for word in words(text)]


def checkpoint(text: str) -> str | int:
  """What `--step` means: a name, or the number of a step."""
  if text.isdecimal():
    return int(text)
  if text not in ('newest', 'best'):
    raise UserError(f"--step is '{text}'; expected newest, best or the number of a step that is saved")
  return text
