"""The classifier behind a proxy distance: trained on the labels of the data set, always in the same way."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from jgen.data.spec import Dataset, Spec
from jgen.errors import UserError
from jgen.evaluation.features.stored import cached
from jgen.evaluation.shared import spread
from jgen.images.pixels import to_float
from jgen.networks.small_classifier import SmallClassifier, initial
from jgen.run.receipt import digest_of

_VERSION = 1              # of network and training; changing it retrains the classifier
_SEED = 0                 # independent of a run's seed, so that all runs on a data set share one classifier
_MAX_IMAGES = 20_000      # for training and testing
_HELD_OUT = 5             # every _HELD_OUT-th image tests the classifier
_BATCH, _STEPS, _LEARNING_RATE = 64, 1_000, 2e-3   # of Adam, with cosine decay to 0


def check(spec: Spec, name: str) -> None:
  """Raises UserError if the data set has no classes for the evaluator `name`."""
  if spec.num_classes < 2:
    raise UserError(f"config.evaluators.{name}: data set '{spec.name}' has no labels to learn features from; at least "
                    '2 classes are needed; use labelled images or random_features')


def trained(dataset: Dataset,
            cache_dir: Path | None) -> tuple[SmallClassifier, dict[str, dict[str, np.ndarray]], float]:
  """(SmallClassifier, its parameters, accuracy in [0, 1] on images that it was not trained on).

  Trained once per data set and kept in the data cache: training elsewhere gives other rounding errors and another
  hash, and scores that do not compare. Its features have mean square 1 over its training images. Raises
  UserError if there are too few images to hold some out.
  """
  network = SmallClassifier(dataset.spec.num_classes)
  chosen = spread(_MAX_IMAGES, dataset)
  if len(chosen) < 2 * _HELD_OUT:
    raise UserError(f"data set '{dataset.spec.name}' has {len(chosen)} training images; a classifier needs at "
                    f'least {2 * _HELD_OUT}; use more, or random_features')
  images, labels = dataset.images[chosen], dataset.labels[chosen]
  receipt = {'classifier': _VERSION, 'images_sha256': digest_of(images), 'labels_sha256': digest_of(labels),
             'num_classes': dataset.spec.num_classes}
  arrays = cached(cache_dir, f'classifier-{dataset.spec.name}', receipt,
                  lambda: _trained(network, images, labels))
  accuracy = float(arrays.pop('accuracy'))
  params: dict[str, dict[str, np.ndarray]] = {}
  for key, array in arrays.items():
    layer, kind = key.split('/')
    params.setdefault(layer, {})[kind] = array
  return network, params, accuracy


def _trained(network, images, labels):
  """{'layer/kind': array} of the parameters, and 'accuracy'."""
  random = np.random.RandomState(_SEED)
  held_out, train = np.split(random.permutation(len(images)), [len(images) // _HELD_OUT])
  params = _fitted(network, images, labels, train, random)
  params = scaled(params, np.sqrt(np.mean(np.square(_outputs(network, params, images[train], 'features')))))
  right = _outputs(network, params, images[held_out], 'logits').argmax(axis=1) == labels[held_out]
  arrays = {f'{layer}/{kind}': np.asarray(leaf) for layer, unit in params.items() for kind, leaf in unit.items()}
  return arrays | {'accuracy': np.array(right.mean())}


def scaled(params: dict[str, Any], size: Any) -> dict[str, Any]:
  """The parameters of the same classifier with features divided by `size`: ReLU commutes with a positive factor."""
  last = max(name for name in params if name != 'logits')
  return params | {last: {kind: leaf / size for kind, leaf in params[last].items()},
                   'logits': params['logits'] | {'kernel': params['logits']['kernel'] * size}}


def _fitted(network, images, labels, train, random):
  optimizer = optax.adam(optax.cosine_decay_schedule(_LEARNING_RATE, _STEPS))

  # Not in a scan, in which XLA's gradients of convolutions are many times slower on a CPU.
  @jax.jit
  def step(params, opt_state, batch, target):
    def loss(params):
      logits = network.apply({'params': params}, to_float(batch))['logits']
      return optax.softmax_cross_entropy_with_integer_labels(logits, target).mean()
    updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
    return optax.apply_updates(params, updates), opt_state

  params = initial(network, images.shape[1:], _SEED)
  opt_state = optimizer.init(params)
  for _ in range(_STEPS):
    rows = train[random.randint(len(train), size=_BATCH)]
    params, opt_state = step(params, opt_state, images[rows], labels[rows])
  return jax.device_get(params)


def _outputs(network, params, images, name):
  """The network's output of this name, [n, ...], for uint8 images [n, H, W, C]."""
  apply = jax.jit(lambda params, images: network.apply({'params': params}, to_float(images))[name])
  return np.concatenate([apply(params, images[i:i + _BATCH]) for i in range(0, len(images), _BATCH)])
