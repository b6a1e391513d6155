"""Labels as a person names them: by number, by the class's name, or as ATTRIBUTE=VALUE."""

import difflib
from typing import Any

from jaxtyping import Int
import numpy as np

from jgen.data.spec import Spec
from jgen.errors import UserError


def numbers(wanted: Any, spec: Spec, attribute: str = '') -> Int[np.ndarray, ' k']:
  """Class numbers int32 [k] of labels as they were named.

  Args:
    wanted: a number, a name, 'ATTRIBUTE=VALUE', or a sequence of these; of a name that is also a number, as a
      digit's, the name counts.
    spec: the Spec of the images, whose classes these are.
    attribute: the name of the annotation that is the label, '' where the data set has classes of its own.

  Raises:
    UserError: there are no classes, or not this one.
  """
  if isinstance(wanted, str) or np.ndim(wanted) == 0:
    wanted = [wanted]
  return np.array([_number(each, spec, attribute) for each in wanted], np.int32)


def _number(wanted, spec, attribute):
  names = list(spec.label_names) or [str(number) for number in range(spec.num_classes)]
  name = str(wanted)
  if isinstance(wanted, str) and '=' in wanted and wanted not in names:
    given, _, name = wanted.partition('=')
    known = attribute or 'class'
    if given.casefold() != known.casefold():
      raise UserError(f"the model follows the label '{known}', not '{given}'; ask for {known}={names[0]}")
  if isinstance(wanted, str) and name in names:
    return names.index(name)
  folded = [each.casefold() for each in names]
  if isinstance(wanted, str) and folded.count(name.casefold()) == 1:
    return folded.index(name.casefold())
  number = int(name) if name.isdecimal() else -1
  if not 0 <= number < len(names):
    raise UserError(f"there is no class '{wanted}'; {_known(name, names)}")
  return number


def _known(name, names):
  close = difflib.get_close_matches(name, names, n=1)
  if close and not name.isdecimal():    # 1 is not what 10 was meant to be
    return f"did you mean '{close[0]}'?"
  shown = ', '.join(f'{number} {each}' if each != str(number) else each for number, each in enumerate(names[:20]))
  return f'the classes are {shown}' + (f' and {len(names) - 20} more' if len(names) > 20 else '')
