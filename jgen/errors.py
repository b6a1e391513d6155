"""Errors for the person at the terminal: one line, what is wrong, what was expected, what to do."""

from collections.abc import Iterable, Mapping
import difflib
from typing import TypeVar

T = TypeVar('T')


class UserError(Exception):
  """`launch.py` prints it as one line, without a traceback, and ends with exit status 2."""


def nearest(word: object, names: Iterable) -> str:
  """The end of an error line about a misspelt `word`: the most similar of `names`, or all of them."""
  names = [str(name) for name in names]
  close = difflib.get_close_matches(str(word), names, n=1)
  return f"did you mean '{close[0]}'?" if close else 'available: ' + (', '.join(names) or 'none')


def choose(key: str, word: str, table: Mapping[str, T]) -> T:
  """`table[word]`; raises a UserError that names the config key and the most similar valid word."""
  if word not in table:
    raise UserError(f"config.{key}: '{word}' is not known; {nearest(word, table)}")
  return table[word]
