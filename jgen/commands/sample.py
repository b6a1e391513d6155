"""--mode=sample: images, pictures and films from a trained run, without its data set."""

from collections.abc import Sequence
import json
from pathlib import Path
import re
import zipfile

import numpy as np
from PIL import Image

from jgen.commands import options as options_lib
from jgen.commands.options import Export, Sample
from jgen.commands.pictures import interpolation, pairs, reconstruction, sheet, traversal
from jgen.commands.request import Request
from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import expanded, replacing, write_text
from jgen.trained.run import Trained


def run(options: Sample, workdir: Path) -> None:
  """Draws the output `options.draw` from the run in `workdir`, or from one of its priors; prints the paths.

  Raises:
    UserError: no run, no checkpoint, an unknown class or code, an option that the model does not support, or an output
      folder that is not empty. Nothing is overwritten.
  """
  trained = load(options, workdir)
  request = Request(trained, options)
  request.check()
  folder = output_folder(options.output, trained.folder / 'drawn', options.draw)
  try:
    paths = _DRAW[options.draw](request, folder)
  except UserError:
    remove_empty(folder)
    raise
  write_text(folder / 'samples.json', json.dumps(request.receipt(), indent=2) + '\n')
  terminal.say(summary(paths, folder, trained))


def load(options: Sample | Export, workdir: Path) -> Trained:
  """The Trained of a run folder, or of its prior `options.prior`."""
  folder = expanded(workdir)
  prior = getattr(options, 'prior', '')
  if prior:
    priors = sorted(path.parent.name for path in folder.glob('priors/*/config.json'))
    if prior not in priors:
      raise UserError(f"--prior: there is no '{prior}' in {folder}/priors; "
                      + (f'available: {", ".join(priors)}' if priors else 'fit one with --mode=prior'))
    folder = folder / 'priors' / prior
  of_seed = None if options.of_seed < 0 else options.of_seed
  return Trained(folder, options_lib.checkpoint(options.step), options.averaged, of_seed)


def output_folder(output: str, parent: Path, name: str) -> Path:
  """Creates the output folder and returns it: `output`, or else a new `name`, `name_2`, ... below `parent`.

  Raises:
    UserError: `output` is a file, or not empty.
  """
  if output:
    folder = expanded(output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
      raise UserError(f'--output: {folder} is not an empty folder; name another one, as nothing is overwritten')
    try:
      folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise UserError(f'--output: {folder} cannot be created ({error.strerror}); name another folder') from error
    return folder
  number = 1
  while True:
    folder = parent / (name if number == 1 else f'{name}_{number}')
    try:
      folder.mkdir(parents=True)
      return folder
    except FileExistsError:
      number += 1


def remove_empty(folder: Path) -> None:
  """Removes a folder if nothing was written to it."""
  if not any(folder.iterdir()):
    folder.rmdir()


def summary(paths: Sequence[Path], folder: Path, trained: Trained) -> str:
  """The final summary: the step, the paths, and a note on sampling."""
  files = f'{len(paths):,} files in {folder}' if len(paths) > 4 else '\n'.join(map(str, paths))
  notes = []
  if trained.can('decode_codes'):
    notes = ['note: the codes were drawn uniformly and independently; a prior learns their distribution: fit one with '
             '--mode=prior and sample it with --prior=NAME']
  return '\n'.join([f'step {trained.step:,}: {files}', *notes])


# ------------------------------------------------------------------------------------------- kinds of files


def images(request: Request, folder: Path) -> list[Path]:
  """One PNG per image, named by its number and class, or by its categorical codes."""
  trained, num, kinds = request.trained, request.options.num_samples, request.trained.codes
  labels = trained.sample_labels(num, request.labels() if trained.num_classes else None)
  codes = trained.sample_codes(num, request.codes(), request.options.seed)
  digits, paths = max(5, len(str(num - 1))), []
  for start, part in request.parts(num, labels):
    categorical = codes[start:start + len(part)][:, :kinds.categorical].astype(int) if kinds else None
    for i, image in enumerate(part):
      suffix = _suffix(trained, labels[start + i], None if categorical is None else categorical[i])
      paths.append(folder / f'{start + i:0{digits}d}{suffix}.png')
      save(paths[-1], image)
  return paths


def _suffix(trained, label, codes):
  if trained.num_classes:
    attribute = trained.config.data.label or 'class'
    return f'_{file_name(attribute)}_{file_name(trained.class_names[label])}'
  return '' if codes is None or not len(codes) else '_code_' + '-'.join(map(str, codes))


def file_name(text: str) -> str:
  """The text as part of a file name: at most 60 letters, unsuitable ones replaced."""
  return re.sub(r'[^\w.+=-]+', '_', text).strip('._')[:60] or '_'


def save(path: Path, image: np.ndarray) -> None:
  """Writes an image uint8 [H, W, C], C 1 or 3, as PNG."""
  Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path, format='PNG')


def npz(request: Request, folder: Path) -> list[Path]:
  """One file with `images` uint8 [n, H, W, C] and, for a conditional model, `labels` int32 [n]."""
  trained, num = request.trained, request.options.num_samples
  labels = trained.sample_labels(num, request.labels() if trained.num_classes else None)
  path = folder / 'samples.npz'
  with replacing(path) as temporary, zipfile.ZipFile(temporary, 'w', zipfile.ZIP_STORED) as archive:
    with archive.open('images.npy', 'w', force_zip64=True) as file:
      header = {'descr': '|u1', 'fortran_order': False, 'shape': (num, *trained.image_shape)}
      np.lib.format.write_array_header_2_0(file, header)
      for _, part in request.parts(num, labels):
        file.write(part.tobytes())
    if trained.num_classes:
      with archive.open('labels.npy', 'w') as file:
        np.lib.format.write_array(file, labels)
  return [path]


_DRAW = {'grid': sheet, 'images': images, 'interpolation': interpolation, 'npz': npz, 'pairs': pairs,
         'reconstruction': reconstruction, 'traversal': traversal}
