"""Table of results, made from run folders: Markdown and JSON, with pictures as JPEG."""

import fnmatch
import importlib
import json
import math
import re
import textwrap

from PIL import Image

from benchmarks.gallery_systems import EVALUATORS, SYSTEMS
from jgen.errors import UserError
from jgen.host.files import replacing, write_text
from jgen.run import config as config_lib
from jgen.run.folder import read_config
from jgen.run.records import read_record

MARKS = '<!-- begin: table written by benchmarks.gallery -->', '<!-- end -->'
NOTE = 'gallery.json'
MAX_WIDTH = 480                         # pixels of a picture
QUALITY = 85                            # of a JPEG

# Keys that do not change the result, or that describe how a subset of the published images was split.
_CADENCE = ('log_every_steps', 'sample_every_steps', 'checkpoint_every_steps', 'evaluate_every_steps', 'num_steps',
            'data.on_device', 'data.cache_dir', 'data.partition_file', 'evaluators_at_end')
_NAMES = {'ledger/mse': 'squared error of test images', 'ledger/elbo': 'ELBO', 'codebook/mse':
          'squared error of test images', 'codebook/perplexity': 'perplexity', 'class_consistency/accuracy':
          'class consistency', 'diversity/nearest_ratio': 'diversity', 'critic_outputs/auc': 'AUC',
          'code_classes/nmi': 'normalised mutual information with the digits',
          'generator/information': 'bound on the mutual information with the codes, in nats,',
          'generator/information_maximum': 'maximum'}


def read_about(path):
  """Reads the JSON file with descriptions; empty sections for those that are missing, or without a file.

  {'data': {FOLDER: {'about': description, 'folder': path if not in --data, 'config': {key: value}}},
  'remarks': {SYSTEM: what its picture shows}}
  """
  about = {'data': {}, 'remarks': {}}
  if path is None:
    return about
  try:
    return about | json.loads(path.read_text('utf-8'))
  except (OSError, ValueError) as error:
    raise UserError(f'--about={path} cannot be read: {error}') from error


def write(folder, names, about, page=None):
  """Writes results.md, results.json and pictures/ to `folder`; with `page`, also these rows of the page and its files.

  The page keeps its rows of all systems that have no run in `folder`.

  Raises UserError if the page lacks the markers, or it or a run folder is damaged.
  """
  rows = [read_row(folder, name, about) or unknown(name) for name in names]
  write_text(folder / 'results.json', json.dumps(rows, indent=2, ensure_ascii=False) + '\n')
  draw(folder, rows, folder / 'pictures')
  write_text(folder / 'results.md', markdown(rows, 'pictures') + '\n')
  if page:
    text = page.read_text('utf-8') if page.exists() else ''
    if not all(mark in text for mark in MARKS):
      raise UserError(f'{page} has no markers for the table; add the lines {MARKS[0]} and {MARKS[1]}')
    begin, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    draw(folder, rows, page.parent / 'pictures/results')
    rows = merged(read_rows(page.with_suffix('.json')), rows)
    write_text(page, f'{text[:begin]}\n{markdown(rows, "pictures/results")}\n{text[end:]}')
    write_text(page.with_suffix('.json'), json.dumps(rows, indent=2, ensure_ascii=False) + '\n')


def read_rows(path):
  """The rows of the table in a JSON file, as `write` stores it next to the page; [] if there is no such file.

  Raises UserError if the file is damaged.
  """
  try:
    return json.loads(path.read_text('utf-8')) if path.exists() else []
  except (OSError, ValueError) as error:
    raise UserError(f'{path} cannot be read: {error}; restore it, or delete it and the table') from error


def merged(old, new):
  """One row per system, in the order of SYSTEMS: the new one, or the old one if the new one has no result."""
  rows = {row['system']: row for row in old}
  rows |= {row['system']: row for row in new if row != unknown(row['system']) or row['system'] not in rows}
  return [rows[name] for name in SYSTEMS if name in rows]


def unknown(name):
  """The row of a system without a result."""
  return base_row(name) | {'ours': 'not trained yet'}


# ------------------------------------------------------------------------------------------- reading


def read_row(folder, name, about):
  """The row of a system as a dict, from its run folder; None if there is no run that was evaluated."""
  system = SYSTEMS[name]
  base = base_row(name) | {'remark': about['remarks'].get(name, '')}
  run = folder / (f'{system.needs}/priors' if system.needs else name)
  if not (run / NOTE).exists() or not (run / 'config.json').exists() and not system.needs:
    return None
  note = json.loads((run / NOTE).read_text())
  row = base | {key: note[key] for key in ('seconds', 'hardware')}
  if system.needs:
    return row | {'data': data_of(system, about), 'pictures': found(folder, system.needs, system),
                  'command': f'python launch.py --mode=prior --workdir=runs/{system.needs}'}
  config, record = config_lib.flatten(read_config(run)), read_record(run)
  evaluators = {number.split('/')[0] for number in system.numbers}   # their step may be before the last one
  step = max((int(record.latest[f'{name}/step']) for name in evaluators if f'{name}/step' in record.latest), default=0)
  return row | {'data': data_of(system, about), 'steps': step, 'batch_size': config['batch_size'],
                'seed': config['seed'], 'numbers': numbers(record, system.numbers),
                'pictures': found(folder, name, system), 'command': command(system.config, name, config, step)}


