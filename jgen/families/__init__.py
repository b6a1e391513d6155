"""The model families, by the name that a config gives."""

from jgen.errors import choose
from jgen.families import gan, vae

FAMILIES = {'gan': gan.create, 'vae': vae.create}


def create(config, spec):
  """The Family that `config.family` and `config.model` describe, for images of a Spec."""
  return choose('family', config.family, FAMILIES)(config.model, spec)
