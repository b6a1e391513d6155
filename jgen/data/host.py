"""TensorFlow, the host's tool for reading, resizing and feeding images."""

from collections.abc import Iterator
import contextlib
import functools
import gc
import os
import threading
from types import ModuleType


@functools.cache
def tensorflow() -> ModuleType:
  """The module, quiet and with the GPUs left to JAX; imported when first needed, for it takes seconds."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')   # unused here, and it announces itself on stderr
  import tensorflow as tf
  tf.config.set_visible_devices([], 'GPU')
  gc.freeze()   # what it defines lives on; each full collection would look at all of it, for 0.3 s
  return tf


@contextlib.contextmanager
def importing_tensorflow() -> Iterator[None]:
  """Imports TensorFlow in a thread, so that compilation in this one does not wait for it."""
  thread = threading.Thread(target=tensorflow)
  thread.start()
  try:
    yield
  finally:
    thread.join()
