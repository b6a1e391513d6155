"""Which annotation is the label: decided once, for every data set."""

from helpers.published import refusal, section
import numpy as np
import pytest

from jgen import data
from jgen.data.spec import Annotation, Dataset, Spec, relabelled, with_label

SPEC = Spec('set', (2, 2, 1), 2, ('no', 'yes'), (
    Annotation('smiling', ('no', 'yes')), Annotation('hair', ('red', 'black', 'fair')), Annotation('one', ('x',))))


def test_the_label_is_the_annotation_that_is_named():
  rows = np.array([[0, 2, 0], [1, 0, 0], [1, 1, 0]], np.int32)
  dataset = Dataset(SPEC, np.zeros((3, 2, 2, 1), np.uint8), rows[:, 0], 'there', rows)
  hair = relabelled(dataset, 'hair')
  assert hair.labels.tolist() == [2, 0, 1] and hair.spec == with_label(SPEC, 'hair')
  assert hair.spec.num_classes == 3 and hair.spec.label_names == ('red', 'black', 'fair')
  assert hair.spec.annotations == SPEC.annotations and hair.annotations is rows
  assert relabelled(dataset, '') is dataset and with_label(SPEC, '') is SPEC


@pytest.mark.parametrize(('label', 'line'), [
    ('hairs', "config.data.label: unknown label 'hairs' for set; did you mean 'hair'?"),
    ('one', "config.data.label names 'one', which has a single value in set, 'x'; a label needs at least two"),
])
def test_labels_that_cannot_be(label, line):
  assert refusal(with_label, SPEC, label) == line


def test_digits_honour_it():
  for label in ('', 'digit'):
    dataset = data.load(section('digits', splits=('all',), image_size=8, label=label))
    assert dataset.spec.num_classes == 10 and dataset.labels[:3].tolist() == [0, 1, 2]
  for call in (data.describe, data.load):
    assert refusal(call, section('digits', image_size=8, label='digits')).endswith(
        "unknown label 'digits' for digits; did you mean 'digit'?")
