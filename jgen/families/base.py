"""What the loop and the evaluators may know of a model.

Some families can do more than `Family` asks of all: see `jgen.families.contracts`.
"""

from collections.abc import Callable
from typing import Any

import jax

from jgen.data.spec import Dataset
from jgen.families.train_state import TrainState
from jgen.shapes import Array, Images, Labels, PRNGKey


class Family:
  """A kind of model. Its methods are pure and see one device; `AXIS` is mapped around all but `init`."""

  ema_decay: float = 0.                 # decay a step of the averaged parameters, which are what is used after training
  statistics_need_images: bool = False  # whether `training_pass` reads the images of its batch, not the labels alone
  samples_note: str = ''                # what a reader has to know of its samples, as how they are drawn

  @property
  def couples_batch(self) -> str:
    """What of its objective is of a batch as a whole, not of each image; '' for none."""
    return ''

  @property
  def batches_per_step(self) -> int:
    """K, batches consumed by one training step."""
    return 1

  @property
  def num_classes(self) -> int:
    """Y, labels that its samples follow; 0 where they follow none."""
    return 0

  def init(self, key: PRNGKey) -> TrainState:
    """The TrainState at step 0. Run once, on one device, outside of any mapped function."""
    raise NotImplementedError

  def init_from_data(self, state: TrainState, dataset: Dataset) -> TrainState:
    """The state at step 0 with what it takes from the training images; run once, on the host."""
    del dataset
    return state

  def check_data(self, dataset: Dataset) -> None:
    """Raises UserError where the model cannot be trained on the data set; run before anything is."""
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

    Of networks with averaged parameters; it gives the batch statistics of these: see `jgen.families.averaging`.
    """
    raise NotImplementedError

  def sample(self, state: TrainState, key: PRNGKey, labels: Labels) -> Images:
    """Images [B, H, W, C] in [-1, 1] for labels int32 [B], which a family without classes ignores."""
    raise NotImplementedError

  def networks(self) -> dict[str, Any]:
    """{name: parameters as shapes}, computed without running anything."""
    return jax.eval_shape(self.init, jax.random.key(0)).params

  def passes(self) -> dict[str, Callable[[], Any]]:
    """{network: a function of no arguments that runs its module for one image, in training, with new parameters}.

    What is traced of them lists the layers of a network: `jgen.networks.listing`. Networks without one are listed
    parameter by parameter.
    """
    return {}
