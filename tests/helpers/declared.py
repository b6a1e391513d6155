"""Whether evaluators declare the scores that they give."""

from jgen.run.scores import kind


def check(name, evaluator, numbers, spec=None, family=None):
  """Asserts that the entries of `numbers` that rank models are those that the evaluator declares."""
  assert set(evaluator.scores(spec, family)) == {entry for entry in numbers if kind(f'{name}/{entry}').better}
