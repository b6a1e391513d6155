"""Training in bfloat16: what stays float32, and how near 200 steps stay to those of float32."""

import contextlib

from flax import jax_utils
from helpers import tiny
import jax
import jax.numpy as jnp
import numpy as np

from jgen import families
from jgen.data.spec import Spec
from jgen.families import gan
from jgen.networks.products import products_in
from jgen.parallel import AXIS
from jgen.training.step import make_dispatch

SPEC = Spec('squares', (8, 8, 1), 10, tuple('0123456789'))
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 6, 8, 8, 1)), jnp.float32)


def test_the_gradient_penalty_and_its_second_derivatives_stay_float32(monkeypatch):
  family = families.create(tiny.wgan(**{'model.generator.features': (6,), 'model.critic.features': (5,)}), SPEC)
  state = jax.jit(family.init)(jax.random.key(0))
  batch = {'image': IMAGES[0], 'condition': jnp.arange(6)}
  def terms(precision):
    def of(params):
      terms, metrics, _ = family.critic_terms({'critic': params}, {}, batch, IMAGES[1], jax.random.key(1))
      return terms['weighted_penalty'].mean(), (metrics['penalty'], metrics['real_logit'])
    def run(_):
      with products_in(precision):
        return jax.grad(of, has_aux=True)(state.params['critic'])
    return jax.jit(jax.vmap(run, axis_name=AXIS))(jnp.zeros(1))
  with monkeypatch.context() as without_exceptions:   # all of it in float32, by the outer precision alone
    without_exceptions.setattr(gan, 'products_in', lambda precision: contextlib.nullcontext())
    gradient, (penalty, logit) = terms('float32')
  rounded_gradient, (rounded_penalty, rounded_logit) = terms('bfloat16')
  np.testing.assert_allclose(rounded_penalty, penalty, rtol=1e-6)
  for ours, theirs in zip(jax.tree.leaves(rounded_gradient), jax.tree.leaves(gradient), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
  assert np.abs(rounded_logit - logit).max() > 1e-6   # which is of rounded factors, so the precision is heeded


def test_two_hundred_steps_in_bfloat16_stay_near_those_in_float32():
  family = families.create(tiny.learned_vae(**{'model.encoder.features': (6,), 'model.decoder.features': (6,)}), SPEC)
  first, rng = jax.devices()[:1], np.random.default_rng(0)
  prototypes = rng.integers(0, 256, (10, 8, 8, 1), dtype=np.uint8)
  labels = rng.integers(0, 10, (1, 200, 1, 16), dtype=np.int32)
  batches = {'image': prototypes[labels], 'label': labels}
  losses = []
  for precision in ('float32', 'bfloat16'):
    state = jax_utils.replicate(jax.jit(family.init)(jax.random.key(0)), first)
    _, metrics = make_dispatch(family, precision=(precision,), devices=first)(state, batches, jax.random.key(7))
    losses.append(np.asarray(metrics['vae/loss'])[0])
  assert np.isfinite(losses).all() and losses[0][-20:].mean() < 0.9 * losses[0][:5].mean()
  np.testing.assert_allclose(losses[1][-20:].mean(), losses[0][-20:].mean(), rtol=0.02)
  assert np.abs(losses[1] - losses[0]).max() > 0
