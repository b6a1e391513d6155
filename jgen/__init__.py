"""jgen: deep generative image models in JAX, trained, drawn and measured.

Letters for shapes, in docstrings and, as texts, in signatures (`jgen.shapes` names the most frequent):
  D devices of this process         K batches consumed by one training step
  S steps in one dispatch           B images of one batch on one device
  G images of one batch over all devices and processes
  H W C height, width, channels     Z size of the latent vector
  Y classes                         N images of a data set

Images are float32 in [-1, 1] inside the compiled step and uint8 in [0, 255] at every border: files,
batches on their way to the device, samples on their way to a picture or a classifier.
"""

_API = ('Run', 'compare', 'config', 'grid', 'load', 'train')


def __getattr__(name):
  """The Python API of `jgen.trained.api`, imported on first use, so that `import jgen` alone is fast."""
  if name not in _API:
    raise AttributeError(f"module 'jgen' has no attribute '{name}'")
  from jgen.trained import api
  return getattr(api, name)


def __dir__():
  return sorted([*globals(), *_API])
