"""The interface of a model for the training loop and the evaluators.

Some families have further methods: see `jgen.families.contracts`.
"""

from collections.abc import Callable
from typing import Any

import jax

from jgen.data.spec import Dataset
from jgen.families.train_state import TrainState
from jgen.shapes import Array, Images, Labels, PRNGKey


class Family:
  """A kind of model. Its methods are pure and see one device; `AXIS` is mapped around all but `init`."""

  ema_decay: float = 0.                 # decay per step of the averaged parameters, which are used after training
  statistics_need_images: bool = False  # whether `training_pass` reads the images of its batch, not only the labels
  samples_note: str = ''                # a note for readers on its samples, such as how they are drawn

  @property
  def couples_batch(self) -> str:
    """Which part of the objective depends on the batch as a whole, not on each image separately; '' for none."""
    return ''

  @property
  def batches_per_step(self) -> int:
    """K, batches consumed by one training step."""
    return 1

  @property
  def num_classes(self) -> int:
    """Y, the number of classes that samples are conditioned on; 0 for an unconditional model."""
    return 0

  def init(self, key: PRNGKey) -> TrainState:
    """The TrainState at step 0. Called once, on one device, outside of any mapped function."""
    raise NotImplementedError

  def init_from_data(self, state: TrainState, dataset: Dataset) -> TrainState:
    """The state at step 0 with the values computed from the training images; called once, on the host."""
    del dataset
    return state

  def check_data(self, dataset: Dataset) -> None:
    """Raises UserError if the model cannot be trained on the data set; called before training."""
    del dataset

  def train_step(self, state: TrainState, batches: dict[str, Array],
                 key: PRNGKey) -> tuple[TrainState, dict[str, Array]]:
    """One training step.

    Args:
      state: a TrainState.
      batches: {'image': float32 [K, B, H, W, C] in [-1, 1], 'label': int32 [K, B]}.
      key: the key of this step, the same on all devices (see `jgen.parallel.per_image`).

    Returns:
      (state, {name: [] float32 of this device's share}); the caller advances `state.step`.
    """
    raise NotImplementedError

  def training_pass(self, state: TrainState, batch: dict[str, Array], key: PRNGKey) -> Any:
    """The model_state after a forward pass in training mode on a batch {'image': [B, H, W, C], 'label': [B]}.

    It provides the batch statistics for averaged parameters: see `jgen.families.averaging`.
    """
    raise NotImplementedError

  def sample(self, state: TrainState, key: PRNGKey, labels: Labels) -> Images:
    """Images [B, H, W, C] in [-1, 1] for labels int32 [B], which a family without classes ignores."""
    raise NotImplementedError

  def networks(self) -> dict[str, Any]:
    """{name: shapes of the parameters}, computed without running anything."""
    return jax.eval_shape(self.init, jax.random.key(0)).params

  def passes(self) -> dict[str, Callable[[], Any]]:
    """{network: a function without arguments that runs its module on one image, in training, with new parameters}.

    Tracing them lists the layers of a network: `jgen.networks.listing`. Networks without such a function are listed
    parameter by parameter.
    """
    return {}
