"""Receipts: metadata stored with a score, so that only comparable scores are ranked.

A receipt is {field: JSON value}. The fields in MEASURE describe the measurement: scores are comparable if they agree.
The fields in MODEL, and any others, describe the measured model, and may differ.
"""

from collections.abc import Mapping
import hashlib
import importlib.metadata
from typing import Any

import numpy as np

_PACKAGES = ('jax', 'jaxlib', 'flax', 'numpy', 'scipy', 'scikit-learn', 'pillow')
_CHUNK = 4_096                          # images hashed at a time
_SCORES = 2                             # version of the scores; raised when the scores of the same images change

# How a score was measured, the most important field first.
MEASURE = {
    'settings': 'the settings of the evaluator',
    'extractor': 'the feature network',
    'extractor_sha256': "the hash of the network's parameters",
    'features': 'the layer of the features',
    'protocol': 'the preprocessing of images for the network',
    'image_shape': 'height, width and channels of the images',
    'num_generated': 'the number of generated images',
    'reference': 'the data set',
    'reference_split': 'whether training or test images',
    'reference_sha256': 'the hash of the real images',
    'num_reference': 'the number of real images',
    'train_sha256': 'the hash of the training images',
    'test_sha256': 'the hash of the test images',
    'scores_version': "the version of this package's scores",
}
# Which model was measured.
MODEL = {
    'averaged_parameters': 'whether the sampled network is a moving average of the trained one',
    'batch_norm': 'which statistics batch normalisation uses',
    'seed': 'the random seed of the run',
    'step': 'training steps',
}


def digest_of(array: np.ndarray) -> str:
  """sha256, in hexadecimal, of an array's type, shape and values; read in parts, so it may be memory-mapped."""
  hashed = hashlib.sha256(f'{array.dtype.str} {array.shape}'.encode())
  for start in range(0, len(array), _CHUNK):
    hashed.update(np.ascontiguousarray(array[start:start + _CHUNK]).data)
  return hashed.hexdigest()


def of_state(state: Any, seed: int, step: int) -> dict[str, Any]:
  """The receipt fields of the TrainState that generated the measured samples."""
  with_statistics = {name for name, collections in state.model_state.items() if 'batch_stats' in collections}
  kind = 'running averages' if with_statistics else 'none'
  if with_statistics & set(state.ema_params):
    kind = 'statistics of the averaged parameters'
  return {'averaged_parameters': bool(state.ema_params), 'batch_norm': kind, 'seed': seed, 'step': step}


def of_versions() -> dict[str, Any]:
  """The receipt fields shared by all scores of this process."""
  return {'scores_version': _SCORES, 'versions': {name: importlib.metadata.version(name) for name in _PACKAGES}}


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
  """The first field of MEASURE in which two receipts differ; None if all agree."""
  return next((field for field in MEASURE if first.get(field) != second.get(field)), None)
