"""Optimizers against PyTorch's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import common
from jgen import optimizers

torch = pytest.importorskip('torch', reason='the reference is PyTorch: pip install torch')


def test_adam_is_pytorchs():
  section = common.optimizer()
  section.learning_rate, section.b1, section.b2 = 0.02, 0.3, 0.95
  start = np.random.default_rng().normal(size=20).astype(np.float32)
  loss = lambda x: ((x - 1)**4).sum() + (x[1:] * x[:-1]).sum()

  theirs = torch.tensor(start, requires_grad=True)
  reference = torch.optim.Adam([theirs], lr=0.02, betas=(0.3, 0.95))
  ours, optimizer = jnp.asarray(start), optimizers.create(section)
  state = optimizer.init(ours)
  for _ in range(20):
    reference.zero_grad()
    loss(theirs).backward()
    reference.step()
    updates, state = optimizer.update(jax.grad(loss)(ours), state, ours)
    ours = optax.apply_updates(ours, updates)
  np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
