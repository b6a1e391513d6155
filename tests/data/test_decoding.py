"""Image files of every kind, and files that are not images."""

import contextlib
import struct
import zlib

from helpers.pictures import decoded, encoded, smooth
import numpy as np
from PIL import Image
import pytest
import simplejpeg

from jgen.data.files import decoding
from jgen.data.files.decoding import BadImageError, centre_crop, decode

IMAGE = smooth(3, 40, 30)
pytestmark = pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')


@pytest.mark.parametrize('options', [
    dict(quality=90), dict(progressive=True), dict(subsampling=0), dict(optimize=True, quality=30),
    dict(comment=b'hm')])
def test_plain_jpegs_are_those_of_pillow_and_do_not_need_it(options, monkeypatch):
  content = encoded(IMAGE, **options)
  expected = decoded(content)
  grey = encoded(Image.fromarray(IMAGE).convert('L'))
  expected_grey = decoded(grey)
  monkeypatch.setattr(decoding, '_decode_any', lambda content: pytest.fail('Pillow was asked'))
  np.testing.assert_array_equal(decode(content), expected)
  np.testing.assert_array_equal(decode(grey), expected_grey)
  assert np.abs(expected.astype(int) - IMAGE).mean() < 12


@pytest.mark.parametrize('kind', ['PNG', 'BMP', 'WEBP', 'GIF'])
def test_other_formats(kind):
  image = decode(encoded(IMAGE, kind, **dict(lossless=True) if kind == 'WEBP' else {}))
  assert image.dtype == np.uint8 and image.shape == IMAGE.shape
  assert np.abs(image.astype(int) - IMAGE).max() <= (40 if kind == 'GIF' else 0)   # a palette of 256


