"""Runs by epochs: how many steps they are, and how the command line chooses between steps and epochs."""

from helpers import tiny
import pytest

import jgen
from jgen.run import config_file
from jgen.training import length


@pytest.mark.parametrize('epochs, images, per_step, multiple, expected', [
    (20, 162_770, 128, 1, 25_433),      # 25,432.8: the last step completes the 20th epoch
    (0.5, 1_797, 64, 1, 15), (0.1, 1_280, 128, 1, 1), (0.3, 1_000, 100, 1, 3),
    (1, 1_000, 100, 4, 12), (1e-6, 1_000, 100, 1, 1), (3, 10, 320, 1, 1)])
def test_steps_of_epochs(epochs, images, per_step, multiple, expected):
  assert length.steps_of(epochs, images, per_step, multiple) == expected


@pytest.mark.parametrize('arguments, steps, epochs', [
    (['--config.num_epochs=0.5'], 0, 0.5), (['--config.num_epochs', '3'], 0, 3.), (['--config.num_epochs=0'], 8, 0.),
    (['--config.num_steps=5'], 5, 0.), (['--config.num_steps=5', '--config.num_epochs=2'], 5, 2.)])
def test_one_of_the_two_on_the_command_line_is_enough(arguments, steps, epochs):
  config = config_file.overridden(tiny.vqvae(), arguments)
  assert (config.num_steps, config.num_epochs) == (steps, epochs)


def test_a_run_by_epochs_goes_on_by_steps_and_priors_have_lengths_of_their_own():
  config = jgen.config('vqvae_digits', num_epochs=3)
  assert length.text(config, 1_468, 1) == 'length: 70 steps of 64 images, 3.05 epochs of 1,468 training images'
  assert length.text(config, None, 1).startswith('length: 3 epochs in steps of 64 images; the training images are not')
  assert (config.num_steps, config.num_epochs) == (0, 3)
  config = config_file.overridden(config, ['--config.num_steps=7', '--config.priors.vae.num_epochs=2'])
  assert (config.num_steps, config.num_epochs) == (7, 0)
  assert (config.priors.vae.num_steps, config.priors.vae.num_epochs) == (0, 2)
  assert config.priors.autoregressive.num_steps == 1_000
