"""A study: variations of a config, trained one after the other and compared.

Each variation is an ordinary run in a separate folder, which can be continued and evaluated by itself. The
comparison, in the folder above, is drawn from the files of these runs alone (`jgen/report/comparison.py`).
"""

import dataclasses
import gc
import json
import math
from pathlib import Path

import jax
from ml_collections import ConfigDict

from jgen.commands import train, variations
from jgen.commands.variations import Variation
from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import write_text
from jgen.report.comparison import INDEX, draw_comparison
from jgen.run import folder as run_folder
from jgen.run import outputs
from jgen.training import setup
from jgen.training.config import completed


def run(config: ConfigDict, workdir: Path, command: str) -> None:
  """Trains what `config.study.variations` declares, each from where it stopped, and draws the comparison.

  A variation that is trained already is left alone; one that fails is named, and the others go on. Ctrl-C and SIGTERM
  save the variation that is being trained, draw what there is and return; `command` is shown then, to go on with.

  Raises:
    UserError: a variation cannot be read or cannot work (nothing is trained then), the folder holds something else, or
      a variation failed.
  """
  if jax.process_count() > 1:
    raise UserError('a study runs in one process; for several, train its variations one by one, without --mode=study')
  if config.num_seeds > 1:
    raise UserError(f'config.num_seeds is {config.num_seeds}, but a study compares runs of one seed each; set it to 1, '
                    "or train without --mode=study")
  folder = workdir.absolute()
  check_folder(folder)
  runs = [Run(variation, folder / variation.folder) for variation in variations.read(config, command)]
  for each in runs:
    each.check()
  with run_folder.locked(folder):
    Study(folder, runs, command).run()


def check_folder(folder: Path) -> None:
  """Raises UserError if a folder cannot take a study."""
  if folder.exists() and not folder.is_dir():
    raise UserError(f'{folder} is a file; name a folder with --workdir')
  if not (folder / INDEX).exists() and not run_folder.is_free(folder):
    raise UserError(f'{folder} holds files but no study (no {INDEX}); name another --workdir')


@dataclasses.dataclass
class Run:
  """One variation with its status: 'waiting', 'training', 'stopped', 'failed' or 'done'."""

  variation: Variation
  folder: Path
  error: str = ''                       # of one that failed
  noun: str = 'variation'               # its name in terminal messages

  def __post_init__(self):
    self.status = 'done' if self.done() else 'waiting'

  def done(self) -> bool:
    """Whether the last step is saved, and all that is measured and drawn of the run is there."""
    steps = [int(path.name) for path in (self.folder / 'checkpoints').glob('*') if path.name.isdecimal()]
    last = max(steps, default=0)
    return bool(last) and last >= self.num_steps() and outputs.are_complete(self.folder, last)

  def num_steps(self) -> float:
    """Steps of the whole run; infinity for a run by epochs that has not started with this length."""
    config = self.variation.config
    if not config.num_epochs:
      return config.num_steps
    stored = completed(run_folder.read_config(self.folder))
    return stored['num_steps'] if stored['num_epochs'] == config.num_epochs else math.inf

  def check(self) -> None:
    """Raises UserError if the variation cannot work; prepares its images if they are not."""
    config = self.variation.config
    try:
      family, evaluators, _ = setup.build(config)
      jax.eval_shape(family.init, jax.random.key(0))   # builds the networks, which may not fit
      run_folder.check(self.folder, config, completed)
      if self.status != 'done':
        setup.load(config, family, evaluators)
    except UserError as error:
      raise UserError(f"{self.noun} '{self.variation.name}': {error}") from error

  def train(self, command: str) -> bool:
    """Trains to the end, to a signal or to a failure; returns whether a signal requested a stop."""
    stopping = False
    try:
      stopping = train.run(self.variation.config, self.folder, command)
      self.status = 'done' if self.done() else 'stopped'
    except (UserError, jax.errors.JaxRuntimeError) as error:   # the latter: no room in the device's memory
      self.status, self.error = 'failed', ' '.join(str(error).split())[:400]
      terminal.tell(f'failed: {self.error}')
    gc.collect()                        # the arrays and compiled steps of this run, before the next one's
    return stopping

  def entry(self) -> dict[str, str]:
    """The entry of this run in the index of the study."""
    return {'name': self.variation.name, 'folder': self.variation.folder, 'settings': self.variation.settings,
            'status': self.status, 'error': self.error}


@dataclasses.dataclass(frozen=True)
class Study:
  """All runs of a study, and the folder above theirs."""

  folder: Path
  runs: list[Run]
  command: str

  def run(self) -> None:
    """Trains what is left; raises UserError in the end if some failed."""
    self.store()
    stopping = False
    for number, each in enumerate(self.runs, start=1):
      already = ', done already' if each.status == 'done' else ''
      terminal.say(f'{each.noun} {number} of {len(self.runs)}: {each.variation.name}{already}')
      if not already:
        stopping = self.train(each)
      if stopping:
        break
    draw_comparison(self.folder)
    terminal.say(self.summary())
    failed = self.named('failed')
    if failed:
      raise UserError(f'{len(failed)} of {len(self.runs)} {self.runs[0].noun}s failed: {", ".join(failed)}; see '
                      f'{self.folder}/comparison.md; the same command tries again what is not done')

  def train(self, each: Run) -> bool:
    """One run; the comparison is drawn after each, since the next may take days."""
    each.status = 'training'
    self.store()
    stopping = each.train(self.command)
    self.store()
    if not stopping and each is not self.runs[-1]:
      draw_comparison(self.folder)
    return stopping

  def store(self) -> None:
    write_text(self.folder / INDEX, json.dumps(
        {'command': self.command, 'variations': [each.entry() for each in self.runs]}, indent=2) + '\n')

  def named(self, status: str) -> list[str]:
    return [each.variation.name for each in self.runs if each.status == status]

  def summary(self) -> str:
    """The final summary of a study."""
    done = len(self.named('done'))
    lines = [f'{done} of {len(self.runs)} {self.runs[0].noun}s done',
             *(f'{name:<12} {self.folder / entry}' for name, entry in (
                 ('comparison', 'comparison.md'), ('numbers', 'comparison.csv'), ('figures', 'figures')))]
    if self.named('stopped') or self.named('waiting'):
      lines += [f'stopped; go on with: {self.command}']
    return '\n'.join(lines)
