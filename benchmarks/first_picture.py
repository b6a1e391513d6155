"""Times each config from its command to the first picture, without cached compilations.

  python -m benchmarks.first_picture --data=DIR [NAME ...]   # the configs NAME, all of them without one

DIR holds a folder a data set: celeba, anime, bitmoji, svhn, dsprites, tiny-imagenet-200, cifar10. Their images are
prepared first, which is not counted. Beside the time of the clock stand the seconds of all cores until then, which on a
machine that is shared say more. A run is ended by SIGKILL once it has drawn, or after --limit seconds.
"""

import argparse
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from jgen.run import config_file

ROOT = Path(__file__).parent.parent
FOLDERS = {'tiny_imagenet': 'tiny-imagenet-200'}   # where they are not called as the data set
OF_PICTURES = {'dcgan_bitmoji': 'bitmoji'}         # of the configs on a folder; others are on anime faces


def command_of(name, folder):
  """The arguments of launch.py for a config of configs/."""
  data = config_file.load(name).data.name
  place = OF_PICTURES.get(name, 'anime') if data == 'folder' else FOLDERS.get(data, data)
  return [f'--config={name}', *([f'--config.data.dir={folder / place}'] if data not in ('digits', 'sprites') else [])]


def cpu_seconds(process):
  """Seconds that a process and its children that ended have computed on all cores."""
  fields = Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2].split()
  return sum(map(int, fields[11:15])) / os.sysconf('SC_CLK_TCK')


def first_picture(arguments, limit):
  """(seconds of the clock, seconds of all cores, whether there is a picture) of a new run."""
  with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, 'JAX_COMPILATION_CACHE_DIR': f'{folder}/compiled'}
    start = time.monotonic()
    with open(f'{folder}/log', 'w+', encoding='utf-8') as log:
      process = subprocess.Popen([sys.executable, ROOT / 'launch.py', *arguments, f'--workdir={folder}/run'],
                                 env=environment, stdout=log, stderr=log)
      picture = Path(folder, 'run/samples/step_00000000.png')
      while not picture.exists() and process.poll() is None and time.monotonic() - start < limit:
        time.sleep(0.05)
      seconds = time.monotonic() - start
      if process.poll() is not None:
        log.seek(0)
        sys.exit(f'{" ".join(arguments)} ended without a picture: {log.read()[-400:]}')
      cpu = cpu_seconds(process)
      process.kill()
      process.wait()
      return seconds, cpu, picture.exists()


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('names', nargs='*')
  parser.add_argument('--data', type=Path, required=True)
  parser.add_argument('--limit', type=float, default=120.)
  given = parser.parse_args()
  print('| config | batch | seconds to the first picture | seconds of all cores |\n|---|---|---|---|')
  for name in given.names or sorted(path.stem for path in (ROOT / 'configs').glob('*.py')):
    arguments = command_of(name, given.data)
    prepared = subprocess.run([sys.executable, ROOT / 'launch.py', *arguments, '--mode=prepare'], capture_output=True,
                              text=True, check=False)
    if prepared.returncode:
      print(f'| `{name}` | | not measured: {prepared.stderr.strip()[:80]} | |', flush=True)
      continue
    seconds, cpu, drawn = first_picture(arguments, given.limit)
    time_text = f'{seconds:.0f}' if drawn else f'more than {given.limit:.0f}'
    print(f'| `{name}` | {config_file.load(name).batch_size:,} | {time_text} | {cpu:.0f} |', flush=True)


if __name__ == '__main__':
  main()
