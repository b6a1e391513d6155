"""Receipts: metadata stored with a score, so that only comparable scores are compared.

A receipt is {field: JSON value}. The fields in MEASURE describe the measurement: scores can be ranked if these agree.
Those in MODEL, and any other fields, describe the measured model, and may differ.
"""

from collections.abc import Mapping
import hashlib
import importlib.metadata
from typing import Any

import numpy as np

_PACKAGES = ('jax', 'jaxlib', 'flax', 'numpy', 'scipy', 'pillow')
_CHUNK = 4_096                          # images that are hashed at a time
_SCORES = 2                             # version of the scores; raised when the scores of the same images change

# How a score was measured, the most important field first.
MEASURE = {
    'extractor': 'the network of the features',
    'extractor_sha256': "the hash of the network's parameters",
    'features': 'the layer that the features are of',
    'protocol': 'how images become what the network sees',
    'image_shape': 'height, width and channels of the images',
    'num_generated': 'how many images were generated',
    'reference': 'the data set',
    'reference_split': 'whether training or test images',
    'reference_sha256': 'the hash of the real images',
    'num_reference': 'how many real images',
    'scores_version': "the version of this package's scores",
}
# Which model was measured.
MODEL = {
    'averaged_parameters': 'whether the sampled network is a moving average of the trained one',
    'batch_norm': 'what batch normalisation divides by',
    'seed': 'of the run, from which the samples come',
    'step': 'training steps',
}


def digest_of(array: np.ndarray) -> str:
  """sha256, in hexadecimal, of an array's type, shape and values; read part by part, so it may be memory-mapped."""
  hashed = hashlib.sha256(f'{array.dtype.str} {array.shape}'.encode())
  for start in range(0, len(array), _CHUNK):
    hashed.update(np.ascontiguousarray(array[start:start + _CHUNK]).data)
  return hashed.hexdigest()


def of_state(state: Any, seed: int, step: int) -> dict[str, Any]:
  """The fields of a TrainState whose samples were measured, in evaluation mode."""
  with_statistics = {name for name, collections in state.model_state.items() if 'batch_stats' in collections}
  kind = 'running averages' if with_statistics else 'none'
  if with_statistics & set(state.ema_params):
    kind = 'statistics of the averaged parameters'
  return {'averaged_parameters': bool(state.ema_params), 'batch_norm': kind, 'seed': seed, 'step': step}


def of_versions() -> dict[str, Any]:
  """The fields that are the same for all scores of this process."""
  return {'scores_version': _SCORES, 'versions': {name: importlib.metadata.version(name) for name in _PACKAGES}}


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
  """The first field of MEASURE in which two receipts differ, None where they are alike."""
  return next((field for field in MEASURE if first.get(field) != second.get(field)), None)
