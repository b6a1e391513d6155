"""Times sampling of the autoregressive prior with its key-value cache and without it.

  python -m benchmarks.prior_sampling --images=200   # the prior of configs/vqvae_tiny_imagenet.py, untrained
"""

import argparse
import time

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from jgen.families import autoregressive
from jgen.families.autoregressive import Autoregressive
from jgen.host import runtime, terminal
from jgen.parallel import AXIS, per_image
from jgen.run import config_file

CODES, POSITIONS, CLASSES = 256, 128, 200   # of the VQ-VAE on Tiny ImageNet


def sample_without_cache(family: Autoregressive, state, key, labels):
  """Codes as `Autoregressive.sample` draws them, but without a cache: each step recomputes all positions."""
  keys = per_image(key, len(labels), lambda key: key)
  def place(codes, position):
    logits = family.logits(state.params, codes, labels)[:, position]
    draw = lambda key, logits: jax.random.categorical(jax.random.fold_in(key, position), logits)
    drawn = jax.vmap(draw)(keys, logits / family.temperature).astype(jnp.int32)
    return codes.at[:, position].set(drawn), None
  codes = jnp.zeros((len(labels), family.network.num_positions), jnp.int32)
  return lax.scan(place, codes, jnp.arange(family.network.num_positions))[0]


def measure(sample, state, labels):
  """(codes int32 [B, N], seconds, seconds of all cores) of a second call, compiled."""
  run = jax.jit(jax.vmap(sample, in_axes=(None, None, 0), axis_name=AXIS))
  jax.block_until_ready(run(state, jax.random.key(1), labels[None]))
  start, cpu = time.monotonic(), time.process_time()
  codes = np.asarray(run(state, jax.random.key(1), labels[None])[0])
  return codes, time.monotonic() - start, time.process_time() - cpu


def main():
  arguments = argparse.ArgumentParser(description=__doc__)
  arguments.add_argument('--images', type=int, default=200)
  count = arguments.parse_args().images
  runtime.start_jax()
  model = config_file.load('vqvae_tiny_imagenet').priors.autoregressive.model
  family = autoregressive.create(model, CODES, POSITIONS, CLASSES)
  state = jax.jit(family.init)(jax.random.key(0))
  labels = jnp.arange(count, dtype=jnp.int32) % CLASSES
  drawn = {}
  for name, sample in (('with the cache', family.sample),
                       ('without', lambda state, key, labels: sample_without_cache(family, state, key, labels))):
    drawn[name], seconds, cpu = measure(sample, state, labels)
    terminal.say(f'{count} images of {POSITIONS} codes, {name}: {seconds:.1f} s, {cpu:.1f} s of all cores')
  terminal.say(f'{np.mean(drawn["with the cache"] == drawn["without"]):.2%} of the codes are the same')


if __name__ == '__main__':
  main()
