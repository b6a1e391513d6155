"""The network of a VQ-VAE (van den Oord et al. 2017): a VAE's convolutions around a quantiser."""

from collections.abc import Sequence

from flax import linen as nn
from jaxtyping import Float

from jgen.networks.quantizer import straight_through
from jgen.shapes import Array, Codes, Images, Map


class VQVAE(nn.Module):
  """Encoder, quantiser and decoder as one network."""

  encoder: nn.Module                    # images [B, H, W, C] -> map [B, h, w, c]
  quantizer: nn.Module                  # jgen.networks.quantizer.Quantizer
  decoder: nn.Module                    # map -> [B, H, W, C], unbounded

  def __call__(self, images: Images, train: bool) -> tuple[Map, Map, Codes, Images]:
    """(map z_e [B, h, w, c], its quantised map, codes [B, N], output [B, H, W, C])."""
    latents = self.encoder(images, train)
    quantized, codes = self.quantizer(latents)
    return latents, quantized, codes, self.decoder(straight_through(latents, quantized), train)

  def encode(self, images: Images, train: bool) -> Map:
    return self.encoder(images, train)

  def quantize(self, latents: Map) -> tuple[Map, Codes]:
    """(the quantised map, codes [B, N]) of a map."""
    return self.quantizer(latents)

  def vectors(self, latents: Map) -> Float[Array, 'B N D']:
    return self.quantizer.split(latents)

  def look_up(self, codes: Codes, shape: Sequence[int]) -> Map:
    """The map [B, *shape] of codes [B, N]."""
    return self.quantizer.vectors_of(codes, shape)

  def decode(self, quantized: Map, train: bool) -> Images:
    return self.decoder(quantized, train)
