"""Scores of a run: their names, units and directions, and their files `evaluation/*.json`.

Only this module reads or writes these files, and `KINDS` is the only table of directions. A score is named
`<evaluator>/<entry>`, as in TensorBoard: 'ledger/elbo', 'inception_features/fid@10000'.

  for evaluation in read_all(folder):              # all evaluations of a run, sorted by step
    for name, score in evaluation.scores().items():
      print(evaluation.step, name, score.value, score.better, score.unit, score.standard_error)
  direction_of(['codebook/mse'])                     # 'lower is better', for a figure's label
  best({100: 3.2, 200: float('nan'), 300: 4.1}, LOWER)   # 100
"""

from collections.abc import Iterable, Mapping
import dataclasses
import fnmatch
import json
import math
from pathlib import Path
from typing import Any, TypeVar

from jgen.errors import UserError, nearest
from jgen.host.files import read_json, write_text

K = TypeVar('K')
HIGHER, LOWER = 'higher', 'lower'
_FOLDER = 'evaluation'
_LARGEST = 2**53                        # integers below it are exact as floats

# Names of earlier versions, which are replaced by the current names when a run folder is read.
RENAMED = {('critic_outputs', 'told_apart'): 'auc'}   # {(evaluator, entry): entry}
RENAMED_EVALUATORS = {'held_out': 'test_loss'}

# What a score may be compared across.
RUNS = 'runs'                           # any runs
LIKELIHOOD = 'likelihood'               # runs with the same likelihood p(image | latents)
STEPS = 'steps'                         # the steps of one run: other runs may have another objective or test set


@dataclasses.dataclass(frozen=True)
class Kind:
  """Direction, unit and comparability of a score."""

  better: str = ''                      # HIGHER, LOWER, or '' for a number that ranks nothing
  unit: str = ''                        # '' for none
  among: str = RUNS                     # RUNS, LIKELIHOOD or STEPS


_NO_RANK = Kind()
_NATS = 'nats per image'
_PIXEL_ERROR = 'squared error per pixel, images in [-1, 1]'


def _of_features(name, kind):
  """The rows of KINDS for a score on a network's features, as the score itself and as a proxy of it."""
  return {f'*_features/{name}*@*': kind, f'*_features/proxy_{name}*@*': kind}


