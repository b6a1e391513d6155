"""Damages run folders at random and checks that every reader succeeds or refuses in one line.

  python -m benchmarks.fuzz_runs                        # 1,500 damages of the folders in tests/fixtures, seed 0
  python -m benchmarks.fuzz_runs --num=300 --seed=1

A damage changes, cuts, removes or replaces a file of a copy: flipped bytes, zeros as after a power cut, no UTF-8,
JSON of another type, doubled or disordered lines, a folder in the place of a file. Then all that reads the file is
asked, in this process: config, records, checkpoints, evaluations, figures, comparison, record of starts, metrics file.
Ends with exit status 1 if a reader raised anything but a UserError of one line, or read changed rows of metrics.csv.
"""

import argparse
import collections
import json
from pathlib import Path
import random
import shutil
import sys
import tempfile
import traceback

from absl import logging
import jax

from jgen import data, families
from jgen.commands import compare
from jgen.errors import UserError
from jgen.host import terminal
from jgen.report.drawing import draw_figure
from jgen.report.figures import FIGURES
from jgen.run import environment
from jgen.run.checkpoints import Checkpoints
from jgen.run.metrics import MetricsFile
from jgen.run.records import read_record
from jgen.training.config import check, stored_config

FIXTURES = Path(__file__).parent.parent / 'tests/fixtures'
_VALUES = (None, True, -1, 0, 1e308, float('nan'), '', 'x', 'x' * 5_000, '\x00', [], {}, [[]], {'a': 1}, '1', 3.5,
           10**400)


# -------------------------------------------- damages (path, random)


def flip(path, rng):
  content = bytearray(path.read_bytes())
  for _ in range(rng.choice((1, 1, 4, 32))):
    if content:
      content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
  path.write_bytes(content)


def cut(path, rng):
  content = path.read_bytes()
  path.write_bytes(content[:rng.randrange(len(content) + 1)])


def zero(path, rng):
  content = path.read_bytes()
  start = rng.randrange(len(content) + 1)
  path.write_bytes(content[:start] + bytes(len(content) - start))


def replace(path, rng):
  path.write_bytes(rng.choice((b'', b'\xff\xfe', b'{', b'[]', b'null', b'3', b'"x"', b'{}', b'[' * 100_000, b'\0' * 64,
                               b'<html></html>', b'step\n', b'step,a\n1,2\n', b'NaN')))


def remove(path, rng):
  del rng
  path.unlink()


def folder_instead(path, rng):
  del rng
  path.unlink()
  path.mkdir()


def lines(path, rng):
  found = path.read_bytes().split(b'\n')
  action = rng.choice((lambda: found.insert(rng.randrange(len(found)), rng.choice(found)), lambda: rng.shuffle(found),
                       lambda: found.pop(rng.randrange(len(found)))))
  action()
  path.write_bytes(b'\n'.join(found))


def value(path, rng):
  """Another value, key or type somewhere in a JSON file; flips bytes of others."""
  if path.suffix != '.json':
    return flip(path, rng)
  whole = json.loads(path.read_text())
  section = whole
  while True:
    keys = list(section) if isinstance(section, dict) else range(len(section))
    key = rng.choice(list(keys))
    if not isinstance(section[key], (dict, list)) or not section[key] or rng.random() < 0.3:
      break
    section = section[key]
  if isinstance(section, dict) and rng.random() < 0.3:
    section[key + rng.choice(('', '_', '\x1b[31m'))] = section.pop(key) if rng.random() < 0.5 else 1
    section.pop(key, None)
  else:
    section[key] = rng.choice(_VALUES)
  path.write_text(json.dumps(whole))
  return None


DAMAGES = (flip, cut, zero, replace, remove, folder_instead, lines, value, value, value)


# -------------------------------------------- readers (folder, its sound original, state)


def read_all(part, folder, original, like):
  """[(reader, the UserError's line)] of the readers of a part that refused; another exception of a reader passes."""
  refused = []
  for reader in READERS[part]:
    try:
      reader(folder, original, like)
    except UserError as error:
      refused.append((reader.__name__[1:], str(error)))
  return refused


