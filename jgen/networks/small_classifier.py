"""A small convolutional classifier: the network of proxy features, trained or with random weights."""

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from jgen.shapes import Array, Images, Shape

WIDTHS = (32, 64, 128)                  # channels; each layer halves the sides, while they are above 1


class SmallClassifier(nn.Module):
  """Images float32 [B, H, W, C] in [-1, 1] to {'features': [B, 128], or fewer of tiny images, 'logits': [B, Y]}.

  3x3 convolutions with stride 2 and ReLU; the features are means over the image of the last layer's output.
  """

  num_classes: int

  @nn.compact
  def __call__(self, images: Images) -> dict[str, Float[Array, 'B _']]:
    x = images
    for i, width in enumerate(WIDTHS[:max(1, min(images.shape[1:3]).bit_length() - 1)]):
      x = nn.relu(nn.Conv(width, (3, 3), 2, precision=lax.Precision.HIGHEST, name=f'layer_{i}')(x))
    features = x.mean(axis=(1, 2))
    logits = nn.Dense(self.num_classes, precision=lax.Precision.HIGHEST, name='logits')(features)
    return {'features': features, 'logits': logits}


def initial(network: SmallClassifier, image_shape: Shape, seed: int) -> dict[str, dict[str, np.ndarray]]:
  """Parameters of a SmallClassifier for images of `image_shape` (H, W, C), initialised as in He et al. 2015, eq. 10.

  By numpy's RandomState, whose stream is frozen: the numbers are the same on any machine and with any version.
  """
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  shapes = jax.eval_shape(network.init, jax.random.key(0), image)['params']
  random = np.random.RandomState(seed)
  return {name: {'kernel': _he_normal(random, shapes[name]['kernel'].shape),
                 'bias': np.zeros(shapes[name]['bias'].shape, np.float32)} for name in sorted(shapes)}


def _he_normal(random, shape):
  return (random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)