# {pattern of names: Kind}; the first matching pattern applies. Numbers without a matching pattern have no direction.
KINDS = {
    '*_features/*_low@*': _NO_RANK, '*_features/*_high@*': _NO_RANK, '*_features/*_std@*': _NO_RANK,
    **_of_features('fid', Kind(LOWER, 'squared distance of features')),
    **_of_features('kid', Kind(LOWER, 'squared kernel distance of features')),
    **_of_features('inception_score', Kind(HIGHER)),
    **_of_features('precision', Kind(HIGHER, 'share of generated images')),
    **_of_features('recall', Kind(HIGHER, 'share of real images')),
    **_of_features('density', Kind(HIGHER)),
    **_of_features('coverage', Kind(HIGHER, 'share of real images')),
    'class_consistency/accuracy': Kind(HIGHER, 'share of generated images'),
    'code_classes/nmi': Kind(HIGHER, 'normalised mutual information'),
    'codebook/mse': Kind(LOWER, _PIXEL_ERROR),
    'codebook/psnr': Kind(HIGHER, 'dB'),
    'codebook/ssim': Kind(HIGHER),
    'codebook/loss': Kind(LOWER, among=STEPS),
    'codebook/reconstruction': Kind(LOWER, among=STEPS),
    'codebook/cross_entropy': Kind(LOWER, _NATS, STEPS),
    'codebook/quantization_error': Kind(LOWER, "squared error per value of the encoder's output", STEPS),
    'disentanglement/mig': Kind(HIGHER, 'share of the entropy of a factor'),
    'disentanglement/sap': Kind(HIGHER, 'difference of accuracies'),
    'disentanglement/factor_vae_score': Kind(HIGHER, 'accuracy'),
    'disentanglement/beta_vae_score': Kind(HIGHER, 'accuracy'),
    'disentanglement/dci_disentanglement': Kind(HIGHER),
    'disentanglement/dci_completeness': Kind(HIGHER),
    'disentanglement/dci_informativeness': Kind(HIGHER, 'accuracy'),
    'test_loss/nats': Kind(LOWER, _NATS, STEPS),
    'test_loss/bits_per_code': Kind(LOWER, 'bits per code', STEPS),
    'test_loss/accuracy': Kind(HIGHER, 'share of the codes', STEPS),
    'test_loss/log_likelihood': Kind(HIGHER, _NATS, STEPS),
    'test_loss/elbo': Kind(HIGHER, _NATS, STEPS),
    'test_loss/bits_per_dimension': Kind(LOWER, 'bits per value of a pixel', STEPS),
    'test_loss/mse': Kind(LOWER, 'squared error per value', STEPS),
    'test_loss/mse_of_mean': Kind(LOWER, 'squared error per value', STEPS),
    'test_loss/loss': Kind(LOWER, among=STEPS),
    'test_loss/reconstruction': Kind(LOWER, among=STEPS),
    'test_loss/reconstruction_nats': Kind(LOWER, _NATS, STEPS),
    'test_loss/cross_entropy': Kind(LOWER, _NATS, STEPS),
    'test_loss/quantization_error': Kind(LOWER, "squared error per value of the encoder's output", STEPS),
    'ledger/elbo': Kind(HIGHER, _NATS, LIKELIHOOD),
    'ledger/importance_bound': Kind(HIGHER, _NATS, LIKELIHOOD),
    'ledger/bits_per_dimension': Kind(LOWER, 'bits per value of a pixel', LIKELIHOOD),
    'ledger/mse': Kind(LOWER, _PIXEL_ERROR),
    'ledger/mse_sampled': Kind(LOWER, _PIXEL_ERROR),
    'ledger/loss': Kind(LOWER, among=STEPS),
    'ledger/reconstruction': Kind(LOWER, among=STEPS),
    'ledger/reconstruction_nats': Kind(LOWER, _NATS, STEPS),
    'reconstruction_quality/mse': Kind(LOWER, 'squared error per pixel, images in [0, 1]'),
    'reconstruction_quality/psnr': Kind(HIGHER, 'dB'),
    'reconstruction_quality/ssim': Kind(HIGHER),
    'tsne/linear_accuracy': Kind(HIGHER, 'share of the images', STEPS),
    'tsne/linear_balanced_accuracy': Kind(HIGHER, 'mean share of the images of a value', STEPS),
}


def kind(name: str) -> Kind:
  """The Kind of the score `<evaluator>/<entry>`."""
  return next((kind for pattern, kind in KINDS.items() if fnmatch.fnmatchcase(name, pattern)), _NO_RANK)


def direction_of(names: Iterable[str]) -> str:
  """The text for a figure of these scores: 'higher is better', 'lower is better', or '' if their directions differ."""
  directions = {kind(name).better for name in names} - {''}
  return f'{directions.pop()} is better' if len(directions) == 1 else ''


def best(values: Mapping[K, float], better: str) -> K | None:
  """The key of the best value, the first one among equals; None if no value is finite or `better` is ''.

  Args:
    values: {key: number}; NaN and infinities on the worse side are never the best.
    better: HIGHER, LOWER or ''.
  """
  sign = {HIGHER: 1, LOWER: -1}.get(better)
  ranked = {key: sign * value for key, value in values.items() if sign and sign * value > -math.inf}
  return max(ranked, key=ranked.__getitem__, default=None)


