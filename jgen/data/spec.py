"""What a data set is, told once, so that no code compares data set names."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Spec:
  """What networks and evaluators may know of a data set before an image is read."""

  name: str
  image_shape: tuple[int, int, int]     # (H, W, C) as served, after any resizing
  num_classes: int = 0                  # Y; 0 where the images carry no label
  label_names: tuple[str, ...] = ()     # one a class, for the figures


@dataclasses.dataclass(frozen=True)
class Dataset:
  """Images and labels at the size that is served, in memory or memory-mapped."""

  spec: Spec
  images: np.ndarray                    # uint8 [N, H, W, C]
  labels: np.ndarray                    # int32 [N], 0 <= label < num_classes; zeros where unlabelled
  source: str                           # where they came from, for the receipts
