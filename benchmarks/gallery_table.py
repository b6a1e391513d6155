"""The table of the gallery: read from run folders alone, written as Markdown and JSON, with pictures as JPEG."""

import fnmatch
import importlib
import json
import math
import re

from PIL import Image

from benchmarks.gallery_systems import EVALUATORS, SYSTEMS
from jgen.errors import UserError
from jgen.files import replacing, write_text
from jgen.run import config as config_lib
from jgen.run.folder import read_config
from jgen.run.records import read_record

MARKS = '<!-- the table that benchmarks.gallery writes -->', '<!-- its end -->'
NOTE = 'gallery.json'
MAX_WIDTH = 720                         # pixels of a picture
QUALITY = 82                            # of a JPEG

# What neither changes what is learned nor what is measured at the end.
_CADENCE = ('log_every_steps', 'sample_every_steps', 'checkpoint_every_steps', 'evaluate_every_steps', 'num_steps',
            'data.on_device', 'data.cache_dir')
_NAMES = {'ledger/mse': 'squared error of test images', 'ledger/elbo': 'ELBO', 'codebook/mse':
          'squared error of test images', 'codebook/perplexity': 'perplexity', 'class_consistency/accuracy':
          'class consistency', 'diversity/nearest_ratio': 'diversity', 'critic_outputs/told_apart': 'told apart'}


def read_about(path):
  """What a JSON file tells of data and runs, '' and {} where it does not; nothing without a file.

  {'data': {NAME: {'about': in words, 'folder': elsewhere than in --data, 'config': {key: value}}},
  'remarks': {SYSTEM: what is to be seen in its picture}, 'quoted': {SYSTEM: a row told of elsewhere}}
  """
  about = {'data': {}, 'remarks': {}, 'quoted': {}}
  if path is None:
    return about
  try:
    return about | json.loads(path.read_text('utf-8'))
  except (OSError, ValueError) as error:
    raise UserError(f'--about={path} cannot be read: {error}') from error


def write(folder, names, about, page=None):
  """Writes results.md, results.json and pictures/ in `folder`; with `page` also into it and beside it.

  Raises UserError where the page has not the marks, or what is stored is damaged.
  """
  rows = [row for name in names if (row := read_row(folder, name, about))]
  write_text(folder / 'results.json', json.dumps(rows, indent=2, ensure_ascii=False) + '\n')
  draw(folder, rows, folder / 'pictures')
  write_text(folder / 'results.md', markdown(rows, 'pictures') + '\n')
  if page:
    text = page.read_text('utf-8') if page.exists() else ''
    if not all(mark in text for mark in MARKS):
      raise UserError(f'{page} has no place for the table; put the lines {MARKS[0]} and {MARKS[1]} into it')
    begin, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    draw(folder, rows, page.parent / 'pictures/results')
    write_text(page, f'{text[:begin]}\n{markdown(rows, "pictures/results")}\n{text[end:]}')
    write_text(page.with_suffix('.json'), json.dumps(rows, indent=2, ensure_ascii=False) + '\n')


# ------------------------------------------------------------------------------------------- what is stored


def read_row(folder, name, about):
  """A row: of the run that was made, else what is quoted of another, else None."""
  system = SYSTEMS[name]
  base = {'system': name, 'report': system.report, 'published': system.published,
          'remark': about['remarks'].get(name, '')}
  run = folder / (f'{system.needs}/priors' if system.needs else name)
  if not (run / NOTE).exists() or not (run / 'config.json').exists() and not system.needs:
    quoted = about['quoted'].get(name)
    return base | quoted if quoted else None
  note = json.loads((run / NOTE).read_text())
  row = base | {key: note[key] for key in ('seconds', 'hardware')}
  if system.needs:
    return row | {'data': data_of(system, about), 'pictures': found(folder, system.needs, system),
                  'command': f'python launch.py --mode=prior --workdir=runs/{system.needs}'}
  config, record = config_lib.flatten(read_config(run)), read_record(run)
  step = max((int(steps[-1]) for steps, _ in record.series.values()), default=0)
  return row | {'data': data_of(system, about), 'steps': step, 'batch_size': config['batch_size'],
                'seed': config['seed'], 'numbers': numbers(record, system.numbers),
                'pictures': found(folder, name, system), 'command': command(system.config, name, config, step)}


def data_of(system, about):
  return about['data'].get(system.data, {}).get('about') or f'the folder {system.data}'


