"""--mode=summary: every network layer by layer, and how long the training is."""

from pathlib import Path

from ml_collections import ConfigDict

from jgen import data, families
from jgen.errors import UserError
from jgen.families import description
from jgen.host import terminal
from jgen.networks import listing
from jgen.training import length


def run(config: ConfigDict, workdir: Path, command: str) -> None:
  """Prints how long the training is, each layer of every network and the total of their parameters.

  It needs no run folder, and no data, unless the networks depend on the classes and the files alone say which these
  are.

  Raises:
    UserError: the networks cannot be built; missing data on which they depend.
  """
  del workdir, command
  spec, missing = data.outline(config.data)
  try:
    family = families.create(config, spec)
    networks = family.networks()
  except UserError as error:
    raise (missing or error) from error
  terminal.say(length.text(config, data.count(config.data), family.batches_per_step))
  terminal.say(description.text_of_networks(networks, listing.layers_of(family.passes(), networks)))

