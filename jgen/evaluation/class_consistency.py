"""How often a classifier trained on real images assigns generated images to the requested class."""

from collections.abc import Callable
import dataclasses
import functools

import numpy as np
from threadpoolctl import threadpool_limits

from jgen.data.spec import Dataset, Spec, Splits
from jgen.errors import UserError
from jgen.evaluation.base import Evaluator
from jgen.evaluation.descriptors import describe
from jgen.evaluation.measured import Measured
from jgen.families.base import Family
from jgen.families.model import Model
from jgen.keys import key

DRAW_SEED = 0             # the same real images for every seed of a run, so that scores of runs compare
HELD_OUT = 5              # every HELD_OUT-th real image tests the classifier


@dataclasses.dataclass(frozen=True)
class Classifier:
  """A classifier of real images, and its accuracy on held-out real images."""

  classify: Callable[[np.ndarray], np.ndarray]   # uint8 [N, H, W, C] to labels [N]
  accuracy: float                                # on the real images it was not trained on
  per_class: list[float]                         # the same, class by class
  num_train: int
  num_held_out: int
  description: str


@dataclasses.dataclass(frozen=True)
class ClassConsistency(Evaluator):
  """The accuracy on generated images, against the requested labels, of a classifier trained on real images."""

  num_real: int = key(5_000, 'labelled real images, at most; 4/5 train the classifier, 1/5 test it', at_least=1)
  num_generated: int = key(1_000, 'generated images, the same number of each class', at_least=1)

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError if `spec` has no classes, the model is unconditional, or there are too few real images."""
    if spec.num_classes < 2:
      raise UserError(f"config.evaluators.class_consistency: data set '{spec.name}' has no labels; "
                      'at least 2 classes are needed; remove the evaluator or use labelled images')
    if not family.num_classes:
      raise UserError('config.evaluators.class_consistency: the model is not conditioned on the class; make it '
                      'conditional or remove the evaluator')
    if self.num_real < 2 * spec.num_classes:
      raise UserError(f'config.evaluators.class_consistency.num_real is {self.num_real}, too few for 2 '
                      f'images of each of {spec.num_classes} classes; set {2 * spec.num_classes} or more')

  def check_data(self, splits: Splits) -> None:
    """Raises UserError if a class has too few images."""
    _draw(splits.train, self.num_real)

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of the numbers by which models can be ranked."""
    del spec, family
    return ('accuracy',)

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: the shares in [0, 1] of generated and of held-out real images that the classifier assigns their class.

    Every class is generated equally often: `num_generated` is rounded up to a multiple of the number of
    classes, and the entry of that name is the resulting number. Raises UserError as `classifier` does.
    """
    classifier, spec = self.classifier(splits.train), splits.train.spec
    # Classes alternate, so that a sampling batch of any size contains a mixture of them.
    labels = np.tile(np.arange(spec.num_classes, dtype=np.int32), -(-self.num_generated // spec.num_classes))
    right = classifier.classify(model.sample(labels, seed)) == labels
    return Measured({
        'accuracy': float(right.mean()),
        'per_class': _per_class(right, labels, spec.num_classes),
        'class_names': _class_names(spec),
        'classifier_accuracy': classifier.accuracy,
        'classifier_per_class': classifier.per_class,
        'num_real_train': classifier.num_train,
        'num_real_held_out': classifier.num_held_out,
        'num_generated': len(labels),
        'classifier': classifier.description,
    })

  def classifier(self, dataset: Dataset) -> Classifier:
    """The classifier of `dataset`'s images, fitted once per evaluator.

    Raises UserError if a class has too few images.
    """
    if id(dataset) not in self._classifiers:
      self._classifiers[id(dataset)] = dataset, _fit(dataset, self.num_real)
    return self._classifiers[id(dataset)][1]

  @functools.cached_property
  def _classifiers(self):
    """{id of a data set: (the data set, its classifier)}; the data set is kept alive so that its id remains unique."""
    return {}


def _fit(dataset, num_real):
  import sklearn
  from sklearn.decomposition import PCA
  from sklearn.pipeline import make_pipeline
  from sklearn.svm import SVC
  train, held_out = _draw(dataset, num_real)
  model = make_pipeline(PCA(0.95, svd_solver='covariance_eigh'), SVC(C=10))
  # One thread: next to a training process, several threads take three times as long.
  with threadpool_limits(1):
    model.fit(describe(dataset.images[train]), dataset.labels[train])
  labels = dataset.labels[held_out]
  right = model.predict(describe(dataset.images[held_out])) == labels
  return Classifier(
      classify=lambda images: model.predict(describe(images)),
      accuracy=float(right.mean()),
      per_class=_per_class(right, labels, dataset.spec.num_classes),
      num_train=len(train),
      num_held_out=len(held_out),
      description=f'support vector machine (radial basis, C = 10) on {model[0].n_components_} principal '
                  'components (95 % of the variance) of oriented gradients and coarse colours; '
                  f'scikit-learn {sklearn.__version__}')


def _draw(dataset, num_real):
  """Sorted indices (training, held out) of at most `num_real` images, stratified by class."""
  random = np.random.default_rng(DRAW_SEED)
  fraction = min(1, num_real / len(dataset.labels))
  train, held_out = [], []
  for label, name in enumerate(_class_names(dataset.spec)):
    of_class = random.permutation(np.flatnonzero(dataset.labels == label))
    drawn = of_class[:int(fraction * len(of_class))]
    if len(drawn) < 2:
      raise UserError(f"data set '{dataset.spec.name}' has too few images of class '{name}': {len(drawn)} of "
                      f'{len(of_class)} drawn, at least 2 are needed for its classifier; '
                      "raise num_real in the evaluator's section of config.evaluators or use more splits")
    num_held_out = max(1, len(drawn) // HELD_OUT)
    held_out.append(drawn[:num_held_out])
    train.append(drawn[num_held_out:])
  return np.sort(np.concatenate(train)), np.sort(np.concatenate(held_out))


def _per_class(right, labels, num_classes):
  return [float(right[labels == label].mean()) for label in range(num_classes)]


def _class_names(spec):
  return list(spec.label_names or map(str, range(spec.num_classes)))
