"""--mode=study: trains variations of a config one after the other and compares them.

Each variation is an ordinary run in a separate folder, which can be continued and evaluated by itself. The
comparison, in the parent folder, is drawn from the files of these runs alone (`jgen/report/comparison.py`).
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
  """Trains the variations of `config.study.variations`, resuming stopped ones, and draws the comparison.

  Finished variations are skipped; a failure is reported and the others are trained nevertheless. Ctrl-C and SIGTERM
  save the current variation, draw the comparison so far and return, showing `command`, which continues the study.

  Raises:
    UserError: a variation cannot be read or is invalid (nothing is trained then), the folder holds something else, or
      a variation failed.
  """
  if jax.process_count() > 1:
    raise UserError('a study runs in one process; for several, train its variations one by one, without --mode=study')
  if config.num_seeds > 1:
    raise UserError(f'config.num_seeds is {config.num_seeds}, but each run of a study has one seed; set it to 1, '
                    "or train without --mode=study")
  folder = workdir.absolute()
  check_folder(folder)
  runs = [Run(variation, folder / variation.folder) for variation in variations.read(config, command)]
  for study_run in runs:
    study_run.check()
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
  error: str = ''                       # the error of a failed run
  noun: str = 'variation'               # what messages call it

  def __post_init__(self):
    self.status = 'done' if self.done() else 'waiting'

  def done(self) -> bool:
    """Whether the last step is saved, and all its scores and pictures are stored."""
    steps = [int(path.name) for path in (self.folder / 'checkpoints').glob('*') if path.name.isdecimal()]
    last = max(steps, default=0)
    return bool(last) and last >= self.num_steps() and outputs.are_complete(self.folder, last)

  def num_steps(self) -> float:
    """Steps of the whole run; infinity if its length is set in epochs and it has not started with this length."""
    config = self.variation.config
    if not config.num_epochs:
      return config.num_steps
    stored = completed(run_folder.read_config(self.folder))
    return stored['num_steps'] if stored['num_epochs'] == config.num_epochs else math.inf

  def check(self) -> None:
    """Raises UserError if the variation is invalid; prepares its images if necessary."""
    config = self.variation.config
    try:
      family, evaluators, _ = setup.build(config)
      jax.eval_shape(family.init, jax.random.key(0))   # builds the networks, which may not fit the images
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
    except (UserError, jax.errors.JaxRuntimeError) as error:   # the latter: out of memory
      self.status, self.error = 'failed', ' '.join(str(error).split())[:400]
      terminal.tell(f'failed: {self.error}')
    gc.collect()                        # frees the arrays and compiled steps of this run before the next one
    return stopping

  def entry(self) -> dict[str, str]:
    """The entry of this run in the index of the study."""
    return {'name': self.variation.name, 'folder': self.variation.folder, 'settings': self.variation.settings,
            'status': self.status, 'error': self.error}


@dataclasses.dataclass(frozen=True)
class Study:
  """All runs of a study, and their parent folder."""

  folder: Path
  runs: list[Run]
  command: str

  def run(self) -> None:
    """Trains unfinished runs; raises UserError at the end if some failed."""
    self.store()
    stopping = False
    for number, study_run in enumerate(self.runs, start=1):
      already = ', already done' if study_run.status == 'done' else ''
      terminal.say(f'{study_run.noun} {number} of {len(self.runs)}: {study_run.variation.name}{already}')
      if not already:
        stopping = self.train(study_run)
      if stopping:
        break
    draw_comparison(self.folder)
    terminal.say(self.summary())
    failed = self.named('failed')
    if failed:
      raise UserError(f'{len(failed)} of {len(self.runs)} {self.runs[0].noun}s failed: {", ".join(failed)}; see '
                      f'{self.folder}/comparison.md; the same command retries unfinished ones')

  def train(self, study_run: Run) -> bool:
    """Trains one run, then draws the comparison, since the next run may take days."""
    study_run.status = 'training'
    self.store()
    stopping = study_run.train(self.command)
    self.store()
    if not stopping and study_run is not self.runs[-1]:
      draw_comparison(self.folder)
    return stopping

  def store(self) -> None:
    write_text(self.folder / INDEX, json.dumps(
        {'command': self.command, 'variations': [study_run.entry() for study_run in self.runs]}, indent=2) + '\n')

  def named(self, status: str) -> list[str]:
    return [study_run.variation.name for study_run in self.runs if study_run.status == status]

  def summary(self) -> str:
    """The final summary of a study."""
    done = len(self.named('done'))
    lines = [f'{done} of {len(self.runs)} {self.runs[0].noun}s done',
             *(f'{name:<12} {self.folder / entry}' for name, entry in (
                 ('comparison', 'comparison.md'), ('numbers', 'comparison.csv'), ('figures', 'figures')))]
    if self.named('stopped') or self.named('waiting'):
      lines += [f'stopped; continue with: {self.command}']
    return '\n'.join(lines)
