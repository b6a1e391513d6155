"""The feature networks of scores, and the names of these scores.

Only the whole Inception of 2015-12-05 gives an `fid`. Its 768 features of Mixed_6e give an `fid768`, and every other
network gives a `proxy_fid[...]`, so that the name of a number states its kind wherever it is copied.
"""

import dataclasses
from pathlib import Path
from typing import Any

from jgen.data import cache
from jgen.data.spec import Dataset, Spec
from jgen.errors import UserError
from jgen.evaluation.features import proxy_classifier
from jgen.evaluation.features.extractor import Extractor, inception_extractor
from jgen.images.pixels import to_float
from jgen.networks.inception import network as inception
from jgen.networks.inception import weights as inception_weights
from jgen.networks.inception.weights import digest
from jgen.networks.small_classifier import SmallClassifier, initial
from jgen.shapes import Shape

_INCEPTION_BATCH, _SMALL_BATCH = 32, 128   # images on one device; no score depends on it beyond rounding
_RANDOM_SEED = 0
_NATIVE = 'native'                      # the protocol of the small networks: images in their original size, in [-1, 1]


def default_weights() -> Path:
  """Where `python launch.py --mode=weights` puts the converted Inception: in the folder of the data cache."""
  return cache.root_of() / 'inception.npz'


@dataclasses.dataclass(frozen=True)
class FeatureSpace:
  """A compiled feature network, and how its scores are named and described."""

  extractor: Extractor
  features: str                         # which of the extractor's outputs are the features
  logits: str                           # which of them is used for the Inception Score; '' for none
  network: str                          # 'inception', '<data set>-cnn' or 'random'
  form: str                             # format of names of scores in this space, with a place for the usual name
  sha256: str                           # of the network's parameters
  protocol: str
  facts: dict = dataclasses.field(default_factory=dict)   # further numbers to store with the scores

  def named(self, score: str, count: int | str, part: str = '') -> str:
    """The name under which a score of `count` images is stored: 'fid@10000', 'proxy_kid[random]_low@500'.

    `count` may be 'infinity', for an extrapolated score.
    """
    return f'{self.form.format(score)}{part}@{count}'

  def receipt(self) -> dict[str, Any]:
    """The fields of a receipt that describe this space."""
    return {'extractor': self.network, 'extractor_sha256': self.sha256, 'features': self.features,
            'protocol': self.protocol}


def inception_space(weights: inception_weights.Weights, protocol: str, with_logits: bool = False) -> FeatureSpace:
  """The FeatureSpace of `inception_weights.Weights`, as deep as they reach; logits are optional since they take time.

  Raises UserError if the weights end before 768 features, or before requested logits.
  """
  depth = 'logits' if with_logits else min(weights.depth, '2048', key=inception.DEPTHS.index)
  if inception.DEPTHS.index(depth) < inception.DEPTHS.index('768'):
    raise UserError(f"the Inception weights end at '{weights.depth}'; scores need '768', the features of Mixed_6e, at "
                    'least')
  features = '2048' if with_logits else depth
  form = '{}' if features == '2048' else f'{{}}{features}'
  return FeatureSpace(inception_extractor(weights, protocol, depth, _INCEPTION_BATCH), features,
                      'unbiased_logits' if with_logits else '', 'inception', form, weights.sha256, protocol)


def random_space(image_shape: Shape) -> FeatureSpace:
  """The FeatureSpace of an untrained network, the same for all runs on images of this shape (H, W, C)."""
  network = SmallClassifier(1)
  return _small_space(network, initial(network, image_shape, _RANDOM_SEED), 'random')


def classifier_space(dataset: Dataset, cache_dir: Path | None) -> FeatureSpace:
  """The FeatureSpace of a classifier of this data set's labels, trained unless it is in the cache."""
  network, params, accuracy = proxy_classifier.trained(dataset, cache_dir)
  return _small_space(network, params, _classifier_name(dataset.spec), 'logits', {'classifier_accuracy': accuracy})


def form_of_classifier(spec: Spec) -> str:
  """The `form` of `classifier_space` for a data set of this Spec."""
  return form_of_proxy(_classifier_name(spec))


def form_of_proxy(network: str) -> str:
  """The `form` of the FeatureSpace of a network other than the Inception."""
  return f'proxy_{{}}[{network}]'


def _classifier_name(spec):
  return f'{spec.name}-cnn'


def _small_space(network, params, name, logits='', facts=None):
  extractor = Extractor(lambda params, images: network.apply({'params': params}, to_float(images)), params,
                        on_host=lambda images: images, batch_size=_SMALL_BATCH)
  return FeatureSpace(extractor, 'features', logits, name, form_of_proxy(name), digest(params), _NATIVE, facts or {})
