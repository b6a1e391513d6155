"""TensorFlow, which reads, resizes and feeds images on the host."""

from collections.abc import Iterator
import contextlib
import functools
import os
import sys
import threading
from types import ModuleType

from absl import logging

from jgen.host.runtime import importing

_LEGACY = 'TF_USE_LEGACY_KERAS'         # a variable that TensorFlow reads when it is imported
_CALLBACK = 'tensorboard.plugins.hparams._keras'


@functools.cache
def tensorflow() -> ModuleType:
  """The tensorflow module, with few log messages and no access to GPUs; imported on first use, which takes seconds."""
  with without_keras():
    tf = _imported()
  tf.config.set_visible_devices([], 'GPU')
  return tf


def _imported():
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')   # unused here, and it prints a notice on stderr
  with importing():
    import tensorflow
  return tensorflow


@contextlib.contextmanager
def errors_only() -> Iterator[None]:
  """Context without absl's warnings, such as those of tensorflow_datasets about its own use of deprecated names."""
  before = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    yield
  finally:
    logging.set_verbosity(before)


@contextlib.contextmanager
def without_keras() -> Iterator[None]:
  """Context in which importing TensorFlow or clu does not import Keras, which takes a second or two.

  TensorFlow imports Keras for SavedModels, unless it is asked for the older tf_keras; `tf.keras` still imports it on
  use. clu imports TensorBoard's callback for Keras, which is None for the rest of this process.
  """
  asked, callback = os.environ.get(_LEGACY), sys.modules.get(_CALLBACK)
  os.environ[_LEGACY] = '1'
  sys.modules[_CALLBACK] = callback or _no_callback()
  try:
    yield
  finally:
    _restore(os.environ, _LEGACY, asked)
    _restore(sys.modules, _CALLBACK, callback)


def _no_callback():
  module = ModuleType(_CALLBACK)
  vars(module)['Callback'] = None
  return module


def _restore(mapping, name, before):
  if before is None:
    del mapping[name]
  else:
    mapping[name] = before


@contextlib.contextmanager
def importing_tensorflow() -> Iterator[None]:
  """Imports TensorFlow in another thread, so that compilation does not wait for it."""
  with without_keras():                 # in this thread: setting a variable while XLA reads one may crash
    thread = threading.Thread(target=_imported)
    thread.start()
    try:
      yield
    finally:
      thread.join()
    tensorflow()                        # hides the GPUs, which is possible only before anything uses TensorFlow
