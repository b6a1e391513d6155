"""--mode=export: writes the networks of a trained run as files for other programs, with a README."""

import importlib.util
from pathlib import Path

from jgen.commands import exporting
from jgen.commands.options import Export
from jgen.commands.sample import load, output_folder
from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import replacing

_EXTRAS = {'onnx': ('jax2onnx', 'onnx')}   # {format: (required package, the extra of jgen that installs it)}


def run(options: Export, workdir: Path) -> None:
  """Writes the networks of the run in `workdir` in `options.formats`; prints their paths.

  Raises:
    UserError: no run or checkpoint; a model that cannot be exported in a format; a package is missing; the output
      folder is not empty.
  """
  for name in options.formats:
    check_package(name)
  if not options.formats:
    raise UserError('--formats is empty; name some of stablehlo, safetensors, onnx')
  trained = load(options, workdir)
  needs_networks = any(name != 'safetensors' for name in options.formats)
  networks = exporting.networks(trained) if needs_networks else {}
  files = {file: content for name in options.formats for file, content in _FILES[name](trained, networks).items()}
  folder = output_folder(options.output, trained.folder / 'export', f'step_{trained.step:08d}')
  files['README.md'] = exporting.readme(trained, networks, options.formats).encode()
  for file, content in files.items():
    with replacing(folder / file) as temporary:
      temporary.write_bytes(content)
    terminal.say(f'{len(content) / 1e6:8.2f} MB  {folder / file}')


def check_package(name: str) -> None:
  """Raises UserError if the package of a format is not installed."""
  package, extra = _EXTRAS.get(name, ('', ''))
  if package and importlib.util.find_spec(package) is None:
    raise UserError(f"--formats={name} needs the package {package}: pip install -e '.[{extra}]'")


def _stablehlo(trained, networks):
  del trained
  return {f'{name}.stablehlo': exporting.stablehlo(network) for name, network in networks.items()}


def _onnx(trained, networks):
  del trained
  return {f'{name}.onnx': exporting.onnx(network, name) for name, network in networks.items()}


def _safetensors(trained, networks):
  del networks
  return {'parameters.safetensors': exporting.safetensors(trained)}


_FILES = {'onnx': _onnx, 'safetensors': _safetensors, 'stablehlo': _stablehlo}   # {format: {file: its bytes}}
