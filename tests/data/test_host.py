"""TensorFlow and clu are imported without Keras, and leave Keras to whoever wants it."""

from pathlib import Path
import subprocess
import sys

ROOT = Path(__file__).parent.parent.parent
CODE = '''
import os, sys
from pathlib import Path
from jgen.data.host import importing_tensorflow, tensorflow
from ml_collections import ConfigDict
from jgen.training import loggers
with importing_tensorflow():
  pass
print(tensorflow.cache_info().currsize)   # before anything else uses it, the GPUs are hidden
tf = tensorflow()
loggers.create(('tensorboard',), Path(sys.argv[1]), ConfigDict({'seed': 1})).close()
print('keras.src' in sys.modules, os.environ.get('TF_USE_LEGACY_KERAS'), tf.keras.__name__)
'''


def test_keras_is_not_imported_and_there_when_it_is_used(tmp_path):
  done = subprocess.run([sys.executable, '-c', CODE, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False)
  assert list(tmp_path.glob('tensorboard/events.*'))
  assert done.stdout == '1\nFalse None keras._tf_keras.keras\n' and not done.stderr, done.stderr
