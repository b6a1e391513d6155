"""The model families, by the name that a config gives."""

from jgen.errors import choose
from jgen.families import acgan, gan, infogan, latent_prior, vae, vqvae

FAMILIES = {
    'acgan': acgan.create,
    'autoregressive_prior': latent_prior.create_autoregressive,
    'gan': gan.create,
    'infogan': infogan.create,
    'mixture_prior': latent_prior.create_mixture,
    'vae': vae.create,
    'vae_prior': latent_prior.create_vae,
    'vqvae': vqvae.create,
}


def create(config, spec):
  """The Family that `config.family` and `config.model` describe, for images of a Spec."""
  return choose('family', config.family, FAMILIES)(config.model, spec)
