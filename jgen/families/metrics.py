"""Combines the metrics of an adversarial family's updates into those of a training step."""

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Float
import optax

from jgen.networks.dcgan import FIRST_LAYER
from jgen.shapes import Array, Metrics, Scalar


def means_over_updates(others: Mapping[str, Float[Array, ' n']], one: Metrics) -> Metrics:
  """{name: []}, the means of metrics over n + 1 updates: `others` {name: [n]} and `one` {name: []}."""
  return jax.tree.map(lambda a, b: (a.sum(0) + b) / (len(a) + 1), others, one)


def means(terms: Metrics) -> Metrics:
  """{name: []}, the means over the images of terms {name: [B]}."""
  return {name: term.mean() for name, term in terms.items()}


def gradient_norms(gradients: Mapping[str, Any]) -> dict[str, Scalar]:
  """Euclidean norms of a network's gradients {layer: tree}: over all layers, and over the first layer."""
  return {'gradient_norm': optax.tree.norm(gradients),
          'first_layer_gradient_norm': optax.tree.norm(gradients[FIRST_LAYER])}


def prefixed(prefix: str, metrics: Metrics) -> Metrics:
  """The metrics under names '<prefix>/<name>'."""
  return {f'{prefix}/{name}': value for name, value in metrics.items()}
