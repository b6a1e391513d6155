"""What the Inception sees against TensorFlow, PyTorch and Pillow."""

from helpers.published import refusal
import numpy as np
from PIL import Image
import pytest

from jgen.evaluation.features.input_protocols import PROTOCOLS

# Enlarged and reduced; sides that divide and that do not; not square.
SHAPES = [(2, 9, 14, 3), (1, 64, 64, 3), (1, 40, 52, 1)]
SIZE = 37


def images_of(shape):
  return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def prepared(name, images, size=SIZE):
  protocol = PROTOCOLS[name]
  return np.asarray(protocol.on_device(protocol.on_host(images, size=size), size=size))


def tf1(images):
  tf = pytest.importorskip('tensorflow')
  resized = tf.compat.v1.image.resize_bilinear(
      images.astype(np.float32), (SIZE, SIZE), align_corners=False, half_pixel_centers=False)
  return (resized.numpy() - 128) / 128


def torch_bilinear(images):
  torch = pytest.importorskip('torch', reason='the reference is PyTorch')
  unit = torch.tensor(images / 255., dtype=torch.float64).permute(0, 3, 1, 2)
  resized = torch.nn.functional.interpolate(unit, (SIZE, SIZE), mode='bilinear', align_corners=False)
  return 2 * resized.permute(0, 2, 3, 1).numpy() - 1


def clean(images):
  planes = [[Image.fromarray(image[:, :, c].astype(np.float32)).resize((SIZE, SIZE), Image.BICUBIC)
             for c in range(image.shape[2])] for image in images]
  resized = np.array([[np.asarray(plane) for plane in image] for image in planes]).transpose(0, 2, 3, 1)
  return (np.clip(resized, 0, 255) - 128) / 128


REFERENCES = {'tf1': tf1, 'torch': torch_bilinear, 'clean': clean}


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('name', PROTOCOLS)
def test_it_is_the_published_resize_and_scale(name, shape):
  images = images_of(shape)
  found, expected = prepared(name, images), REFERENCES[name](images)
  assert found.shape == (shape[0], SIZE, SIZE, 3) and found.dtype == np.float32
  np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-5)


def test_the_protocols_differ():
  images = images_of(SHAPES[0])
  found = [prepared(name, images) for name in PROTOCOLS]
  assert min(np.abs(a - b).max() for i, a in enumerate(found) for b in found[:i]) > 0.1


def test_the_usual_size_is_that_of_the_network():
  for name, protocol in PROTOCOLS.items():
    assert protocol.on_device(protocol.on_host(images_of(SHAPES[0]))).shape == (2, 299, 299, 3), name


def test_black_and_white_are_the_ends_of_the_scale():
  """Pixels 0 and 255 go to -1 and to (255 - 128) / 128, or 1, by a fixed map and not by what else is in the image."""
  for name, ends in [('tf1', (-1, 127 / 128)), ('torch', (-1, 1)), ('clean', (-1, 127 / 128))]:
    for pixel, expected in zip((0, 255), ends, strict=True):
      np.testing.assert_allclose(prepared(name, np.full((1, 8, 8, 3), pixel, np.uint8)), expected, atol=1e-6)


def test_other_numbers_of_channels_are_refused():
  for name in PROTOCOLS:
    assert '4 channels' in refusal(prepared, name, np.zeros((1, 8, 8, 4), np.uint8))