def base_row(name):
  return {'system': name, 'report': SYSTEMS[name].report, 'published': SYSTEMS[name].published, 'remark': ''}


def data_of(system, about):
  usual = f'the folder {system.data}' if system.data else 'the 1,797 digits of scikit-learn'
  return about['data'].get(system.data, {}).get('about') or usual


def numbers(record, patterns):
  """[{name, value, error or None}] of the metrics that match: of the last evaluation, else of the last logged step."""
  latest = {key: float(values[-1]) for key, (_, values) in record.series.items()} | record.latest
  keys = [key for pattern in patterns for key in sorted(latest) if fnmatch.fnmatchcase(key, escaped(pattern))]
  return [{'name': _NAMES.get(key, key.split('/')[-1]), 'value': latest[key], 'error': error(latest, key)}
          for key in keys if isinstance(latest[key], (int, float))]


def escaped(pattern):
  """The pattern with its brackets taken literally: metrics have them in their names."""
  return pattern.replace('[', '[[]')


def error(latest, key):
  """Standard error of an entry: as stored, or binomial for the class consistency, else None."""
  if f'{key}_standard_error' in latest:
    return latest[f'{key}_standard_error']
  if key == 'class_consistency/accuracy':
    return math.sqrt(latest[key] * (1 - latest[key]) / latest['class_consistency/num_generated'])
  return None


def found(folder, run, system):
  """The last file that matches each of the system's patterns, relative to `folder`."""
  files = [sorted((folder / run).glob(pattern)) for pattern in system.pictures]
  return [str(paths[-1].relative_to(folder)) for paths in files if paths]


def command(config_name, name, flat, step):
  """The command that repeats a run: its config and the overrides."""
  usual = config_lib.flatten(importlib.import_module(f'configs.{config_name}').get_config())
  changed = {key: value for key, value in flat.items() if key in usual and value != usual[key]
             and key not in _CADENCE and not key.startswith(('evaluators.', 'study.'))}
  changed |= {'num_steps': step} | ({'data.dir': 'FOLDER'} if flat['data.dir'] else {})
  words = [f'python launch.py --config=configs/{config_name}.py', *(
      f'--config.{key}={flag(value)}' for key, value in sorted(changed.items()))]
  if name in EVALUATORS:
    words.append(f'--evaluators={",".join(EVALUATORS[name])}')
  return ' '.join(words)


def flag(value):
  """A value as a command line flag, quoted for a shell."""
  if isinstance(value, list):
    inner = ','.join(repr(entry) for entry in value)
    return f'"({inner}{"," if len(value) == 1 else ""})"'
  return re.sub(r'^/.*/', '', value) if isinstance(value, str) else value   # a path on this machine says nothing


# ------------------------------------------------------------------------------------------- writing


def draw(folder, rows, target):
  """Writes the pictures of the rows as JPEG files named after the systems."""
  for row in rows:
    for path, name in zip(row.get('pictures', []), picture_names(row), strict=True):
      picture = Image.open(folder / path).convert('RGB')
      if picture.width > MAX_WIDTH:
        height = round(picture.height * MAX_WIDTH / picture.width)
        picture = picture.resize((MAX_WIDTH, height), Image.Resampling.LANCZOS)
      with replacing(target / name) as temporary:
        picture.save(temporary, format='JPEG', quality=QUALITY)


def picture_names(row):
  """File names of a row's pictures: '<system>.jpg', '<system>_2.jpg', ..."""
  return [f'{row["system"]}{f"_{n}" if n > 1 else ""}.jpg' for n in range(1, len(row.get('pictures', [])) + 1)]


def markdown(rows, pictures):
  """The table, followed by the pictures and the command of each system; `pictures` is their folder in links."""
  head = '| system | report | training data | steps x batch | time, hardware, seed | published | jgen | samples show |'
  lines = ['', head, '|---' * (head.count('|') - 1) + '|', *map(cells, rows), '']
  for row in rows:
    lines += [f'### {row["system"]}', '']
    lines += [f'![{row["system"]}]({pictures}/{name})' for name in picture_names(row)]
    lines += [f'![{row["system"]}]({path})' for path in row.get('links', [])]
    lines += ['', f'```sh\n{wrapped(row["command"])}\n```', ''] if row.get('command') else ['']
  return '\n'.join(lines)


def wrapped(command):
  """Commands, one per line, each over several lines, as a shell reads it."""
  return '\n'.join(' \\\n    '.join(textwrap.wrap(line, 110, break_long_words=False, break_on_hyphens=False))
                   for line in command.splitlines())


def cells(row):
  parts = (f'{row["seconds"]:,} s' if 'seconds' in row else row.get('time', ''), row.get('hardware', ''),
           f'seed {row["seed"]}' if 'seed' in row else '')
  cost = ', '.join(filter(None, parts))
  size = f'{row["steps"]:,} x {row["batch_size"]}' if 'steps' in row else row.get('size', '')
  ours = row.get('ours') or '; '.join(map(number, row.get('numbers', [])))
  link = f'[{row["system"]}](#{row["system"]})'
  return '| ' + ' | '.join((link, row['report'] or 'none', row.get('data', ''), size, cost,
                            row['published'] or 'none', ours, row['remark'])) + ' |'


def number(entry):
  value = f'{entry["value"]:.4g}'
  return f'{entry["name"]} {value}' + (f' +- {entry["error"]:.2g}' if entry['error'] is not None else '')
