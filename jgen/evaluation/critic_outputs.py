"""Outputs of the critic (discriminator) for real and generated images, and the samples with extreme outputs."""

from collections.abc import Mapping
import dataclasses

from jaxtyping import Float
import numpy as np

from jgen.data.spec import Spec, Splits
from jgen.evaluation.base import Evaluator
from jgen.evaluation.measured import Measured
from jgen.evaluation.shared import blanks, check_at_least, spread
from jgen.families.base import Family
from jgen.families.contracts import HasCritic
from jgen.families.model import Model
from jgen.images.grids import Grid
from jgen.keys import key

_COLUMNS = 10             # largest number of images side by side


@dataclasses.dataclass(frozen=True)
class CriticOutputs(Evaluator):
  """The critic's outputs as histograms, and the samples at both ends; in evaluation mode, without augmentation."""

  num_images: int = key(1_000, 'images of each kind: training, test if any, generated', at_least=2)
  num_shown: int = key(20, 'generated images with the highest output to show, and as many with the lowest',
                       at_least=1)
  num_bins: int = key(40, 'bars of the histograms, over the outputs for all images', at_least=2)

  needs = (HasCritic,)

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError if more samples are to be shown than drawn."""
    check_at_least('critic_outputs', self, num_images=2 * self.num_shown)

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: counts of the outputs in common bins for all kinds of images, means and shares; and the picture.

    `auc` is the probability that a real training image has a higher output than a generated one (the area
    under the ROC curve): 1/2 if the critic cannot separate them. It needs no decision threshold.
    """
    kinds = {name: (dataset.images[indices], dataset.labels[indices]) for name, dataset, indices in (
        (name, dataset, spread(self.num_images, dataset)) for name, dataset in (
            ('train', splits.train), ('test', splits.test)) if dataset)}
    labels = np.resize(kinds['train'][1], self.num_images)
    samples = model.sample(labels, seed)
    outputs = {name: model.critic_logits(*pair) for name, pair in {**kinds, 'generated': (samples, labels)}.items()}
    edges, counts = histograms(outputs, self.num_bins)
    return Measured(
        {'auc': auc(outputs['train'], outputs['generated']),
         **{f'mean_{name}': float(values.mean()) for name, values in outputs.items()},
         'edges': edges.tolist(), 'counts': {name: count.tolist() for name, count in counts.items()}},
        {'best_and_worst_samples': self._grid(samples, outputs['generated'])})

  def _grid(self, samples, outputs):
    """The samples with the highest outputs above those with the lowest, in descending order."""
    order = np.argsort(-outputs, kind='stable')
    columns = min(self.num_shown, _COLUMNS)
    blank = blanks(-self.num_shown % columns, samples.shape[1:])
    gap = blanks(columns, samples.shape[1:])
    images = np.concatenate([samples[order[:self.num_shown]], blank, gap, samples[order[-self.num_shown:]], blank])
    rows = -(-self.num_shown // columns)
    return Grid(images, columns, ('highest output', *[''] * rows, 'lowest output', *[''] * (rows - 1)),
                f"critic's output {outputs[order[0]]:.3g} to {outputs[order[-1]]:.3g}, of {len(samples):,} samples")


def histograms(outputs: Mapping[str, Float[np.ndarray, ' _']],
               num_bins: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """(edges [num_bins + 1], {name: counts [num_bins]}) of outputs {name: [n]}, over their common range."""
  edges = np.histogram_bin_edges(np.concatenate(list(outputs.values())).astype(np.float64), num_bins)
  return edges, {name: np.histogram(values, edges)[0] for name, values in outputs.items()}


def auc(real: Float[np.ndarray, ' n'], generated: Float[np.ndarray, ' m']) -> float:
  """The share of pairs of a real and a generated image in which the real one's output [n] exceeds the other's [m].

  Equal outputs count half.
  """
  generated = np.sort(generated)
  below, not_above = (np.searchsorted(generated, real, side) for side in ('left', 'right'))
  return float((below + not_above).mean() / (2 * len(generated)))
