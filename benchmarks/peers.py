"""The same short trainings end to end, from the command to the last file, in what a user would take instead of jgen.

  pip install -e '.[benchmark]' && pip install pythae==0.1.2
  python -m benchmarks.peers --data=FOLDER [--rounds=1] [--output=FOLDER]

- vae: one epoch of CelebA's training images at batch 32, `vae_celeba`'s networks, then the test images once: jgen and
  pythae's pipeline.
- dcgan: three epochs of Bitmoji faces at batch 64: jgen's `dcgan_bitmoji` and the loop of a PyTorch tutorial, whose
  DataLoader decodes a folder of pictures with two workers.

jgen runs cold (nothing prepared, nothing compiled) and warm (the same command again in another run folder). Contestants
take turns in each round. Prints seconds of the clock as a Markdown table. FOLDER holds `celeba` and `bitmoji`.
"""

import argparse
import os
from pathlib import Path
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.output import tell
from jgen.run import config_file

ROOT = Path(__file__).parent.parent
SIZE = 64
EPOCHS = {'vae': 1, 'dcgan': 3}
BATCH = {'vae': 32, 'dcgan': 64}
IMAGES = {'vae': 'celeba', 'dcgan': 'bitmoji'}
CONFIG = {'vae': 'vae_celeba', 'dcgan': 'dcgan_bitmoji'}
# Of the many evaluators of a jgen run, the one that measures what the peer measures.
EVALUATORS = {'vae': 'test_loss', 'dcgan': 'critic_outputs'}


def pictures(folder):
  """The paths of the JPEG and PNG files below a folder, sorted; links to folders are followed."""
  paths = (Path(root, name) for root, _, names in os.walk(folder, followlinks=True) for name in names)
  return sorted(path for path in paths if path.suffix.lower() in ('.jpg', '.png'))


def decoded(path):
  """The centred square of a picture as float32 [3, SIZE, SIZE] in [0, 1]."""
  import numpy as np
  from PIL import Image
  image = Image.open(path).convert('RGB')
  side = min(image.size)
  left, top = (image.width - side) // 2, (image.height - side) // 2
  image = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
  return np.asarray(image, np.float32).transpose(2, 0, 1) / 255


def train_vae(folder, output):
  """pythae's VAE with the networks of `vae_celeba` and its own pipeline."""
  import numpy as np
  from pythae.models import VAE, VAEConfig
  from pythae.models.base.base_utils import ModelOutput
  from pythae.models.nn import BaseDecoder, BaseEncoder
  from pythae.pipelines import TrainingPipeline
  from pythae.trainers import BaseTrainerConfig

  from benchmarks.twins import VAETrainer
  twin = VAETrainer(config_file.load('vae_celeba').model, 0)
  latent_size = config_file.load('vae_celeba').model.latent_size

  class Encoder(BaseEncoder):
    def __init__(self):
      super().__init__()
      self.latent_dim, self.body = latent_size, twin.encoder

    def forward(self, x):
      mean, log_variance = self.body(2 * x - 1).chunk(2, 1)
      return ModelOutput(embedding=mean, log_covariance=log_variance)

  class Decoder(BaseDecoder):
    def __init__(self):
      super().__init__()
      self.body = twin.decoder

    def forward(self, z):
      return ModelOutput(reconstruction=(self.body(z) + 1) / 2)

  split = dict(line.split() for line in Path(folder, 'list_eval_partition.txt').read_text().splitlines())
  read = lambda part: np.stack([decoded(path) for path in pictures(folder) if split.get(path.name) == part])
  model = VAE(VAEConfig(input_dim=(3, SIZE, SIZE), latent_dim=latent_size), encoder=Encoder(), decoder=Decoder())
  training = BaseTrainerConfig(output_dir=str(output), num_epochs=EPOCHS['vae'], learning_rate=2e-4,
                               per_device_train_batch_size=BATCH['vae'], per_device_eval_batch_size=BATCH['vae'])
  TrainingPipeline(model=model, training_config=training)(train_data=read('0'), eval_data=read('2'))


