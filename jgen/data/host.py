"""TensorFlow, which reads, resizes and feeds images on the host."""

from collections.abc import Iterator
import contextlib
import functools
import os
import threading
from types import ModuleType

from jgen.host.runtime import importing

_LEGACY = 'TF_USE_LEGACY_KERAS'        # a variable that TensorFlow reads when it is imported


@functools.cache
def tensorflow() -> ModuleType:
  """The tensorflow module, with few log messages and no access to GPUs; imported on first use, which takes seconds."""
  with _environment():
    tf = _imported()
  tf.config.set_visible_devices([], 'GPU')
  return tf


def _imported():
  with importing():
    import tensorflow
  return tensorflow


@contextlib.contextmanager
def _environment():
  """Context with the environment in which TensorFlow is imported.

  It logs little, and does not import Keras, which takes a second; tf.keras still imports it when used. (With this
  variable TensorFlow imports the older tf_keras instead, if that is installed.)
  """
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')   # unused here, and it prints a notice on stderr
  before = os.environ.get(_LEGACY)
  os.environ[_LEGACY] = '1'
  try:
    yield
  finally:
    del os.environ[_LEGACY]
    if before is not None:
      os.environ[_LEGACY] = before


@contextlib.contextmanager
def importing_tensorflow() -> Iterator[None]:
  """Imports TensorFlow in another thread, so that compilation does not wait for it."""
  with _environment():                  # in this thread: setting a variable while XLA reads one may crash
    thread = threading.Thread(target=_imported)
    thread.start()
    try:
      yield
    finally:
      thread.join()
