"""The model families, by their names in configs."""

from collections.abc import Callable
from typing import NamedTuple

from ml_collections import ConfigDict

from jgen import keys
from jgen.data.spec import Spec
from jgen.errors import choose
from jgen.families import acgan, gan, infogan, latent_prior, vae, vqvae
from jgen.families.base import Family


class Kind(NamedTuple):
  """The keys and the constructor of a family."""

  keys: type                            # the keys of its section of a config
  create: Callable                      # (section, Spec) -> Family


FAMILIES: dict[str, Kind] = {
    'acgan': Kind(acgan.Keys, acgan.create),
    'autoregressive_prior': Kind(latent_prior.AutoregressivePriorKeys, latent_prior.create_autoregressive),
    'gan': Kind(gan.Keys, gan.create),
    'infogan': Kind(infogan.Keys, infogan.create),
    'mixture_prior': Kind(latent_prior.MixturePriorKeys, latent_prior.create_mixture),
    'vae': Kind(vae.Keys, vae.create),
    'vae_prior': Kind(latent_prior.VAEPriorKeys, latent_prior.create_vae),
    'vqvae': Kind(vqvae.Keys, vqvae.create),
}
KEYS = {name: kind.keys for name, kind in FAMILIES.items()}


def create(config: ConfigDict, spec: Spec) -> Family:
  """The Family that `config.family` and `config.model` describe, for images of a Spec.

  Raises:
    UserError: a key of `config.model` is out of range, or not read; the model does not fit these images.
  """
  kind = choose('family', config.family, FAMILIES)
  keys.check(kind.keys, config.model, 'config.model')
  return kind.create(config.model, spec)