@dataclasses.dataclass(frozen=True)
class Score:
  """One number that an evaluator measured."""

  value: float
  better: str                           # HIGHER, LOWER, or '' for a number that ranks nothing
  unit: str                             # '' for none
  standard_error: float | None = None   # of the mean over images; None if unknown


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """The results of one evaluator after one step."""

  step: int
  evaluator: str
  results: Mapping[str, Any]            # {entry: number, string, list or mapping}, ready for JSON
  about: Mapping[str, Any] = dataclasses.field(default_factory=dict)   # seed, data, settings, ...
  receipt: Mapping[str, Any] = dataclasses.field(default_factory=dict)   # how it was measured: jgen.run.receipt

  def numbers(self) -> dict[str, float]:
    """{'<evaluator>/<entry>': number} of the scalar results."""
    return {f'{self.evaluator}/{entry}': value for entry, value in self.results.items() if is_number(value)}

  def scores(self) -> dict[str, Score]:
    """{'<evaluator>/<entry>': Score} of the scalar results."""
    numbers = self.numbers()
    return {name: Score(value, kind(name).better, kind(name).unit, numbers.get(f'{name}_standard_error'))
            for name, value in numbers.items()}

  def write(self, folder: str | Path) -> Path:
    """Writes it atomically to the run folder, replacing an earlier one of this step; returns the path."""
    path = path_of(folder, self.evaluator, self.step)
    record = {'step': self.step, 'evaluator': self.evaluator, 'results': dict(self.results), **self.about}
    write_text(path, json.dumps(record | ({'receipt': dict(self.receipt)} if self.receipt else {}), indent=2) + '\n')
    return path

  @classmethod
  def read(cls, path: Path) -> 'Evaluation':
    """Reads an Evaluation from a file; raises UserError if the file is missing or damaged."""
    record = read_json(path, 'delete it and evaluate again', step=int, evaluator=str, results=dict)
    if not 0 <= record['step'] < _LARGEST:
      raise UserError(f"{path}: damaged, its 'step' is out of range; delete it and evaluate again")
    receipt = record.pop('receipt', {})
    if not isinstance(receipt, dict):
      raise UserError(f"{path}: damaged, its 'receipt' is not a mapping; delete it and evaluate again")
    evaluator, results = renamed(record.pop('evaluator')), record.pop('results')
    results = {RENAMED.get((evaluator, entry), entry): value for entry, value in results.items()}
    return cls(record.pop('step'), evaluator, results, record, receipt)


def renamed(name: str) -> str:
  """The current name of an evaluator, or of a score '<evaluator>/<entry>', that may have a name of an older version."""
  evaluator, slash, entry = name.partition('/')
  return RENAMED_EVALUATORS.get(evaluator, evaluator) + slash + RENAMED.get((evaluator, entry), entry)


def read_all(folder: str | Path) -> list[Evaluation]:
  """All Evaluations of a run folder, sorted by step; [] if there are none. Hidden files are ignored.

  Raises:
    UserError: a file is damaged.
  """
  files = sorted(path for path in (Path(folder) / _FOLDER).glob('*.json') if not path.name.startswith('.'))
  return sorted(map(Evaluation.read, files), key=lambda evaluation: evaluation.step)


def path_of(folder: str | Path, evaluator: str, step: int) -> Path:
  """The file of an evaluator's results after a step."""
  return Path(folder) / _FOLDER / f'{evaluator}_step_{step:08d}.json'


def is_number(value: object) -> bool:
  """Whether a result is a single number."""
  return isinstance(value, float) or isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST


# Scalar results that are settings of the measurement or its step, not scores.
SETTINGS = ('*/step', '*/num_*', '*/train_num_*', 'codebook/codebook_size', 'codebook/codes_per_image',
            'codebook/bits_per_image', 'ledger/kl_weight_per_*')


def is_setting(name: str) -> bool:
  """Whether the number `<evaluator>/<entry>` is a setting of the measurement or a standard error, not a score."""
  return name.endswith('_standard_error') or any(fnmatch.fnmatchcase(name, pattern) for pattern in SETTINGS)


def check_metric(metric: str, names: Iterable[str]) -> None:
  """Raises UserError unless `checkpoints.best_metric` is one of `names`, the measured scores, and has a direction."""
  ranking = [name for name in names if kind(name).better]
  if metric in names and metric not in ranking:
    raise UserError(f"config.checkpoints.best_metric is '{metric}', for which neither higher nor lower is better; "
                    f"available: {', '.join(ranking) or 'none'}")
  if metric not in names:
    raise UserError(f"config.checkpoints.best_metric is '{metric}', which no evaluator measures during training; "
                    f'{nearest(metric, ranking)}')
