"""The table of parameters: without data where nothing depends on it."""

from helpers.published import refusal, write_tiny_imagenet
import pytest

from configs import acgan_celeba_male, dcgan_anime, dcgan_bitmoji, vqvae_tiny_imagenet
from jgen.commands import summary


@pytest.mark.parametrize(('make', 'folder'), [
    (vqvae_tiny_imagenet, ''), (vqvae_tiny_imagenet, '/nowhere'), (dcgan_anime, ''), (dcgan_bitmoji, '/nowhere'),
    (acgan_celeba_male, '')])
def test_what_does_not_depend_on_the_data_needs_none(make, folder, tmp_path, capsys):
  config = make.get_config()
  config.data.dir = folder
  summary.run(config, tmp_path, '')
  without = capsys.readouterr().out
  assert without.splitlines()[0].startswith(f'length: {config.num_steps:,} steps of {config.batch_size:,} images; the ')
  assert without.splitlines()[-1].startswith('total parameters: ')
  if make is vqvae_tiny_imagenet:
    config.data.dir = str(write_tiny_imagenet(tmp_path / 'data'))
    summary.run(config, tmp_path, '')
    with_data = capsys.readouterr().out.splitlines()
    assert with_data[1:] == without.splitlines()[1:]   # the first says how many epochs the steps are


@pytest.mark.parametrize(('name', 'line'), [
    ('tiny_imagenet', 'Tiny ImageNet is not downloaded automatically; download it with: curl'),
    ('folder', 'config.data.dir is empty; name the folder or zip of your pictures')])
def test_what_depends_on_the_classes_asks_for_the_data(name, line, tmp_path):
  config = dcgan_anime.get_config()
  config.data.name, config.model.conditional = name, True
  assert refusal(summary.run, config, tmp_path, '').startswith(line)


def test_what_is_wrong_with_the_config_is_said_all_the_same(tmp_path):
  config = vqvae_tiny_imagenet.get_config()
  config.data.splits = ('valid',)
  assert refusal(summary.run, config, tmp_path, '').startswith("config.data.splits: unknown split 'valid'")
  config = dcgan_anime.get_config()
  config.data.dir = str(tmp_path)       # there, and without an image
  assert 'holds no image' in refusal(summary.run, config, tmp_path, '')
