"""spec.json: the data set's Spec in a run folder, so that sampling does not need the data set."""

import json
from pathlib import Path

import numpy as np

from jgen.data.spec import Spec, Splits
from jgen.errors import UserError
from jgen.host.files import write_text

FILE = 'spec.json'


def store(folder: str | Path, splits: Splits) -> None:
  """Writes the Spec of a run's images, the number of images, and the number per class.

  Args:
    folder: the run folder.
    splits: the run's `jgen.data.spec.Splits`.
  """
  train, test = splits.train, splits.test
  per_class = np.bincount(train.labels, minlength=train.spec.num_classes).tolist() if train.spec.num_classes else []
  stored = {'spec': train.spec.to_json(), 'num_train_images': len(train.images),
            'num_test_images': len(test.images) if test else 0, 'images_per_class': per_class}
  write_text(Path(folder) / FILE, json.dumps(stored, indent=2) + '\n')


def read(folder: str | Path) -> Spec | None:
  """The Spec stored in a run folder; None for runs of versions that did not store it.

  Raises:
    UserError: the file is damaged.
  """
  path = Path(folder) / FILE
  if not path.exists():
    return None
  try:
    return Spec.from_json(json.loads(path.read_text('utf-8'))['spec'])
  except (ValueError, TypeError, KeyError, AttributeError) as error:
    raise UserError(f'{path} is damaged; delete it, and the data set is read instead') from error
