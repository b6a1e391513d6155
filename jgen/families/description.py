"""model.json and networks.txt of a run folder: the layers and the parameters of a family's networks."""

from collections.abc import Mapping, Sequence
import json
import math
from pathlib import Path
from typing import Any

import jax

from jgen.families.base import Family
from jgen.host.files import write_text
from jgen.networks import listing
from jgen.run.description import MODEL, NETWORKS


def text_of_networks(networks: Mapping[str, Any], layers: Sequence[listing.Layer]) -> str:
  """The table of layers, then the number of parameters of each network and, in the last line, their total."""
  totals = {name: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) for name, params in networks.items()}
  return '\n'.join([*listing.table(layers), '',
                    *(f'{name}: {total:,} parameters' for name, total in totals.items()),
                    f'total parameters: {sum(totals.values())}'])


def store_model(folder: str | Path, family: Family) -> None:
  """Writes networks.txt, and model.json with all layers, the shapes of all parameters and notes for the report.

  Args:
    folder: the run folder.
    family: the run's family.
  """
  networks = family.networks()
  shapes = {name: {jax.tree_util.keystr(path, simple=True, separator='/'): list(leaf.shape)
                   for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
            for name, params in networks.items()}
  layers = listing.layers_of(family.passes(), networks)
  write_text(Path(folder) / MODEL, json.dumps(
      {'family': type(family).__name__, 'batches_per_step': family.batches_per_step,
       'samples_note': family.samples_note, 'networks': shapes, 'layers': [layer.row() for layer in layers]},
      indent=2) + '\n')
  write_text(Path(folder) / NETWORKS, text_of_networks(networks, layers) + '\n')
