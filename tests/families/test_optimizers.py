"""Optimizers against PyTorch's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jgen import keys
from jgen.families import optimizers

torch = pytest.importorskip('torch', reason='the reference is PyTorch: pip install torch')


@pytest.mark.parametrize('settings, make', [
    ({'name': 'adam', 'learning_rate': 0.02, 'b1': 0.3, 'b2': 0.95},
     lambda x: torch.optim.Adam([x], lr=0.02, betas=(0.3, 0.95))),
    ({'name': 'rmsprop', 'learning_rate': 0.01, 'decay': 0.9}, lambda x: torch.optim.RMSprop([x], lr=0.01, alpha=0.9)),
    ({'name': 'rmsprop', 'learning_rate': 0.01, 'decay': 0.9, 'momentum': 0.5},
     lambda x: torch.optim.RMSprop([x], lr=0.01, alpha=0.9, momentum=0.5)),
    ({'name': 'sgd', 'learning_rate': 0.002}, lambda x: torch.optim.SGD([x], lr=0.002)),
    ({'name': 'sgd', 'learning_rate': 0.002, 'momentum': 0.8}, lambda x: torch.optim.SGD([x], lr=0.002, momentum=0.8))])
def test_they_are_pytorchs(settings, make):
  section = keys.default(optimizers.Optimizer)
  section.update(settings)
  start = np.random.default_rng().normal(size=20).astype(np.float32)
  loss = lambda x: ((x - 1)**4).sum() + (x[1:] * x[:-1]).sum()

  theirs = torch.tensor(start, requires_grad=True)
  reference = make(theirs)
  ours, optimizer = jnp.asarray(start), optimizers.create(section)
  state = optimizer.init(ours)
  for _ in range(20):
    reference.zero_grad()
    loss(theirs).backward()
    reference.step()
    updates, state = optimizer.update(jax.grad(loss)(ours), state, ours)
    ours = optax.apply_updates(ours, updates)
  assert np.abs(ours - start).max() > 0.05
  np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
