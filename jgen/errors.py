"""The one exception that is meant for the person at the terminal."""


class UserError(Exception):
  """What is wrong, what was expected and what to do, in one line.

  `launch.py` prints it without a traceback and ends with exit status 2.
  """


def nearest(word, known):
  """The end of an error line about a misspelt `word`: the nearest known one, or all of them."""
  import difflib
  close = difflib.get_close_matches(str(word), [str(k) for k in known], n=1)
  return f"did you mean '{close[0]}'?" if close else 'known: ' + ', '.join(map(str, known))
