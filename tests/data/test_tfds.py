"""Any set of tensorflow_datasets: its own splits, images of any sizes, named whole numbers as annotations."""

import importlib.resources
import sys
from types import SimpleNamespace

from helpers.pictures import smooth
from helpers.published import refusal, section
import numpy as np
import pytest

from jgen import data
from jgen.data.files.resizing import in_channels, resize
from jgen.data.host import tensorflow

tensorflow()
import tensorflow_datasets as tfds  # noqa: E402, after TensorFlow is quiet

SIZES = ((20, 12), (12, 20), (9, 9))


def images(count, offset):
  return [smooth(n + offset, *SIZES[n % 3]) for n in range(count)]


class JgenPets(tfds.core.GeneratorBasedBuilder):
  """Registered under the name jgen_pets."""

  VERSION = tfds.core.Version('1.0.0')

  def _info(self):
    return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({
        'image': tfds.features.Image(encoding_format='png'), 'label': tfds.features.ClassLabel(names=['cat', 'dog']),
        'breed': tfds.features.ClassLabel(num_classes=3), 'name': tfds.features.Text(), 'age': np.int64,
        'mask': tfds.features.Image(shape=(None, None, 1), encoding_format='png')}))

  def _split_generators(self, dl_manager):
    return {'train': self._generate_examples(7, 0), 'holdout': self._generate_examples(4, 50)}

  def _generate_examples(self, count, offset):
    for n, image in enumerate(images(count, offset)):
      yield n, {'image': image, 'label': n % 2, 'breed': n % 3, 'name': 'x', 'age': n, 'mask': image[..., :1]}


class JgenPairs(JgenPets):
  """No feature is called image, and there are two."""

  def _info(self):
    picture = tfds.features.Image(encoding_format='png')
    return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({'left': picture, 'right': picture}))


class JgenTexts(JgenPets):

  def _info(self):
    return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({'text': tfds.features.Text()}))


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'importlib_resources', importlib.resources)   # tfds 4.9 does not require it
  monkeypatch.setattr('urllib.request.urlopen', lambda request, timeout: SimpleNamespace(close=lambda: None))
  return tmp_path / 'tfds'


def wanted(folder, tmp_path, name='jgen_pets', **others):
  return section(f'tfds:{name}', folder, cache_dir=tmp_path / 'cache', **{'image_size': 8, **others})


def square(image):
  height, width = image.shape[:2]
  side = min(height, width)
  top, left = (height - side) // 2, (width - side) // 2
  return image[np.newaxis, top:top + side, left:left + side]


def test_images_labels_and_splits(folder, tmp_path):
  dataset = data.load(wanted(folder, tmp_path, splits=('holdout', 'train')))
  assert {a.name: a.values for a in dataset.spec.annotations} == {'breed': ('0', '1', '2'), 'label': ('cat', 'dog')}
  assert dataset.spec == data.describe(wanted(folder, tmp_path)) and dataset.spec.label_names == ('cat', 'dog')
  expected = {resize(square(image), 8).tobytes(): n for count, offset in ((4, 50), (7, 0))
              for n, image in enumerate(images(count, offset))}
  numbers = [expected[image.tobytes()] for image in dataset.images]   # tfds shuffles within a split
  assert len(expected) == 11 and sorted(numbers[:4]) == list(range(4))
  assert dataset.labels.tolist() == [n % 2 for n in numbers]
  breed = [a.name for a in dataset.spec.annotations].index('breed')
  assert dataset.annotations[:, breed].tolist() == [n % 3 for n in numbers]
  grey = data.load(wanted(folder, tmp_path, splits=('holdout',), channels=1, label='breed'))
  assert grey.images.shape == (4, 8, 8, 1) and grey.spec.num_classes == 3
  assert {image.tobytes() for image in grey.images} == {
      resize(in_channels(square(image), 1), 8).tobytes() for image in images(4, 50)}
  line = refusal(data.load, wanted(folder, tmp_path, splits=('test',)))
  assert line == "config.data.splits: unknown split 'test' for tfds:jgen_pets; available: train, holdout"
  assert [path.name[:15] for path in sorted(tmp_path.glob('cache/*'))] == ['tfds_jgen_pets-'] * 2


@pytest.mark.parametrize(('name', 'line'), [
    ('fashion_mnits', "config.data.name: tensorflow_datasets has no 'fashion_mnits'; did you mean 'fashion_mnist'?"),
    ('qqqqqqqq', "has no 'qqqqqqqq'; https://www.tensorflow.org/datasets/catalog/overview lists all"),
    ('../etc/passwd', "config.data.name: 'tfds:../etc/passwd' is not a name of tensorflow_datasets; expected tfds:"),
    ('huggingface:mnist', "'tfds:huggingface:mnist' is not a name of tensorflow_datasets"),
    ('', "'tfds:' is not a name"),
    ('cifar10/none', 'tfds:cifar10/none cannot be opened by tensorflow_datasets (ValueError: '),
    ('cifar10:9.9.9', 'tfds:cifar10:9.9.9 cannot be opened by tensorflow_datasets (AssertionError: '),
    ('jgen_pairs', "tfds:jgen_pairs has several images per example (left, right); expected one, or one named 'image'"),
    ('jgen_texts', 'tfds:jgen_texts has no 8-bit image per example (text); expected one'),
])
def test_names_that_are_none(name, line, folder, tmp_path, capfd):
  assert line in refusal(data.describe, wanted(folder, tmp_path, name))
  assert not folder.exists()


def test_without_a_network(folder, tmp_path, monkeypatch, caplog):
  def urlopen(request, timeout):
    raise OSError('Name or service\nnot known')
  monkeypatch.setattr('urllib.request.urlopen', urlopen)
  assert data.describe(wanted(folder, tmp_path, 'fashion_mnist')).image_shape == (8, 8, 1)
  line = refusal(data.load, wanted(folder, tmp_path, 'fashion_mnist'))
  assert line == (f'tfds:fashion_mnist is not prepared in {folder}/fashion_mnist/3.0.1 and the download failed '
                  '(OSError: Name or service not known); prepare it with a network connection and name the folder of '
                  'tensorflow_datasets with --config.data.dir=FOLDER')
  assert not [record for record in caplog.records if record.name == 'absl']   # of its own deprecated names


def test_only_a_number_is_no_class():
  from jgen.data.readers.tfds import _label
  from jgen.data.spec import Annotation
  of = lambda *names: _label(tuple(Annotation(name, ('a', 'b')) for name in names))
  assert (of(), of('x'), of('x', 'y'), of('x', 'label')) == (None, 0, None, 1)
