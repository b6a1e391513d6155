"""jgen from Python on one run that is trained: what it has stored, measures, draws and compares."""

import json

from helpers import tiny
from helpers.published import refusal
import pytest

import jgen


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  config = tiny.dcgan(num_steps=6)
  return jgen.train(config, tmp_path_factory.mktemp('runs') / 'mine')


def test_training_gives_the_run_and_goes_on_where_it_stopped(run):
  assert isinstance(run, jgen.Run) and run.step == 6 and run.sample(3).shape == (3, 8, 8, 1)
  further = jgen.train(tiny.dcgan(num_steps=8), run.folder)
  assert further.step == 8 and list(further.metrics['step']) == [2, 4, 6, 8]
  starts = json.loads((run.folder / 'environment.json').read_text())['starts']
  assert [start['step'] for start in starts] == [0, 6]
  assert 'model.latent_size' in refusal(jgen.train, tiny.dcgan(**{'model.latent_size': 7}), run.folder)
  assert 'model.loss' in refusal(jgen.train, tiny.dcgan(**{'model.loss': 'hinged'}), run.folder.parent / 'other')
  assert not (run.folder.parent / 'other').exists()


def test_metrics_while_a_row_is_being_written(run, tmp_path):
  (tmp_path / 'config.json').write_text((run.folder / 'config.json').read_text())
  assert jgen.load(tmp_path).metrics == {}
  text = (run.folder / 'metrics.csv').read_text()
  for cut in (1, 5, len(text.splitlines()[-1])):   # bytes of the last row that are missing
    (tmp_path / 'metrics.csv').write_text(text[:-cut])
    metrics = jgen.load(tmp_path).metrics
    assert list(metrics['step']) == [2, 4, 6] and metrics['critic/loss'].shape == (3,)
  (tmp_path / 'metrics.csv').write_text('\n'.join(text.splitlines()[:2]) + '\n4,0.5\n' + text.splitlines()[-1] + '\n')
  assert 'metrics.csv, line 3: damaged' in refusal(lambda: jgen.load(tmp_path).metrics)


def test_scores_are_measured_and_stored(run):
  scores = run.evaluate('diversity', num_images=20)
  steps, values = run.scores['diversity/pair_ratio']
  assert scores['num_images'] == 20 and (steps[-1], values[-1]) == (run.step, scores['pair_ratio'])
  assert 'diversity/pair_ratio' not in run.metrics
  stored = json.loads((run.folder / f'evaluation/diversity_step_{run.step:08d}.json').read_text())['receipt']
  assert stored['settings'] == {'num_images': 20} and stored['reference'] == 'digits' and stored['test_sha256'] is None
  assert stored['train_sha256'] == json.loads((run.folder / 'images.json').read_text())['train']['sha256']
  assert "'diversty' is not known" in refusal(run.evaluate, 'diversty')
  assert 'num_image' in refusal(lambda: run.evaluate('diversity', num_image=3))
  assert 'inception' in refusal(run.evaluate, 'fid')
  assert 'reconstruct' in refusal(run.evaluate, 'psnr')


def test_figures_report_and_comparison(run, tmp_path, monkeypatch):
  page = run.report()
  assert page == run.folder / 'report.html' and page.stat().st_size > 10_000
  for path in (run.folder / 'figures').iterdir():
    path.unlink()
  figures = run.figures
  assert {'losses', 'critic_accuracy', 'filmstrip'} <= {*figures}
  assert {*figures.values()} <= {*(run.folder / 'figures').iterdir()}
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'copy').mkdir()
  for name in ('config.json', 'metrics.csv'):
    (tmp_path / 'copy' / name).write_text((run.folder / name).read_text())
  page = jgen.compare(run, 'copy', folder='both')
  assert page == tmp_path / 'both/comparison.html' and (tmp_path / 'both/figures/losses.pdf').exists()
  assert 'at least two' in refusal(jgen.compare, run)
  assert 'holds no run' in refusal(jgen.compare, run, tmp_path)
