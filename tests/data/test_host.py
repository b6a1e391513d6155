"""TensorFlow is imported without Keras, and leaves Keras to whoever wants it."""

from pathlib import Path
import subprocess
import sys

ROOT = Path(__file__).parent.parent.parent
CODE = '''
import os, sys
from jgen.data.host import importing_tensorflow, tensorflow
with importing_tensorflow():
  pass
tf = tensorflow()
print('keras.src' in sys.modules, os.environ.get('TF_USE_LEGACY_KERAS'), tf.keras.__name__)
'''


def test_tensorflow_is_imported_without_keras_which_is_there_when_it_is_used():
  done = subprocess.run([sys.executable, '-c', CODE], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.stdout == 'False None keras._tf_keras.keras\n' and not done.stderr, done.stderr
