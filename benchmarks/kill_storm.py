"""Kills tiny runs at random moments, resumes them and compares the results: python -m benchmarks.kill_storm

Each round kills a run of one family, of priors or of a study --kills times (SIGKILL), lets it end, and compares every
file that it leaves behind, byte for byte, with those of the same run without a kill: all but times, process numbers and
paths, TensorBoard's events, and Orbax's own files, of which the digest of the arrays is compared. A line a round; exit
status 1 where something differs, is missing or is left over.
"""

import argparse
import csv
import os
from pathlib import Path
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = Path(__file__).resolve().parent.parent
_COMMON = ('--config.num_steps=24', '--config.batch_size=8', '--config.log_every_steps=2',
           '--config.steps_per_dispatch=2',
           '--config.checkpoint_every_steps=4', '--config.sample_every_steps=8', '--config.evaluate_every_steps=8',
           '--config.data.name=digits', '--config.data.image_size=8', '--config.samples_per_class=2')
_SMALL = ('--config.model.generator.features=(8,8)', '--config.model.critic.features=(8,8)',
          '--config.model.latent_size=4')
_AUTOENCODER = ('--config.model.encoder.features=(8,8)', '--config.model.decoder.features=(8,8)',
                '--config.data.splits=("train",)', '--config.data.test_splits=("test",)')

_OF_PRIORS = {'num_steps': 24, 'batch_size': 8, 'log_every_steps': 2, 'checkpoint_every_steps': 4,
              'sample_every_steps': 8, 'evaluate_every_steps': 8, 'steps_per_dispatch': 2}

# {name: the arguments of a run}; each takes seconds. Priors go on in the folder of a VQ-VAE.
SYSTEMS = {
    'wgan': ('--config=configs/quickstart.py', *_SMALL, '--config.evaluators.class_consistency.num_generated=20'),
    'dcgan': ('--config=configs/dcgan_digits.py', *_SMALL),
    'acgan': ('--config=configs/acgan_digits.py', *_SMALL),
    'infogan': ('--config=configs/infogan_digits.py', *_SMALL),
    'vae': ('--config=configs/vae_celeba_small.py', *_AUTOENCODER),
    'vqvae': ('--config=configs/vqvae_digits.py', *_AUTOENCODER, '--config.model.quantizer.code_size=8'),
    'study': ('--config=configs/quickstart.py', *_SMALL, '--mode=study',
              '--config.evaluators.class_consistency.num_generated=20',
              '--config.study.variations=("seed=1","seed=2")'),
    'priors': ('--mode=prior', *(f'--config.priors.{prior}.{key}={value}' for prior in ('mixture', 'autoregressive')
                                 for key, value in _OF_PRIORS.items())),
}
BEFORE = {'priors': 'vqvae'}            # {system: the system whose run it goes on from}

# Files whose bytes hold a time, a path or a process, and files of libraries with such names.
_UNLIKE = ('environment.json', 'events.out.tfevents', '_CHECKPOINT_METADATA', 'comparison', 'study.json', '.lock',
           'speed.', '.speed.', 'report.html')


def start(system, folder):
  common = () if system in BEFORE else _COMMON   # a run that is there already knows them
  return subprocess.Popen([sys.executable, 'launch.py', *SYSTEMS[system], *common, f'--workdir={folder}'], cwd=ROOT,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, 'JAX_PLATFORMS': 'cpu'})


def finish(system, folder):
  """Runs to the end; returns the seconds that took."""
  if system in BEFORE and not folder.exists():
    finish(BEFORE[system], folder)
  begin = time.monotonic()
  process = start(system, folder)
  _, told = process.communicate()
  if process.returncode:
    raise RuntimeError(f'{system} ended with {process.returncode}: {told[-2000:]}')
  return time.monotonic() - begin


def contents(folder):
  """{path: bytes} of what a run leaves behind; of files that hold times, that they are there."""
  found = {}
  for path in sorted(folder.rglob('*')):
    if path.is_file() and 'tensorboard' not in path.parts:
      name = str(path.relative_to(folder))
      if 'checkpoints' in path.parts:   # Orbax names and orders its files by chance; the digest tells the arrays
        name, data = str(path.relative_to(folder).parent).partition('/state')[0], b''
        if path.parent.name == 'meta' and path.name == 'metadata':
          name, data = f'{name}/digest', path.read_bytes()
      else:
        data = b'' if path.name.startswith(_UNLIKE) else path.read_bytes().replace(bytes(folder), b'')
      found[name] = data
  return found


def differences(whole, killed):
  """A line for each file that differs."""
  return [f'{name}: ' + ('missing' if name not in killed else 'left over' if name not in whole else 'differs')
          for name in sorted({*whole, *killed}) if whole.get(name) != killed.get(name)]


def storm(system, folder, seconds, kills, rng):
  """Kills the run `kills` times, each within the time that it takes, then lets it end; returns the kills that hit."""
  hit = 0
  if system in BEFORE:
    finish(BEFORE[system], folder)
  for _ in range(kills):
    process = start(system, folder)
    time.sleep(rng.uniform(0.2, 1) * seconds)
    hit += process.poll() is None
    process.kill()
    process.communicate()
  finish(system, folder)
  return hit


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--systems', nargs='+', choices=SYSTEMS, default=list(SYSTEMS))
  parser.add_argument('--rounds', type=int, default=4, help='of each system')
  parser.add_argument('--kills', type=int, default=5, help='in a round')
  parser.add_argument('--minutes', type=float, default=60, help='after which no new round begins')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--output', default='', help='a .csv of the rounds')
  given = parser.parse_args()
  rng, end, rows = random.Random(given.seed), time.monotonic() + 60 * given.minutes, []
  with tempfile.TemporaryDirectory() as scratch:
    whole = {}
    for number in range(given.rounds):
      for system in given.systems:
        if time.monotonic() > end:
          break
        if system not in whole:
          finish(system, Path(scratch, system, 'whole'))
          seconds = finish(system, Path(scratch, system, 'timed'))   # with compiled programs that are kept
          whole[system] = contents(Path(scratch, system, 'whole')), seconds
        folder = Path(scratch, system, f'killed_{number}')
        hit = storm(system, folder, whole[system][1], given.kills, rng)
        unlike = differences(whole[system][0], contents(folder))
        rows.append((system, number, hit, len(unlike)))
        print(f'{system:<8} round {number}: {hit} kills of a running process, {len(unlike)} differences',
              *unlike[:40], sep='\n  ', flush=True)
        shutil.rmtree(folder)
  print(f'{sum(row[2] for row in rows)} kills in {len(rows)} rounds, {sum(row[3] for row in rows)} differences')
  if given.output:
    with open(given.output, 'w', newline='') as file:
      csv.writer(file, lineterminator='\n').writerows([('system', 'round', 'kills', 'differences'), *rows])
  sys.exit(any(row[3] for row in rows))


if __name__ == '__main__':
  main()
