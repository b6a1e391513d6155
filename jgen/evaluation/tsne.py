"""t-SNE of the latent means of test images, and the accuracy of a linear classifier on the latent means.

The plane is for visual inspection; the classifier uses all entries of the latents.
"""

import dataclasses

from jaxtyping import Float, Integer
import numpy as np
from threadpoolctl import threadpool_limits

from jgen.data.files.tables import few
from jgen.data.spec import Annotation, Spec, Splits
from jgen.errors import UserError, nearest
from jgen.evaluation.base import Evaluator
from jgen.evaluation.measured import Measured
from jgen.evaluation.shared import spread
from jgen.families.base import Family
from jgen.families.contracts import Encodes
from jgen.families.model import Model
from jgen.keys import key

FOLDS = 5
_SECTION = 'config.evaluators.tsne'


@dataclasses.dataclass(frozen=True)
class Tsne(Evaluator):
  """t-SNE (van der Maaten and Hinton 2008) of latent means, coloured by an annotation, and its linear separability."""

  annotation: str = key('', "annotation that colours the points and is predicted from the latents; '' for the class")
  num_images: int = key(2_000, 'test images, at most', at_least=2)
  perplexity: float = key(30., 'of t-SNE: approximate number of neighbours; below the number of images', at_least=1)

  needs = (Encodes,)
  needs_test = True

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError if the data set lacks the annotation, or there are too few images."""
    annotation_of(spec, self.annotation)
    if self.num_images <= self.perplexity:
      raise UserError(f'{_SECTION}.num_images is {self.num_images}, but a perplexity of {self.perplexity:g} '
                      'needs more images than that; raise it or lower the perplexity')

  def check_data(self, splits: Splits) -> None:
    """Raises UserError if there are too few test images for the perplexity, or too few of one value for the folds."""
    self._codes(splits.test_set)

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of the numbers by which models can be ranked."""
    del spec, family
    return ('linear_accuracy', 'linear_balanced_accuracy')

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured, without a picture: the figure is drawn from `x`, `y` and `values`, one entry per image.

    `linear_accuracy` and `linear_balanced_accuracy`, in [0, 1], are cross-validated on held-out images;
    `majority_share` is the accuracy of always predicting the most frequent value (balanced: 1 / the number of values).
    Raises UserError as `check_data`.
    """
    import sklearn
    indices, codes = self._codes(splits.test_set)
    means, _ = model.encode(splits.test_set.images[indices])
    # One thread: next to a training process, several threads take three times as long.
    with threadpool_limits(1):
      points, divergence = embed(means, self.perplexity)
      accuracy, balanced = separability(means, codes)
    annotation = annotation_of(splits.test_set.spec, self.annotation)
    return Measured({
        'linear_accuracy': accuracy,
        'linear_balanced_accuracy': balanced,
        'majority_share': float(np.bincount(codes).max() / len(codes)),
        'num_values': len(np.unique(codes)),
        'num_test_images': len(codes),
        'tsne_divergence': divergence,
        'annotation': annotation.name,
        'value_names': list(annotation.values),
        'classifier': f'logistic regression (C = 1) on standardised latent means, {FOLDS}-fold cross-validation; '
                      f'scikit-learn {sklearn.__version__}',
        'x': np.round(points[:, 0], 3).tolist(),
        'y': np.round(points[:, 1], 3).tolist(),
        'values': codes.tolist(),
    })

  def _codes(self, dataset):
    """(indices of the images [n], their values [n]); raises UserError as `check_data` does."""
    indices = spread(self.num_images, dataset)
    if len(indices) <= self.perplexity:
      raise UserError(f'{_SECTION}.perplexity is {self.perplexity:g}, but there are {len(indices):,} test images; '
                      'set it below their number')
    annotation = annotation_of(dataset.spec, self.annotation)
    codes = _column(dataset, self.annotation)[indices]
    counts = np.bincount(codes, minlength=len(annotation.values))
    there = np.flatnonzero(counts)
    rarest = there[counts[there].argmin()]
    if counts[rarest] < FOLDS or len(there) < 2:
      raise UserError(
          f"{_SECTION}: {counts[rarest]:,} of {len(codes):,} test images have '{annotation.name}' = "
          f"'{annotation.values[rarest]}'; expected two values, and {FOLDS} images of each; use another "
          'annotation or more images')
    return indices, codes


def annotation_of(spec: Spec, name: str) -> Annotation:
  """The Annotation with this name; for '' the classes of the data set, as an Annotation 'class'.

  Raises:
    UserError: there is none, or it has only one value.
  """
  names = [annotation.name for annotation in spec.annotations]
  if not name:
    if spec.num_classes < 2:
      raise UserError(f"{_SECTION}.annotation is '', but {spec.name} has no classes; "
                      + (f'name what to colour by: {few(names)}' if names else 'remove the evaluator'))
    return Annotation('class', spec.label_names or tuple(map(str, range(spec.num_classes))))
  if name not in names:
    raise UserError(f"{_SECTION}.annotation: unknown annotation '{name}' for {spec.name}; {nearest(name, names)}")
  annotation = spec.annotations[names.index(name)]
  if len(annotation.values) < 2:
    raise UserError(f"{_SECTION}.annotation names '{name}', which has the single value "
                    f"'{''.join(annotation.values)}'; expected at least two")
  return annotation


def _column(dataset, name):
  """int32 [N], the values of the annotation as numbers from 0."""
  if not name:
    return dataset.labels
  return dataset.annotations[:, [annotation.name for annotation in dataset.spec.annotations].index(name)]


def embed(means: Float[np.ndarray, 'n Z'], perplexity: float) -> tuple[Float[np.ndarray, 'n 2'], float]:
  """(points [n, 2], the remaining divergence in nats) for latent means [n, Z]."""
  from sklearn.manifold import TSNE
  centred = means - means.mean(axis=0, dtype=np.float64)
  scale = centred.std()
  if not scale:                         # a collapsed encoder: scikit-learn 1.9 fails if all points are equal
    return np.zeros((len(means), 2)), 0.
  # Neither the scale nor a column of zeros changes neighbourhoods; the former keeps squares in the range of float32,
  # the latter provides the two principal components from which t-SNE starts if Z is 1.
  scaled = np.pad(centred / scale, ((0, 0), (0, max(0, 2 - means.shape[1]))))
  fitted = TSNE(perplexity=perplexity, init='pca', random_state=0).fit(scaled)
  return fitted.embedding_.astype(np.float64), float(fitted.kl_divergence_)


def separability(means: Float[np.ndarray, 'n Z'], codes: Integer[np.ndarray, ' n']) -> tuple[float, float]:
  """(accuracy, balanced accuracy) of predicting values [n] from held-out latent means [n, Z]."""
  from sklearn.linear_model import LogisticRegression
  from sklearn.metrics import accuracy_score, balanced_accuracy_score
  from sklearn.model_selection import StratifiedKFold, cross_val_predict
  from sklearn.pipeline import make_pipeline
  from sklearn.preprocessing import StandardScaler
  classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
  folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
  predicted = cross_val_predict(classifier, means.astype(np.float64), codes, cv=folds)
  return float(accuracy_score(codes, predicted)), float(balanced_accuracy_score(codes, predicted))
