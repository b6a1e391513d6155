"""The config that a run folder holds, so that a run can be continued or evaluated by naming its folder alone.

  python launch.py --workdir=runs/NAME --mode=evaluate   # means --config=configs/stored.py:runs/NAME
"""

from pathlib import Path

from ml_collections import ConfigDict

from jgen.run.folder import read_config


def get_config(folder):
  return ConfigDict(_with_tuples(read_config(Path(folder)))).lock()


def _with_tuples(value):
  """JSON has lists where configs have tuples."""
  if isinstance(value, dict):
    return {key: _with_tuples(entry) for key, entry in value.items()}
  return tuple(value) if isinstance(value, list) else value
