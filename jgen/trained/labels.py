"""Labels as users give them: by number, by the name of the class, or as ATTRIBUTE=VALUE."""

import difflib
from typing import Any

from jaxtyping import Int
import numpy as np

from jgen.data.spec import Spec
from jgen.errors import UserError


def numbers(wanted: Any, spec: Spec, attribute: str = '') -> Int[np.ndarray, ' k']:
  """Class numbers int32 [k] for labels given by the user.

  Args:
    wanted: a number, a name, 'ATTRIBUTE=VALUE', or a sequence of these; a text that is both a name and a number, such
      as a digit, is read as a name.
    spec: the Spec of the images, which defines the classes.
    attribute: the name of the annotation that serves as the label, '' if the data set has its own classes.

  Raises:
    UserError: there are no classes, or not the requested one.
  """
  if isinstance(wanted, str) or np.ndim(wanted) == 0:
    wanted = [wanted]
  return np.array([_number(label, spec, attribute) for label in wanted], np.int32)


def _number(label, spec, attribute):
  names = list(spec.label_names) or [str(number) for number in range(spec.num_classes)]
  name = str(label)
  if isinstance(label, str) and '=' in label and label not in names:
    requested, _, name = label.partition('=')
    actual = attribute or 'class'
    if requested.casefold() != actual.casefold():
      raise UserError(f"the model is conditioned on '{actual}', not '{requested}'; ask for {actual}=0 "
                      f"('{names[0]}') to {actual}={len(names) - 1}")
  if isinstance(label, str) and name in names:
    return names.index(name)
  folded = [text.casefold() for text in names]
  if isinstance(label, str) and folded.count(name.casefold()) == 1:
    return folded.index(name.casefold())
  number = int(name) if name.isdecimal() else -1
  if not 0 <= number < len(names):
    raise UserError(f"there is no class '{label}'; {_hint(name, names)}")
  return number


def _hint(name, names):
  close = difflib.get_close_matches(name, names, n=1)
  if close and not name.isdecimal():    # for numbers, a similar text is no likely intention
    return f"did you mean '{close[0]}'?"
  classes = ', '.join(f'{number} {text}' if text != str(number) else text for number, text in enumerate(names[:20]))
  return f'the classes are {classes}' + (f' and {len(names) - 20} more' if len(names) > 20 else '')
