"""A model restored from its run folder on the available devices, whatever devices it was trained on."""

import contextlib
import functools
from pathlib import Path
from typing import Any

from flax import jax_utils
import jax
from jaxtyping import Int
import numpy as np

from jgen import data, families
from jgen.data import stored_spec
from jgen.data.spec import Spec
from jgen.errors import UserError
from jgen.families import averaging
from jgen.families.base import Family
from jgen.families.contracts import SamplesLatents
from jgen.families.model import Compiled, Model
from jgen.families.train_state import TrainState
from jgen.host.files import expanded
from jgen.losses.information import LatentCodes
from jgen.run import checkpoints, seeds
from jgen.run.checkpoints import NEWEST
from jgen.trained import labels as labels_lib
from jgen.training import seeds as stacked
from jgen.training.config import stored_config

_OTHER_VERSION = (AttributeError, KeyError, TypeError, ValueError)   # raised for missing or unknown keys


class Restored:
  """The model of a run folder at one of its saved steps.

  Only `config.json` is read at first; everything else is read on first use.

  Args:
    folder: the run folder, such as `runs/quickstart`.
    step: 'newest', 'best' (by `config.checkpoints.best_metric`; the newest if none is kept), or the number of a saved
      step.
    averaged: whether the moving average of the parameters is used, if the run has one.
    of_seed: the seed, for a run that trains several seeds; None for the first. `folder` becomes that seed's folder,
      which may also be given directly, such as 'runs/quickstart/seeds/2'.

  Raises:
    UserError: the folder holds no run, or not that seed. Later: there is no checkpoint, not the requested one, or it is
      of another version.
  """

  def __init__(self, folder: str | Path, step: str | int = NEWEST, averaged: bool = True,
               of_seed: int | None = None) -> None:
    folder = expanded(folder).absolute()
    self._run = seeds.run_of(folder) or folder
    whole = stored_config(self._run)
    if self._run != folder and of_seed is None:
      of_seed = int(folder.name)
    self.seed = seeds.chosen(whole, of_seed, self._run)
    self.folder = seeds.folder_of(self._run, whole, self.seed)
    self.config = whole if self.folder == self._run else seeds.alone(whole, self.seed)
    self._seeds = seeds.of(whole)
    self._which, self.averaged = step, averaged

  @functools.cached_property
  def spec(self) -> Spec:
    """The `jgen.data.spec.Spec` of the images; for older runs, which do not store it, that of the data set."""
    stored = stored_spec.read(self.folder)
    with self._of_this_version():
      return stored or data.describe(self.config.data)

  @functools.cached_property
  def family(self) -> Family:
    """The `jgen.families.base.Family`: the networks and their methods."""
    with self._of_this_version(UserError):
      return families.create(self.config, self.spec)

  @contextlib.contextmanager
  def _of_this_version(self, *more):
    """A context in which errors due to a missing or unknown key of `config.json` become a UserError that says so."""
    try:
      yield
    except (*_OTHER_VERSION, *more) as error:
      why = ' '.join(str(error).split())[:200].strip('"')
      raise UserError(f'{self.folder}/config.json is not of this version of jgen: {why}; use the version with which '
                      'it was trained, see environment.json') from error

  @functools.cached_property
  def state(self) -> TrainState:
    """The TrainState on the host, numpy arrays; without averaged parameters if `averaged` is False."""
    shapes = stacked.shapes(jax.eval_shape(self.family.init, jax.random.key(0)), len(self._seeds))
    state = checkpoints.chosen(self._run, shapes, self._which)
    state = stacked.picked(state, self._seeds.index(self.seed), len(self._seeds))
    return state if self.averaged else state.replace(ema_params={})

  @property
  def step(self) -> int:
    """The training step of the parameters."""
    return int(self.state.step)

  @functools.cached_property
  def model(self) -> Model:
    """The `jgen.families.model.Model` on all devices of this process."""
    needs_images = self.family.statistics_need_images and averaging.needs_statistics(self.state)
    images = data.load_splits(self.config.data).train if needs_images else None
    return Model(Compiled(self.family), jax_utils.replicate(self.state), images)

  @property
  def used(self) -> TrainState:
    """The TrainState on the host, numpy arrays, as used after training: with averaged parameters if there are any."""
    return jax.device_get(jax_utils.unreplicate(self.model.used))

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(H, W, C)."""
    return self.spec.image_shape

  @property
  def num_classes(self) -> int:
    """Number of classes that samples are conditioned on; 0 for an unconditional model."""
    return self.family.num_classes

  @property
  def class_names(self) -> tuple[str, ...]:
    """The names of these classes."""
    return tuple(self.spec.label_names or map(str, range(self.num_classes))) if self.num_classes else ()

  @property
  def codes(self) -> LatentCodes | None:
    """The `jgen.losses.information.LatentCodes` of an InfoGAN; None for other models."""
    return getattr(self.family, 'latent_codes', None)

  @property
  def num_codes(self) -> int:
    """Codes of an InfoGAN, the categorical ones first; 0 for other models."""
    return self.codes.size if self.codes else 0

  @property
  def latent_size(self) -> int:
    """Z, entries of a latent; 0 for models without normal latents: VQ-VAEs and their priors."""
    return self.family.latent_size if isinstance(self.family, SamplesLatents) else 0

  def can(self, method: str) -> bool:
    """Whether the family has a method of `jgen.families.contracts`, such as 'encode'."""
    return hasattr(self.family, method)

  def labels(self, wanted: Any) -> Int[np.ndarray, ' k']:
    """Class numbers int32 [k] for a number, a name, 'ATTRIBUTE=VALUE', or a sequence of these; see `trained.labels`.

    Raises:
      UserError: the model is unconditional, or the class is unknown.
    """
    if not self.num_classes:
      raise UserError(f'the model in {self.folder} is not conditioned on a class ({self.kind()}); leave the labels out')
    return labels_lib.numbers(wanted, self.spec, self.config.data.label)

  def need(self, method: str, what: str) -> None:
    """Raises UserError unless the family has a method."""
    if not self.can(method):
      raise UserError(f'the model in {self.folder} is {self.kind()}; no such model {what}')

  def refuse(self, **given: Any) -> None:
    """Raises UserError if any of these arguments is given, because the model does not use it."""
    for name, value in given.items():
      if value is not None and (not np.isscalar(value) or value):
        raise UserError(f'{name}: the model in {self.folder} has none ({self.kind()}); leave it out')

  def kind(self) -> str:
    """The kind of model, for the end of an error message."""
    return f"of the family '{self.config.family}'"
