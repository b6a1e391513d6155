"""What checks each call of a function of jgen in the tests: beartype, for which NumPy's numbers are numbers too."""

from beartype import BeartypeConf, BeartypeHintOverrides, beartype
import numpy as np

# A whole number may stand for a float, and a NumPy scalar for Python's.
CONF = BeartypeConf(hint_overrides=BeartypeHintOverrides({int: int | np.integer,
                                                          float: float | int | np.floating | np.integer}))


def checked(function):
  """The function, which refuses arguments and gives no result that its annotations do not allow."""
  return beartype(conf=CONF)(function)
