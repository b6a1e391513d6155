"""Errors for the person at the terminal: one line, what is wrong, what was expected, what to do."""

from collections.abc import Iterable, Mapping
import difflib
from typing import TypeVar

T = TypeVar('T')


class UserError(Exception):
  """`launch.py` prints it as one line, without a traceback, and ends with exit status 2."""


def nearest(word: object, known: Iterable) -> str:
  """The end of an error line about a misspelt `word`: the nearest known one, or all of them."""
  known = [str(k) for k in known]
  close = difflib.get_close_matches(str(word), known, n=1)
  return f"did you mean '{close[0]}'?" if close else 'known: ' + (', '.join(known) or 'none')


def choose(key: str, word: str, table: Mapping[str, T]) -> T:
  """`table[word]`, or the UserError that names the config key and the nearest right word."""
  if word not in table:
    raise UserError(f"config.{key}: '{word}' is not known; {nearest(word, table)}")
  return table[word]
