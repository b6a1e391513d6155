"""--mode=summary: every network layer by layer, and the length of the training."""

from pathlib import Path

from ml_collections import ConfigDict

from jgen import data, families
from jgen.errors import UserError
from jgen.families import description
from jgen.host import terminal
from jgen.networks import listing
from jgen.training import length


def run(config: ConfigDict, workdir: Path, command: str) -> None:
  """Prints the length of the training, each layer of every network and the total number of parameters.

  It needs no run folder, and it needs the data only if the networks depend on the classes and the classes are known
  only from the files.

  Raises:
    UserError: the networks cannot be built; data on which they depend is missing.
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