def _config(folder, original, like):
  del original, like
  config = stored_config(folder)
  check(config)
  families.create(config, data.describe(config.data))


def _records(folder, original, like):
  del original, like
  read_record(folder)


def _figures(folder, original, like):
  del original, like
  record = read_record(folder)
  for row in FIGURES:
    if row.has_data(record):
      draw_figure(row, record)


def _checkpoints(folder, original, like):
  checkpoints = Checkpoints(folder, stored_config(original).checkpoints, read_only=True)
  try:
    checkpoints.newest_and_best(like)
  finally:
    checkpoints.close()


def _compare(folder, original, like):
  del like
  compare.run([original, folder])


def _start(folder, original, like):
  del original, like
  environment.record_start(folder, 4, 'digits')


def _metrics(folder, original, like):
  del original, like
  MetricsFile(folder / 'metrics.csv', 4, 1).close()


# {first part of a file's path in the run folder: what reads it}
READERS = {
    'checkpoints': (_checkpoints,), 'config.json': (_config, _records), 'doctor.csv': (_records,),
    'environment.json': (_start,), 'evaluation': (_records, _figures, _checkpoints, _compare),
    'metrics.csv': (_records, _figures, _metrics), '.metrics.csv.seal': (_records, _metrics)}


# -------------------------------------------- the fuzz


def fuzz(num, seed, scratch, part=''):
  """Counter of outcomes, and [(damage, file, traceback)] of what went wrong."""
  rng, outcomes, wrong = random.Random(seed), collections.Counter(), []
  originals = sorted(path for path in FIXTURES.iterdir() if path.is_dir())
  states = {}
  for original in originals:
    config = stored_config(original)
    family = families.create(config, data.describe(config.data))
    states[original] = jax.eval_shape(family.init, jax.random.key(0))
  for number in range(num):
    original = originals[number % len(originals)]
    folder = Path(shutil.copytree(original, scratch / str(number)))
    _metrics(folder, original, None)    # seals it, which the version that made the run did not
    rows = (folder / 'metrics.csv').read_bytes()
    path = rng.choice(sorted(path for path in folder.rglob('*')
                             if path.is_file() and path.relative_to(folder).parts[0].startswith(part)))
    damage, name = rng.choice(DAMAGES), path.relative_to(folder)
    try:
      damage(path, rng)
      refused = read_all(name.parts[0], folder, original, states[original])
      bad = [line for _, line in refused if '\n' in line or not line]
      wrong += [(damage.__name__, name, f'no single line: {line!r}') for line in bad]
      outcomes['refused' if refused else 'read'] += 1
      if name == Path('metrics.csv') and 'records' not in dict(refused) and path.read_bytes() != rows:
        wrong.append((damage.__name__, name, 'changed rows were read'))
    except Exception:  # whatever it is, it is what is looked for
      outcomes['raised'] += 1
      wrong.append((damage.__name__, name, traceback.format_exc()))
    shutil.rmtree(folder)
  return outcomes, wrong


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--num', type=int, default=1_500)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--part', default='', choices=['', *READERS], help='damage these files alone')
  arguments = parser.parse_args()
  logging.set_verbosity(logging.ERROR)
  terminal.warn = lambda text: None     # thousands of warnings would hide the counts
  say, terminal.say = terminal.say, lambda *text, **end: None
  with tempfile.TemporaryDirectory() as scratch:
    outcomes, wrong = fuzz(arguments.num, arguments.seed, Path(scratch), arguments.part)
  kinds = collections.Counter(text.strip().splitlines()[-1][:150] for _, _, text in wrong)
  for kind, count in kinds.most_common():
    say(f'{count:4} {kind}')
  for damage, path, text in wrong[:5]:
    say(f'\n{damage} {path}\n{text}')
  say(f'{arguments.num} damages, seed {arguments.seed}: {dict(outcomes)}')
  sys.exit(bool(wrong))


if __name__ == '__main__':
  main()
