"""Decodes the bytes of an image file to RGB pixels, or says why it cannot.

Unusual images:
  grey, palette         their colours as RGB
  16 bits per channel   the upper 8
  CMYK, YCCK            converted to RGB without a colour profile
  alpha                 composited over white
  animated              the first frame
  EXIF orientation      rotated upright
  truncated, empty, no image (a web page), more than MAX_PIXELS: refused
Plain JPEGs, grey or colour and upright, are decoded by simplejpeg, all others by Pillow. Both use libjpeg-turbo with
its accurate inverse DCT and give the same pixels. For small images simplejpeg was by far the fastest decoder measured,
on one core and on several, where it releases the GIL.
"""

from collections.abc import Sequence
import io
import struct
import warnings

from jaxtyping import UInt8
import numpy as np
from PIL import ExifTags, Image
import simplejpeg

SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff')
MAX_PIXELS = 100_000_000                # per image; a small file that decodes to more could fill the memory
_FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF')
_MARKUP = (b'<!doctype', b'<html', b'<?xml', b'<head', b'<svg')

_TURNS = dict(zip(range(2, 9), (               # what undoes each EXIF orientation; 1 is upright
    Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90),
    strict=True))

warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)   # larger images are refused here


class BadImageError(Exception):
  """An image cannot be used; the message gives the reason in a few words."""


def decode(content: bytes) -> UInt8[np.ndarray, 'h w c']:
  """The pixels of an image file.

  Args:
    content: its bytes

  Returns:
    uint8 [H, W, 3], RGB

  Raises:
    BadImageError: it cannot be decoded completely, or is too large.
  """
  if not content:
    raise BadImageError('empty file')
  if _is_plain_jpeg(content):
    try:
      return simplejpeg.decode_jpeg(content, 'RGB')
    except ValueError:
      pass                              # Pillow's error message says what is wrong
  return _decode_any(content)


def centre_crop(images: np.ndarray, share: float, shape: Sequence[int]) -> np.ndarray:
  """Centre crop of images, to half a pixel, with the aspect ratio of `shape`; a share of 1 cuts off the least.

  Args:
    images: [..., H, W, C]
    share: sides of the crop relative to the largest one with this aspect ratio that fits, above 0, at most 1
    shape: height and width that the result will be resized to; further entries are ignored

  Returns:
    A view of the images, [..., h, w, C].
  """
  height, width = images.shape[-3:-1]
  scale = share * min(height / shape[0], width / shape[1])
  h, w = (max(1, round(scale * side)) for side in shape[:2])
  top, left = (height - h) // 2, (width - w) // 2
  return images[..., top:top + h, left:left + w, :]


def _is_plain_jpeg(content):
  """Whether it is a JPEG of 8 bits and 1 or 3 channels, at most MAX_PIXELS large, without an EXIF orientation."""
  if content[:2] != b'\xff\xd8':
    return False
  at = 2
  while at + 10 <= len(content) and content[at] == 0xff:
    marker, length = content[at + 1], int.from_bytes(content[at + 2:at + 4])
    if marker == 0xe1 and content[at + 4:at + 8] == b'Exif' or marker == 0xee:   # 0xee: Adobe's colour transform
      return False
    if marker in (0xc0, 0xc1, 0xc2):    # the frame: baseline, extended, progressive
      bits, height, width, channels = struct.unpack('>BHHB', content[at + 4:at + 10])
      return bits == 8 and channels in (1, 3) and 0 < height * width <= MAX_PIXELS
    at += 2 + length
  return False


def _decode_any(content):
  try:
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
      if image.width * image.height > MAX_PIXELS:
        raise BadImageError(f'{image.width} x {image.height} pixels, more than {MAX_PIXELS // 1_000_000} million')
      return np.asarray(_to_rgb(_upright(image)))
  except BadImageError:
    raise
  except Image.DecompressionBombError as error:
    raise BadImageError(f'more than {MAX_PIXELS // 1_000_000} million pixels') from error
  except Exception as error:   # on damaged files Pillow raises anything from OSError to struct.error
    raise BadImageError(_why(content, error)) from error


def _upright(image):
  """The image rotated as its EXIF tag says; Pillow's own function rewrites all tags and fails on malformed ones."""
  turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
  return image if turn is None else image.transpose(turn)


def _to_rgb(image):
  if image.mode == 'F':
    raise BadImageError('floating-point pixels, whose range is unknown')
  if image.mode.startswith('I'):        # 16 bits, grey
    return Image.fromarray((np.clip(np.asarray(image), 0, 65535) >> 8).astype(np.uint8)).convert('RGB')
  if image.mode in ('RGBA', 'LA', 'PA', 'La', 'RGBa') or 'transparency' in image.info:
    image = image.convert('RGBA')
    return Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image).convert('RGB')
  return image.convert('RGB')


def _why(content, error):
  if content[:200].lstrip().lower().startswith(_MARKUP):
    return 'a web page, not an image'
  if isinstance(error, Image.UnidentifiedImageError):
    return 'no JPEG, PNG, WebP, BMP, GIF or TIFF, or truncated within its header'
  return ' '.join(str(error).split())[:100] or type(error).__name__
