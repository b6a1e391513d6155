"""--mode=sample: the files that it writes hold what `Trained` draws, and one-line errors for what cannot be drawn."""

import json
import shutil

from helpers import runs
from helpers.pictures import encoded, put, smooth
import numpy as np
from PIL import Image
import pytest

import jgen
from jgen.commands import sample
from jgen.commands.options import Sample
from jgen.errors import UserError
from jgen.images.grids import compose_grid


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  root = tmp_path_factory.mktemp('runs')
  return {name: runs.make(root / name, name) for name in ('dcgan', 'infogan', 'vae', 'vqvae')}


def drawn(folder, **options):
  """The folder of the files that --mode=sample writes by default."""
  before = set(folder.glob('drawn/*'))
  sample.run(Sample(**options), folder)
  made, = set(folder.glob('drawn/*')) - before
  return made


def pixels(path):
  return np.asarray(Image.open(path))


def refusal(folder, **options):
  with pytest.raises(UserError) as caught:
    sample.run(Sample(**options), folder)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def test_single_images_are_named_by_number_and_class(folders):
  out = drawn(folders['dcgan'], num_samples=5, labels='7,3', seed=2)
  names = ['00000_class_7.png', '00001_class_3.png', '00002_class_7.png', '00003_class_3.png', '00004_class_7.png']
  assert sorted(path.name for path in out.iterdir()) == [*names, 'samples.json']
  expected = jgen.load(folders['dcgan']).sample(5, labels=[7, 3], seed=2)
  np.testing.assert_array_equal([pixels(out / name) for name in names], expected[..., 0])
  stored = json.loads((out / 'samples.json').read_text())
  assert (stored['step'], stored['seed'], stored['averaged_parameters']) == (4, 2, True)
  coded = drawn(folders['infogan'], num_samples=2, codes='1,*,0,0')
  assert sorted(path.name for path in coded.glob('*.png'))[0].startswith('00000_code_1-')


def test_an_npz_holds_the_same_images_and_their_labels(folders):
  out = drawn(folders['dcgan'], draw='npz', num_samples=140, seed=1)
  with np.load(out / 'samples.npz') as arrays:
    np.testing.assert_array_equal(arrays['images'], jgen.load(folders['dcgan']).sample(140, seed=1))
    np.testing.assert_array_equal(arrays['labels'], np.arange(140) % 10)


def test_grids_and_pairs_have_a_row_a_class(folders):
  run = jgen.load(folders['dcgan'])
  grid = pixels(drawn(folders['dcgan'], draw='grid', num_samples=6, labels='3,5') / 'grid.png')
  rows = run.sample(6, labels=[3, 3, 3, 5, 5, 5])
  np.testing.assert_array_equal(grid, compose_grid(rows, 3, ('3', '5')))
  pairs = pixels(drawn(folders['dcgan'], draw='pairs', num_samples=3, labels='3,5') / 'pairs.png')
  same = np.concatenate([run.sample(3, labels=3), run.sample(3, labels=5)])
  np.testing.assert_array_equal(pairs[-2 * 50 - 2:, :22 + 3 * 50], compose_grid(same, 3, ('3', '5'))[:, :22 + 3 * 50])
  assert 'is not conditioned on a class' in refusal(folders['vae'], draw='pairs')


def test_interpolations_join_the_samples_that_are_named(folders):
  out = drawn(folders['vae'], draw='interpolation', numbers='1,0', columns=4)
  run = jgen.load(folders['vae'])
  strip = pixels(out / 'interpolation.png')[2:50, -4 * 50:]
  ends = compose_grid(run.sample(2)[::-1], 2)[2:50]
  np.testing.assert_array_equal(strip[:, :48], ends[:, 2:50])
  np.testing.assert_array_equal(strip[:, 150:198], ends[:, 52:100])
  film = Image.open(out / 'interpolation.gif')
  assert film.n_frames == 30 and film.size == (52, 52)   # there and back
  assert 'needs at least two ends' in refusal(folders['vae'], draw='interpolation', numbers='3')
  assert "'x' is not a whole number" in refusal(folders['vae'], draw='interpolation', numbers='3,x')


def test_traversals_of_latents_and_codes(folders):
  out = drawn(folders['vae'], draw='traversal', latents='4,0', columns=3, span=2.)
  run = jgen.load(folders['vae'])
  expected = run.traverse(run.latents(1)[0], [4, 0], [-2., 0., 2.]).reshape(6, 8, 8, 1)
  picture = pixels(out / 'traversal.png')
  grid = compose_grid(expected, 3, ('z4', 'z0'))
  np.testing.assert_array_equal(picture[-102:, :grid.shape[1]], grid)
  codes = pixels(drawn(folders['infogan'], draw='traversal', columns=5) / 'traversal.png')
  assert codes.shape[0] > 4 * 50        # two categorical codes of three values and two continuous ones
  assert 'there is no latent 9' in refusal(folders['vae'], draw='traversal', latents='9')


def test_own_pictures_are_reconstructed_and_joined(folders, tmp_path):
  put(tmp_path, {f'{name}.png': encoded(smooth(n, 16, 16), 'PNG') for n, name in enumerate(('me', 'you'))})
  out = drawn(folders['vae'], draw='reconstruction', images=str(tmp_path))
  run = jgen.load(folders['vae'])
  np.testing.assert_array_equal(pixels(out / '00001_you.png'), run.reconstruct(run.images_of(tmp_path))[1, ..., 0])
  assert (out / 'reconstructions.png').exists()
  drawn(folders['vae'], draw='interpolation', images=str(tmp_path))
  assert 'no such model has an encoder' in refusal(folders['dcgan'], draw='reconstruction', images=str(tmp_path))
  assert 'give your images with --images' in refusal(folders['vae'], draw='reconstruction')


def test_a_prior_is_sampled_from_the_folder_of_its_vqvae(folders, capsys):
  assert "there is no 'mixture'" in refusal(folders['vqvae'], prior='mixture')
  shutil.copytree(folders['infogan'], folders['vqvae'] / 'priors' / 'mixture')
  sample.run(Sample(prior='mixture', num_samples=2), folders['vqvae'])
  assert list(folders['vqvae'].glob('priors/mixture/drawn/images/00001*.png'))
  assert 'a prior learns their distribution' not in capsys.readouterr().out
  assert drawn(folders['vqvae'], num_samples=1).name == 'images'
  assert 'a prior learns their distribution' in capsys.readouterr().out


def test_nothing_is_overwritten_and_what_cannot_be_drawn_is_told_before_a_file_is_written(folders, tmp_path):
  folder = folders['dcgan']
  (tmp_path / 'mine').write_text('mine')
  assert 'is not an empty folder; name another one' in refusal(folder, output=str(tmp_path))
  assert 'cannot be created (Not a directory); name another' in refusal(folder, output=str(tmp_path / 'mine/below'))
  assert [path.name for path in tmp_path.iterdir()] == ['mine']
  sample.run(Sample(num_samples=1, output=str(tmp_path / 'new')), folder)
  before = set(folder.glob('drawn/*'))
  assert "there is no class 'eleven'" in refusal(folder, labels='eleven')
  assert 'holds no checkpoint of step 77' in refusal(folder, step='77')
  assert 'expected newest, best or the number' in refusal(folder, step='last')
  assert 'codes: the model in' in refusal(folder, codes='1,2')
  assert 'truncation: the model in' in refusal(folders['vqvae'], truncation=0.5)
  assert set(folder.glob('drawn/*')) == before