def test_grey_and_16_bits():
  values = np.arange(0, 65536, 257, dtype=np.uint16)[:256].reshape(16, 16)
  image = decode(encoded(values, 'PNG'))
  np.testing.assert_array_equal(image, np.repeat((values // 256).astype(np.uint8)[..., None], 3, -1))
  grey = IMAGE[..., 0]
  np.testing.assert_array_equal(decode(encoded(grey, 'PNG')), np.repeat(grey[..., None], 3, -1))


def test_alpha_is_laid_over_white():
  alpha = np.linspace(0, 255, 40 * 30).reshape(40, 30).astype(np.uint8)
  share = alpha[..., None] / 255
  expected = IMAGE * share + 255 * (1 - share)
  rgba = np.dstack([IMAGE, alpha])
  assert np.abs(decode(encoded(rgba, 'PNG')) - expected).max() <= 1
  la = np.dstack([IMAGE[..., 0], alpha])
  assert np.abs(decode(encoded(Image.fromarray(la, 'LA'), 'PNG')) - expected[..., :1]).max() <= 1


def test_palettes_and_their_transparent_colour():
  image = Image.new('P', (4, 2))
  image.putpalette([10, 20, 30, 200, 100, 50])
  image.putdata([0, 1, 1, 0, 0, 0, 1, 1])
  colours = np.array([[10, 20, 30], [200, 100, 50]])[[[0, 1, 1, 0], [0, 0, 1, 1]]]
  np.testing.assert_array_equal(decode(encoded(image, 'PNG')), colours)
  over_white = np.array([[255] * 3, [200, 100, 50]])[[[0, 1, 1, 0], [0, 0, 1, 1]]]
  np.testing.assert_array_equal(decode(encoded(image, 'PNG', transparency=0)), over_white)


def test_of_an_animation_the_first_frame():
  frames = [Image.new('RGB', (5, 5), colour) for colour in ('red', 'blue', 'green')]
  for kind, options in (('GIF', {}), ('PNG', {}), ('WEBP', dict(lossless=True))):
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(decode(content), np.broadcast_to([255, 0, 0], (5, 5, 3)))


@pytest.mark.parametrize(('orientation', 'upright'), [
    (1, lambda image: image), (2, lambda image: image[:, ::-1]), (3, lambda image: image[::-1, ::-1]),
    (4, lambda image: image[::-1]), (5, lambda image: np.swapaxes(image, 0, 1)), (6, lambda image: np.rot90(image, -1)),
    (7, lambda image: np.swapaxes(image[::-1, ::-1], 0, 1)), (8, lambda image: np.rot90(image)),
    (9, lambda image: image)])
def test_exif_orientation(orientation, upright):
  exif = Image.Exif()
  exif[0x0112] = orientation
  for kind in ('JPEG', 'PNG'):
    content = encoded(IMAGE, kind, exif=exif)
    np.testing.assert_array_equal(decode(content), upright(decoded(content)))


@pytest.mark.parametrize('odd', [(0x100, 2, 4, 0x41424344), (0x9999, 99, 4, 1), (0x8825, 4, 1, 4000)])
def test_an_odd_tag_beside_the_orientation(odd):
  """A text for a width, a type and a place that do not exist."""
  plain = encoded(IMAGE)
  tags = b'II*\0\x08\0\0\0\x02\0' + struct.pack('<HHIHH', 0x112, 3, 1, 6, 0) + struct.pack('<HHII', *odd) + bytes(4)
  part = b'Exif\0\0' + tags
  content = plain[:2] + b'\xff\xe1' + struct.pack('>H', len(part) + 2) + part + plain[2:]
  np.testing.assert_array_equal(decode(content), np.rot90(decoded(plain), -1))


def test_cmyk():
  content = encoded(Image.fromarray(IMAGE).convert('CMYK'), quality=95)
  assert np.abs(decode(content).astype(int) - IMAGE).mean() < 6


def png_of_size(width, height):
  """A PNG of some bytes that says it is this large."""
  def chunk(kind, content):
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))
  header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
  chunks = chunk(b'IHDR', header), chunk(b'IDAT', zlib.compress(b'\0' * 100)), chunk(b'IEND', b'')
  return b'\x89PNG\r\n\x1a\n' + b''.join(chunks)


def jpeg_of_size(width, height):
  content = bytearray(encoded(IMAGE))
  at = content.index(b'\xff\xc0') + 5
  content[at:at + 4] = struct.pack('>HH', height, width)
  return bytes(content)


@pytest.mark.parametrize(('content', 'why'), [
    (b'', 'empty file'),
    (b'<!DOCTYPE html><html><body>Quota exceeded</body></html>', 'a web page, not an image'),
    (b'\n  <HTML><head>', 'a web page, not an image'),
    (b'some text', 'no JPEG, PNG, WebP, BMP, GIF or TIFF'),
    (encoded(IMAGE)[:-300], 'truncated'),
    (encoded(IMAGE)[:300], ''),
    (encoded(IMAGE)[:10], ''),
    (encoded(IMAGE, 'PNG')[:-400], ''),
    (encoded(IMAGE, 'WEBP')[:-100], ''),
    (encoded(IMAGE, 'TIFF')[:100], ''),
    (png_of_size(15_000, 15_000), 'more than 100 million'),
    (png_of_size(10_001, 10_000), '10001 x 10000 pixels, more than 100 million'),
    (jpeg_of_size(60_000, 60_000), 'more than 100 million'),
    (bytes(range(256)) * 20, 'no JPEG'),
])
def test_what_cannot_be_decoded(content, why):
  with pytest.raises(BadImageError) as caught:
    decode(content)
  line = str(caught.value)
  assert line and why.lower() in line.lower() and '\n' not in line


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_a_sound_image_may_be_too_large_as_well(kind, monkeypatch):
  content = encoded(IMAGE, kind)
  monkeypatch.setattr(decoding, 'MAX_PIXELS', 40 * 30)
  assert decode(content).shape == (40, 30, 3)
  monkeypatch.setattr(decoding, 'MAX_PIXELS', 40 * 30 - 1)
  with pytest.raises(BadImageError, match='30 x 40 pixels, more than'):
    decode(content)


def test_noise_in_a_file_never_escapes():
  """Whatever the bytes: pixels or BadImageError."""
  rng = np.random.default_rng(0)
  for kind in ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF'):
    whole = encoded(IMAGE, kind)
    for _ in range(30):
      content = bytearray(whole)
      for at in rng.integers(0, len(content), 8):
        content[at] = rng.integers(256)
      with contextlib.suppress(BadImageError):
        assert decode(bytes(content)).shape[-1] == 3


def test_where_libjpeg_only_warns_pillow_has_the_word():
  whole = encoded(IMAGE)
  content = whole[:-2] + b'more' + whole[-2:]
  with pytest.raises(ValueError, match='extraneous'):
    simplejpeg.decode_jpeg(content, 'RGB')
  np.testing.assert_array_equal(decode(content), decoded(content))


@pytest.mark.parametrize(('height', 'width', 'share', 'top', 'left', 'side'), [
    (218, 178, 140 / 178, 39, 19, 140), (109, 89, 140 / 178, 19, 9, 70), (10, 30, 1., 0, 10, 10), (7, 4, 1., 1, 0, 4),
    (5, 5, 0.01, 2, 2, 1)])
def test_centre_crop_of_a_square(height, width, share, top, left, side):
  image = np.arange(height * width * 3).reshape(height, width, 3)
  cropped = image[top:top + side, left:left + side]
  np.testing.assert_array_equal(centre_crop(image, share, (64, 64)), cropped)
  np.testing.assert_array_equal(centre_crop(np.stack([image, image]), share, (8, 8, 3)), [cropped, cropped])


@pytest.mark.parametrize(('shape', 'share', 'place'), [
    ((64, 32), 1., (slice(0, 20), slice(10, 20))), ((32, 64), 1., (slice(2, 17), slice(0, 30))),
    ((64, 32), .5, (slice(5, 15), slice(12, 17))), ((2, 3), 1., (slice(0, 20), slice(0, 30)))])
def test_centre_of_other_proportions(shape, share, place):
  image = np.arange(20 * 30 * 3).reshape(20, 30, 3)
  np.testing.assert_array_equal(centre_crop(image, share, shape), image[place])
