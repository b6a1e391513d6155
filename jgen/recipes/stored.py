"""The stored config of a run folder, so that a run can be continued or evaluated by giving its folder alone.

  python launch.py --workdir=runs/NAME --mode=evaluate   # means --config=jgen/recipes/stored.py:runs/NAME
"""

from ml_collections import ConfigDict

from jgen.training.config import stored_config


def get_config(folder: str) -> ConfigDict:
  return stored_config(folder)
