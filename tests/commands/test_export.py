"""--mode=export: each format is run without jgen and compared with what the run itself draws."""

import os
import subprocess
import sys

from helpers import compiling, runs
import numpy as np
import pytest

import jgen
from jgen.commands import export, exporting
from jgen.commands.options import Export
from jgen.errors import UserError

# A process that knows JAX alone; its inputs are in an .npz, by name and in order.
READER = '''
import sys
from jax import export
import numpy as np
file, inputs, outputs = sys.argv[1:]
network = export.deserialize(bytearray(open(file, 'rb').read()))
assert set(network.platforms) == {'cpu', 'cuda', 'tpu'}
arrays = np.load(inputs)
made = network.call(*(arrays[name] for name in arrays.files))
np.savez(outputs, *(made if isinstance(made, (list, tuple)) else [made]))
assert not any(name.partition('.')[0] in ('jgen', 'flax', 'tensorflow') for name in sys.modules)
'''


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  """{name: (Run, the folder of its files)}"""
  root, made = tmp_path_factory.mktemp('runs'), {}
  for name in ('dcgan', 'vae', 'vqvae', 'infogan'):
    folder = runs.make(root / name, name)
    export.run(Export(output=str(root / f'{name}_files')), folder)
    made[name] = jgen.load(folder), root / f'{name}_files'
  return made


def read(file, tmp_path, **inputs):
  """What a process without jgen computes from a StableHLO file."""
  np.savez(tmp_path / 'inputs.npz', **inputs)
  done = subprocess.run([sys.executable, '-I', '-c', READER, file, tmp_path / 'inputs.npz', tmp_path / 'outputs.npz'],
                        cwd=tmp_path, capture_output=True, text=True, check=False,
                        env={**os.environ, 'XLA_FLAGS': compiling.flags(devices=1)})
  assert done.returncode == 0, done.stderr
  with np.load(tmp_path / 'outputs.npz') as arrays:
    return [arrays[name] for name in arrays.files]


def floats(images):
  return images.astype(np.float64) / 127.5 - 1


def assert_same_images(images, expected):
  """Floats in [-1, 1] that a run has drawn as these pixels: equal to 1e-4 beyond the rounding to pixels."""
  assert images.dtype == np.float32 and np.abs(images - floats(expected)).max() < 0.5 / 127.5 + 1e-4


def test_the_generator_as_stablehlo_draws_what_the_run_draws(exported, tmp_path):
  run, folder = exported['dcgan']
  labels = np.arange(5, dtype=np.int32)
  images, = read(folder / 'generator.stablehlo', tmp_path, latents=run.latents(5), labels=labels)
  assert_same_images(images, run.sample(5, labels=labels))
  state = run.used
  params = state.ema_params.get('generator', state.params['generator'])
  inputs = np.concatenate([run.latents(5), np.eye(10, dtype=np.float32)[labels]], 1)
  variables = {'params': params, **state.model_state['generator']}
  np.testing.assert_allclose(images, run.family.generator.apply(variables, inputs, train=False), atol=1e-4)


def test_encoders_and_decoders_as_stablehlo(exported, tmp_path):
  pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
  run, folder = exported['vae']
  mean, log_variance = read(folder / 'encoder.stablehlo', tmp_path, images=floats(pixels).astype(np.float32))
  np.testing.assert_allclose(mean, run.encode(pixels), atol=1e-4)
  np.testing.assert_allclose(log_variance, run.posterior(pixels)[1], atol=1e-4)
  assert_same_images(read(folder / 'decoder.stablehlo', tmp_path, latents=mean)[0], run.decode(mean))
  run, folder = exported['vqvae']
  codes, = read(folder / 'encoder.stablehlo', tmp_path, images=floats(pixels).astype(np.float32))
  np.testing.assert_array_equal(codes, run.encode(pixels))


def test_the_parameters_are_those_that_pytorch_draws_the_same_images_with(exported):
  torch = pytest.importorskip('torch', reason="needs PyTorch: pip install -e '.[benchmark]'")
  from safetensors.numpy import load_file
  run, folder = exported['dcgan']
  arrays = {name: torch.tensor(value) for name, value in load_file(folder / 'parameters.safetensors').items()
            if name.startswith('generator/')}
  x = torch.tensor(np.concatenate([run.latents(4), np.eye(10, dtype=np.float32)[:4]], 1))
  x = (x @ arrays['generator/params/layer_0/kernel']).reshape(4, 2, 2, 12).permute(0, 3, 1, 2)
  for layer in (1, 2):
    norm = f'BatchNorm_{layer - 1}'
    of = lambda kind, name, norm=norm: arrays[f'generator/{kind}/{norm}/{name}']
    x = torch.nn.functional.batch_norm(x, of('batch_stats', 'mean'), of('batch_stats', 'var'), of('params', 'scale'),
                                       of('params', 'bias'))
    x = torch.nn.functional.leaky_relu(x, run.config.model.generator.negative_slope)
    kernel = arrays[f'generator/params/layer_{layer}/kernel'].permute(3, 2, 0, 1)
    x = torch.nn.functional.conv_transpose2d(x, kernel, stride=2, padding=1)
  assert_same_images(torch.tanh(x).permute(0, 2, 3, 1).numpy(), run.sample(4))


def test_the_generator_as_onnx(exported, tmp_path):
  pytest.importorskip('jax2onnx', reason="needs jax2onnx: pip install -e '.[onnx]'")
  import onnxruntime
  run, _ = exported['infogan']
  (tmp_path / 'generator.onnx').write_bytes(exporting.onnx(exporting.networks(run)['generator'], 'generator'))
  session = onnxruntime.InferenceSession(tmp_path / 'generator.onnx')
  for count in (2, 5):
    codes = run.sample_codes(count)[:]
    images, = session.run(None, {'latents': run.latents(count), 'codes': codes})
    assert_same_images(images, run.sample(count, codes=codes))


def test_a_readme_says_what_goes_in_and_out(exported):
  _, folder = exported['infogan']
  text = (folder / 'README.md').read_text()
  assert '| in | `codes` | float32 | `[batch, 4]` | 2 whole numbers from 0 to 2, then 2 in [-1, 1] |' in text
  assert '| out | `images` | float32 | `[batch, 8, 8, 1]` |' in text
  assert {path.name for path in folder.iterdir()} == {'README.md', 'generator.stablehlo', 'parameters.safetensors'}


def test_what_cannot_be_exported_is_told_in_one_line(exported, tmp_path, monkeypatch):
  run, folder = exported['dcgan']
  refusals = [(Export(output=str(folder)), 'is not an empty folder'), (Export(formats=()), '--formats is empty')]
  monkeypatch.setattr(export.importlib.util, 'find_spec', lambda name: None)
  refusals += [(Export(formats=('onnx',)), "needs the package jax2onnx: pip install -e '.[onnx]'")]
  for options, expected in refusals:
    with pytest.raises(UserError, match='(?s)^[^\n]*$') as caught:
      export.run(options, run.folder)
    assert expected in str(caught.value)
