"""Array types: their element type and their axes, in the letters listed in jgen/__init__.py.

Axes with the same name in a signature must have the same size; tests check this at each call. Axes that are letters of
a paper are written out in the signature: `Float[Array, 'K D']`, the codebook of a VQ-VAE.
"""

from typing import TYPE_CHECKING

import jax
from jaxtyping import Float, Int, Key, UInt8
import numpy as np

if TYPE_CHECKING:
  from jax import Array
else:
  # Host arrays are sent to the device when they are used.
  Array = jax.Array | np.ndarray | np.generic

# Inside the compiled step.
PRNGKey = Key[jax.Array, '']                # one key of jax.random
Scalar = Float[Array, '']
PerImage = Float[Array, ' B']           # a loss, a logit, a score of each image
Step = Int[Array, ''] | int             # number of training steps done
Labels = Int[Array, ' B']
Images = Float[Array, 'B H W C']        # in [-1, 1], or a decoder's output, which is unbounded
Image = Float[Array, 'H W C']
Latents = Float[Array, 'B Z']
Map = Float[Array, 'B h w c']           # spatial latents of a VQ-VAE
ConvInput = Float[Array, 'B H W Ci']    # input of a convolution, output of its transpose
ConvOutput = Float[Array, 'B h w Co']
Kernel = Float[Array, 'k k Ci Co']
Values = Float[Array, 'B ...']          # one array per image
Codes = Int[Array, 'B N']

# On the host.
Pixels = UInt8[np.ndarray, 'n H W C']   # any number of images, in [0, 255]
Picture = UInt8[np.ndarray, 'H W C']
PixelMap = UInt8[np.ndarray, 'height width 3']   # a picture composed of several images
HostLabels = Int[np.ndarray, ' n']
HostLatents = Float[np.ndarray, 'n Z']
Features = Float[np.ndarray, 'n F']
Metrics = dict[str, Array]              # {name: [] or [B]}
Shape = tuple[int, int, int]            # (H, W, C)