def numbers(record, patterns):
  """[{name, value, error or None}] of the last evaluation's entries."""
  keys = [key for pattern in patterns for key in sorted(record.latest) if fnmatch.fnmatchcase(key, escaped(pattern))]
  return [{'name': _NAMES.get(key, key.split('/')[-1]), 'value': record.latest[key], 'error': error(record.latest, key)}
          for key in keys if isinstance(record.latest[key], (int, float))]


def escaped(pattern):
  """The names of numbers have brackets, which are no part of a pattern."""
  return pattern.replace('[', '[[]')


def error(latest, key):
  """The standard error of a number: as stored, of a share that of a binomial distribution, else None."""
  if f'{key}_standard_error' in latest:
    return latest[f'{key}_standard_error']
  if key == 'class_consistency/accuracy':
    return math.sqrt(latest[key] * (1 - latest[key]) / latest['class_consistency/num_generated'])
  return None


def found(folder, run, system):
  """The last file of each of a system's patterns in its run, as a path below `folder`."""
  files = [sorted((folder / run).glob(pattern)) for pattern in system.pictures]
  return [str(paths[-1].relative_to(folder)) for paths in files if paths]


def command(config_name, name, flat, step):
  """The command that trains a run again: its config and what it has otherwise."""
  usual = config_lib.flatten(importlib.import_module(f'configs.{config_name}').get_config())
  changed = {key: value for key, value in flat.items() if key in usual and value != usual[key]
             and key not in _CADENCE and not key.startswith('evaluators.')}
  changed |= {'data.dir': 'FOLDER', 'num_steps': step}
  words = [f'python launch.py --config=configs/{config_name}.py', *(
      f'--config.{key}={flag(value)}' for key, value in sorted(changed.items()))]
  if name in EVALUATORS:
    words.append(f'--evaluators={",".join(EVALUATORS[name])}')
  return ' '.join(words)


def flag(value):
  """A value as a flag has it, for a shell."""
  if isinstance(value, list):
    inner = ','.join(repr(entry) for entry in value)
    return f'"({inner}{"," if len(value) == 1 else ""})"'
  return re.sub(r'^.*/', '', value) if isinstance(value, str) else value


# ------------------------------------------------------------------------------------------- what is written


def draw(folder, rows, target):
  """Writes the pictures of the rows as JPEG files, each named after its system."""
  for row in rows:
    for path, name in zip(row.get('pictures', []), picture_names(row), strict=True):
      picture = Image.open(folder / path).convert('RGB')
      if picture.width > MAX_WIDTH:
        height = round(picture.height * MAX_WIDTH / picture.width)
        picture = picture.resize((MAX_WIDTH, height), Image.Resampling.LANCZOS)
      with replacing(target / name) as temporary:
        picture.save(temporary, format='JPEG', quality=QUALITY)


def picture_names(row):
  """Names of its files: '<system>.jpg', '<system>_2.jpg' and so on."""
  return [f'{row["system"]}{f"_{n}" if n > 1 else ""}.jpg' for n in range(1, len(row.get('pictures', [])) + 1)]


def markdown(rows, pictures):
  """The table, and below it each system's pictures and command; `pictures` is their folder as a link has it."""
  head = '| system | report | trained on | steps x batch | seconds, hardware, seed | its number | ours | seen |'
  lines = ['', head, '|---' * (head.count('|') - 1) + '|', *map(cells, rows), '']
  for row in rows:
    lines += [f'### {row["system"]}', '']
    lines += [f'![{row["system"]}]({pictures}/{name})' for name in picture_names(row)]
    lines += [f'![{row["system"]}]({path})' for path in row.get('links', [])]
    lines += ['', f'```sh\n{row["command"]}\n```', ''] if row.get('command') else ['']
  return '\n'.join(lines)


def cells(row):
  parts = (f'{row["seconds"]:,} s' if 'seconds' in row else row.get('time', ''), row.get('hardware', ''),
           f'seed {row["seed"]}' if 'seed' in row else '')
  cost = ', '.join(filter(None, parts))
  size = f'{row["steps"]:,} x {row["batch_size"]}' if 'steps' in row else row.get('size', '')
  ours = row.get('ours') or '; '.join(map(number, row.get('numbers', [])))
  link = f'[{row["system"]}](#{row["system"]})'
  return '| ' + ' | '.join((link, row['report'], row.get('data', ''), size, cost, row['published'] or 'none', ours,
                            row['remark'])) + ' |'


def number(entry):
  value = f'{entry["value"]:.4g}'
  return f'{entry["name"]} {value}' + (f' +- {entry["error"]:.2g}' if entry['error'] is not None else '')
