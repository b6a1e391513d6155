"""Optimizers against PyTorch's, schedules and clipping against optax called by hand."""

from helpers.published import refusal
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jgen import keys
from jgen.families import optimizers

LOSS = lambda x: ((x - 1)**4).sum() + (x[1:] * x[:-1]).sum()
START = np.random.default_rng(0).normal(size=20).astype(np.float32)


def of(**settings):
  section = keys.default(optimizers.Optimizer)
  section.update(settings)
  return section


def descended(optimizer, updates=25):
  """(START after so many updates, the optimizer's state)."""
  def descend(carry, _):
    x, state = carry
    update, state = optimizer.update(jax.grad(LOSS)(x), state, x)
    return (optax.apply_updates(x, update), state), None
  start = jnp.asarray(START)
  return jax.lax.scan(descend, (start, optimizer.init(start)), length=updates)[0]


FALLING = {'decay_updates': 15, 'end_factor': 0.1}
COSINE = optax.warmup_cosine_decay_schedule(0., 0.02, 5, 20, 0.002)
LINEAR = optax.linear_schedule(0.02, 0.002, 15)


@pytest.mark.parametrize('settings, reference', [
    ({'name': 'adam', 'schedule': 'cosine', 'warmup_updates': 5, **FALLING}, optax.adam(COSINE, b1=0.5)),
    ({'name': 'adamw', 'weight_decay': 0.3, 'schedule': 'linear', **FALLING},
     optax.adamw(LINEAR, b1=0.5, weight_decay=0.3)),
    ({'name': 'sgd', 'momentum': 0.5, 'learning_rate': 0.004, 'warmup_updates': 10},
     optax.sgd(optax.linear_schedule(0., 0.004, 10), momentum=0.5)),
    ({'name': 'lion', 'weight_decay': 0.1}, optax.lion(0.02, b1=0.5, b2=0.999, weight_decay=0.1)),
    ({'name': 'adam', 'clip_norm': 2.}, optax.chain(optax.clip_by_global_norm(2.), optax.adam(0.02, b1=0.5))),
    ({'name': 'sgd', 'clip_norm': 0.5, 'schedule': 'linear', **FALLING},
     optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(LINEAR)))])
def test_schedules_and_clipping_are_optaxs(settings, reference):
  ours, _ = descended(optimizers.create(of(**{'learning_rate': 0.02, **settings})))
  theirs, _ = descended(reference)
  assert np.abs(ours - START).max() > 0.01
  np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def test_the_rate_of_the_last_update_is_in_the_state():
  scheduled = optimizers.create(of(learning_rate=0.02, schedule='cosine', warmup_updates=5, clip_norm=1., **FALLING))
  for updates in (1, 5, 13, 25):
    rate, = optimizers.learning_rates({'critic': descended(scheduled, updates)[1]})
    np.testing.assert_allclose(rate, COSINE(updates - 1), rtol=1e-5)
  assert not [*optimizers.learning_rates(descended(optimizers.create(of(clip_norm=1.)), 1)[1])]


def test_a_rate_that_falls_over_no_updates_is_refused():
  assert 'decay_updates 0; expected' in refusal(optimizers.create, of(schedule='linear'))


@pytest.mark.parametrize('settings, make', [
    ({'name': 'adam', 'learning_rate': 0.02, 'b1': 0.3, 'b2': 0.95},
     lambda torch, x: torch.optim.Adam([x], lr=0.02, betas=(0.3, 0.95))),
    ({'name': 'rmsprop', 'learning_rate': 0.01, 'decay': 0.9},
     lambda torch, x: torch.optim.RMSprop([x], lr=0.01, alpha=0.9)),
    ({'name': 'rmsprop', 'learning_rate': 0.01, 'decay': 0.9, 'momentum': 0.5},
     lambda torch, x: torch.optim.RMSprop([x], lr=0.01, alpha=0.9, momentum=0.5)),
    ({'name': 'adamw', 'learning_rate': 0.02, 'weight_decay': 0.2},
     lambda torch, x: torch.optim.AdamW([x], lr=0.02, betas=(0.5, 0.999), weight_decay=0.2)),
    ({'name': 'sgd', 'learning_rate': 0.002}, lambda torch, x: torch.optim.SGD([x], lr=0.002)),
    ({'name': 'sgd', 'learning_rate': 0.002, 'momentum': 0.8},
     lambda torch, x: torch.optim.SGD([x], lr=0.002, momentum=0.8))])
def test_they_are_pytorchs(settings, make):
  torch = pytest.importorskip('torch', reason='the reference is PyTorch: pip install torch')
  theirs = torch.tensor(START, requires_grad=True)
  reference = make(torch, theirs)
  for _ in range(20):
    reference.zero_grad()
    LOSS(theirs).backward()
    reference.step()
  ours, _ = descended(optimizers.create(of(**settings)), 20)
  assert np.abs(ours - START).max() > 0.05
  np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
