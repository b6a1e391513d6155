"""TensorFlow, which reads, resizes and feeds images on the host."""

from collections.abc import Iterator
import contextlib
import functools
import gc
import os
import threading
from types import ModuleType


@functools.cache
def tensorflow() -> ModuleType:
  """The tensorflow module, with few log messages and no access to GPUs; imported on first use, which takes seconds."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')   # unused here, and it prints a notice on stderr
  import tensorflow as tf
  tf.config.set_visible_devices([], 'GPU')
  gc.freeze()   # its objects live until exit; else each full collection would scan them all, for 0.3 s
  return tf


@contextlib.contextmanager
def importing_tensorflow() -> Iterator[None]:
  """Imports TensorFlow in another thread, so that compilation does not wait for it."""
  thread = threading.Thread(target=tensorflow)
  thread.start()
  try:
    yield
  finally:
    thread.join()
