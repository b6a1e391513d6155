"""What checks each call of a function of jgen in the tests: beartype, for which a whole number may be a float."""

from beartype import BeartypeConf, beartype

CONF = BeartypeConf(is_pep484_tower=True)


def checked(function):
  """The function, which refuses arguments and gives no result that its annotations do not allow."""
  return beartype(conf=CONF)(function)