def train_dcgan(folder, output):
  """The loop of a tutorial: pictures, a DataLoader with two workers, samples and a checkpoint at the end."""
  import torch

  from benchmarks.twins import GANTrainer

  class Pictures(torch.utils.data.Dataset):
    paths = pictures(folder)

    def __len__(self):
      return len(self.paths)

    def __getitem__(self, index):
      return 2 * torch.from_numpy(decoded(self.paths[index])) - 1

  loader = torch.utils.data.DataLoader(Pictures(), BATCH['dcgan'], shuffle=True, num_workers=2, drop_last=True)
  trainer = GANTrainer(config_file.load('dcgan_bitmoji').model, 0)
  for _ in range(EPOCHS['dcgan']):
    for images in loader:
      trainer.step(images[None], torch.zeros(1, len(images), dtype=torch.int64))
  with torch.no_grad():
    samples = trainer.generator(torch.randn(100, trainer._latent_size)[:, :, None, None])
  Path(output).mkdir(parents=True)
  torch.save({'generator': trainer.generator.state_dict(), 'critic': trainer.critic.state_dict(), 'samples': samples},
             Path(output) / 'last.pt')


PEERS = {'vae': ('pythae', train_vae), 'dcgan': ('PyTorch loop', train_dcgan)}


def command_of_jgen(system, data, folder):
  """The command line of jgen's run: what it evaluates, draws and reports at the end included."""
  return [sys.executable, 'launch.py', f'--config={CONFIG[system]}', f'--workdir={folder}',
          f'--evaluators={EVALUATORS[system]}', f'--config.data.dir={Path(data) / IMAGES[system]}',
          f'--config.batch_size={BATCH[system]}', f'--config.num_epochs={EPOCHS[system]}']


def seconds(command, cache):
  """Seconds of the clock that a command takes, with jgen's caches in a folder."""
  start = time.monotonic()
  done = subprocess.run(command, cwd=ROOT, env={**os.environ, 'XDG_CACHE_HOME': str(cache)}, text=True,
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
  if done.returncode:
    raise SystemExit(f'{" ".join(map(str, command))} failed:\n{done.stdout[-2000:]}')
  return time.monotonic() - start


def measure(system, data, scratch):
  """{contestant: seconds} of one round."""
  peer = [sys.executable, '-m', 'benchmarks.peers', f'--train={system}', f'--data={data}', f'--output={scratch}/peer']
  cache = Path(scratch) / 'cache'
  commands = {'jgen, cold': command_of_jgen(system, data, f'{scratch}/cold'), PEERS[system][0]: peer,
              'jgen, warm': command_of_jgen(system, data, f'{scratch}/warm')}
  taken = {}
  for name, command in commands.items():
    taken[name] = seconds(command, cache)
    print(f'{system}: {name} {taken[name]:.1f} s', flush=True)
  return taken


def table(results):
  """The Markdown table of {system: {contestant: [seconds of each round]}}: medians, and their ratios to the peer's."""
  rows = ['| training | contestant | seconds | peer / this |', '|---|---|---|---|']
  for system, times in results.items():
    reference = statistics.median(times[PEERS[system][0]])
    for name, values in times.items():
      median = statistics.median(values)
      rows.append(f'| {CONFIG[system]}, {EPOCHS[system]} epochs at batch {BATCH[system]} | {name} | {median:.0f} | '
                  f'{reference / median:.2f} |')
  return '\n'.join(rows) + '\n'


def main(argv):
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--data', default='.')
  parser.add_argument('--systems', default=','.join(PEERS))
  parser.add_argument('--rounds', type=int, default=1)
  parser.add_argument('--output', default='')
  parser.add_argument('--train', default='', help='in this process, only the training of the peer')
  options = parser.parse_args(argv)
  if options.train:
    PEERS[options.train][1](Path(options.data) / IMAGES[options.train], options.output)
    return
  results = {system: {} for system in options.systems.split(',')}
  for _ in range(options.rounds):
    for system, times in results.items():
      with tempfile.TemporaryDirectory() as scratch:
        for name, value in measure(system, options.data, scratch).items():
          times.setdefault(name, []).append(value)
  tell('peers', table(results), results, options.output)


if __name__ == '__main__':
  main(sys.argv[1:])
