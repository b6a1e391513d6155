"""The listing of layers: complete for every config, and row by row as the reports print it."""

import importlib
import math
from pathlib import Path

from helpers import published, tiny
import jax
import pytest

from jgen import data, families
from jgen.networks import listing

CONFIGS = sorted(path.stem for path in (Path(__file__).parent.parent.parent / 'configs').glob('*.py'))
# As the reports print them: kind, channels, kernel, stride, padding, bias, normalisation, activation, output.
SPECIFIED = {
    'vae_celeba': {
        'vae/encoder/layer_3': ('Conv', '128 -> 256', '4x4', '2', '1', 'no', 'batch', 'ReLU', '4x4x256'),
        'vae/encoder/mean': ('Linear', '4096 -> 512', '', '', '', 'yes', '', '', '512'),
        'vae/decoder/layer_3': (
            'ConvTranspose', '64 -> 32', '6x6', '2', '0', 'no', 'batch', 'LeakyReLU(0.01)', '60x60x32'),
        'vae/decoder/layer_4': ('ConvTranspose', '32 -> 3', '5x5', '1', '0', 'yes', '', 'tanh', '64x64x3')},
    'dcgan_celeba': {
        'generator/layer_1': (
            'ConvTranspose', '512 -> 256', '4x4', '2', '1', 'no', 'batch', 'LeakyReLU(0.1)', '8x8x256'),
        'generator/layer_4': ('ConvTranspose', '64 -> 3', '4x4', '2', '1', 'no', '', 'tanh', '64x64x3'),
        'critic/layer_0': ('Conv', '3 -> 64', '4x4', '2', '1', 'no', '', 'LeakyReLU(0.2)', '32x32x64')},
    'acgan_celeba_smiling': {
        'critic/layer_3': (
            'Conv', '64 -> 128', '3x3', '1', '0', 'no', 'batch', 'LeakyReLU(0.2), dropout 0.5', '14x14x128'),
        'critic/class_head': ('Linear', '8192 -> 2', '', '', '', 'yes', '', '', '2')},
    'infogan_celeba': {
        'generator/layer_1': ('ConvTranspose', '448 -> 1024', '4x4', '2', '1', 'no', 'batch', 'ReLU', '4x4x1024'),
        'q_head/linear': ('Linear', '8192 -> 100', '', '', '', 'yes', '', '', '100')},
    'vae_celeba_gaussian': {
        'vae/decoder/layer_4': (
            'ConvTranspose', '32 -> 32', '3x3', '2', '1 (output 1)', 'yes', 'batch', 'LeakyReLU(0.01)', '64x64x32')},
    'vqvae_tiny_imagenet': {
        'vqvae/quantizer': ('codebook', '128 -> 128', '256 codes of 16', '', '', '', '', '', '4x4x128'),
        'vqvae/decoder/layer_5': ('ConvTranspose', '16 -> 3', '3x3', '1', '1', 'yes', '', 'sigmoid', '64x64x3')},
    'wgan_svhn': {
        'critic/layer_1': ('Conv', '64 -> 128', '4x4', '2', '1', 'no', '', 'LeakyReLU(0.2)', '16x16x128')}}


def listed(config, spec):
  """The rows {layer: cells}, checked against the parameters as the family itself counts them."""
  family = families.create(config, spec)
  networks = family.networks()
  layers = listing.layers_of(family.passes(), networks)
  for name, params in networks.items():
    assert sum(layer.parameters for layer in layers if layer.path[0] == name) == sum(
        math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
  rows = {layer.row()[0]: layer.row()[1:] for layer in layers}
  assert len(rows) == len(layers)
  return rows


@pytest.mark.parametrize('name', CONFIGS)
def test_the_layers_of_every_config_have_all_its_parameters(name, tmp_path):
  config = importlib.import_module(f'configs.{name}').get_config()
  spec, missing = data.outline(config.data)
  if missing and config.data.name in published.WRITERS:   # labels that the files alone know
    config.data.dir = str(published.WRITERS[config.data.name](tmp_path / 'data'))
    spec = data.describe(config.data)
  rows = listed(config, spec)
  for layer, cells in SPECIFIED.get(name, {}).items():
    assert rows[layer][:-1] == cells
  assert not any(cells[0] == 'parameter' for cells in rows.values())


@pytest.mark.parametrize('name', ['toolbox_gan', 'acgan', 'learned_vae', 'averaged_vqvae'])
def test_options_are_listed(name):
  config = tiny.CONFIGS[name]()
  rows = listed(config, data.describe(config.data))
  if name == 'toolbox_gan':
    assert rows['generator/layer_1'] == (
        'PixelShuffle', '12 -> 8', '3x3', '1', '1', 'no', 'spectral, layer', 'ReLU, dropout 0.2', '4x4x8', rows[
            'generator/layer_1'][-1])
    assert rows['critic/layer_1'][:1] == ('PooledConvolution',) and rows['critic/layer_1'][6] == 'spectral, instance'
  if name == 'acgan':
    assert rows['generator/label_embedding'][0] == 'parameter'
  if name == 'learned_vae':
    assert rows['vae/log_variance'][-1] == '1' and rows['vae/decoder/layer_0'][5] == 'yes'


def test_the_transformer_over_codes_is_listed_too():
  from configs import vqvae_digits
  from jgen.commands.prior import Source
  config = vqvae_digits.get_config()
  spec = data.describe(config.data)
  prior = Source(config, Path('nowhere'), 1).variation('autoregressive').config
  rows = listed(prior, spec)
  assert rows['autoregressive/blocks_0/layer_0'][6:8] == ('', 'GELU') and 'vqvae/encoder/layer_0' in rows
  assert rows['autoregressive/blocks_0/norm_1'][6] == 'layer'
  for name in ('vae', 'mixture'):
    listed(Source(config, Path('nowhere'), 1).variation(name).config, spec)
