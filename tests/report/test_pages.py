"""Reports and comparisons of made-up runs, against the contents of their files."""

from html.parser import HTMLParser
import json
import re

from helpers.published import refusal
import numpy as np
from PIL import Image
import pytest

from jgen.commands import compare
from jgen.errors import UserError
from jgen.report import comparison, page
from jgen.report.drawing import Curves
from jgen.report.overlay import overlay
from jgen.report.report import FILE, write_report
from jgen.run.records import Record

NASTY = '<script>alert("x")</script>&'


class Reader(HTMLParser):
  """What a page holds: its tags with their attributes, and its text."""

  def __init__(self, path):
    super().__init__()
    self.tags, self.text, self.open = [], '', []
    self.feed(path.read_text('utf-8'))

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    self.text += ' ' * (tag in ('td', 'th'))
    if tag not in ('img', 'meta', 'wbr', 'br'):
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if 'style' not in self.open:
      self.text += data

  def all(self, tag):
    return [attributes for name, attributes in self.tags if name == tag]


def make_up(folder, loss='least_squares', scale=1., step=100, **receipt):
  """A GAN's run folder with two logged rows, one score, a sample sheet and a picture."""
  for name in ('samples', 'evaluation'):
    (folder / name).mkdir(parents=True)
  config = {'family': 'gan', 'num_steps': 100, 'batch_size': 5, 'seed': 0, 'data': {'name': NASTY},
            'model': {'loss': loss, 'penalty': 'r1'}, 'note': NASTY}
  write = lambda name, value: (folder / name).write_text(json.dumps(value))
  write('config.json', config)
  write('origin.json', {'config_file': 'configs/a.py', 'changes': {'note': ['', NASTY]}, 'command': f'python {NASTY}'})
  write('environment.json', {'starts': [{
      'time': '2020-01-02T03:04:05+00:00', 'step': 0, 'command': ['launch.py'], 'data': NASTY, 'python': '3.0',
      'platform': 'made up', 'packages': {'jax': '0.1'}, 'devices': ['cpu:0', 'cpu:1'], 'device_kind': 'abacus',
      'git': 'abc123', 'git_changes': True}]})
  write('spec.json', {'spec': {'name': NASTY, 'image_shape': [8, 8, 1], 'label_names': [NASTY]},
                      'num_train_images': 50, 'num_test_images': 10})
  write('model.json', {'family': 'GAN', 'batches_per_step': 2, 'samples_note': 'drawn by lot',
                       'networks': {'critic': {'a/kernel': [3, 4], 'a/bias': []}, 'generator': {'b': [7]}}})
  rows = [f'{at},{scale * at},{scale / at}' for at in (50, step)]
  (folder / 'metrics.csv').write_text('\n'.join(['step,critic/loss,critic/penalty', *rows]) + '\n')
  (folder / 'speed.csv').write_text('step,speed/images_per_second,speed/seconds\n50,80.0,60.0\n100,90.0,130.0\n')
  (folder / 'doctor.csv').write_text('step,sign,event,value,threshold,advice\n60,critic loss near 0,begins,0.01,0.05,'
                                     f'try {NASTY}\n70,critic loss near 0,ends,0.1,0.05,\n80,cut')
  for at, fid in ((50, 30. * scale), (step, 40. * scale)):
    write(f'evaluation/inception_features_step_{at:08d}.json', {
        'step': at, 'evaluator': 'inception_features', 'seed': 0, 'settings': {'num_real': 7},
        'results': {'fid@500': fid, 'num_generated': 500},
        'receipt': {'extractor': 'Inception', 'extractor_sha256': '0123456789abcdef', **receipt}})
  for name in (f'samples/step_{50:08d}', f'samples/step_{step:08d}', f'evaluation/attribute_pairs_step_{step:08d}'):
    Image.fromarray(np.full((40, 60, 3), 77, np.uint8)).save(folder / f'{name}.png')
  return folder


def check_page(path):
  """The Reader of a page of which every picture is inside and described, and nothing is fetched or run."""
  read = Reader(path)
  assert not read.open
  pictures = read.all('img')
  assert pictures and all(attributes['src'].startswith('data:image/png;base64,') for attributes in pictures)
  assert all(len(attributes['alt']) > 8 and int(attributes['width']) for attributes in pictures)
  assert not {'script', 'link', 'iframe', 'object'} & {tag for tag, _ in read.tags}
  assert not re.search(r'url\(|@import|\bsrc="(?!data:)|<script', path.read_text('utf-8'))
  assert all(attributes['href'].startswith('#') for attributes in read.all('a'))
  for kind in ('Figure', 'Table'):
    numbers = [int(number) for number in re.findall(rf'\b{kind} (\d+):', read.text)]
    assert numbers == list(range(1, len(numbers) + 1))
  assert len(re.findall(r'Figure \d+:', read.text)) == len(pictures) == len(read.all('figcaption'))
  return read


@pytest.fixture(scope='module')
def report(tmp_path_factory):
  folder = make_up(tmp_path_factory.mktemp('report') / 'run')
  write_report(folder)
  return folder


def test_a_report_tells_what_the_folder_holds(report):
  text = ' '.join(check_page(report / FILE).text.split())
  for words in ('step 100 of 100', '20 epochs', '50 to train on', '2 x abacus', '2 min 10 s', '2020-01-02 03:04',
                'configs/a.py', 'inception_features/fid@500', 'lower is better) 40 100 30 50',
                'a/kernel', '3 x 4', '13 in all', '20 in all', 'critic loss near 0: 0.01, limit 0.05',
                'critic loss near 0 is over', 'Drawn by lot', 'git checkout abc123', 'uncommitted changes',
                'extractor: Inception', '0123456789ab…', 'Samples over the course of training', 'num_real=7'):
    assert words in text, words
  assert 'num_generated' not in text.partition('How the scores were measured')[0]   # a setting is no score


def test_names_with_html_in_them_are_text(report):
  assert NASTY in check_page(report / FILE).text


def test_each_figure_is_a_png_and_a_pdf(report):
  assert {path.name for path in (report / 'figures').glob('*.png')} == {
      'losses.png', 'gradient_penalty.png', 'fid.png', 'speed.png', 'filmstrip.png'}
  for name in ('losses', 'gradient_penalty', 'fid', 'speed'):
    assert (report / f'figures/{name}.pdf').read_bytes().startswith(b'%PDF')


def test_a_run_of_an_earlier_version_has_a_report_too(tmp_path):
  folder = make_up(tmp_path / 'old', step=60)
  for name in ('origin.json', 'environment.json', 'spec.json', 'model.json', 'speed.csv', 'doctor.csv'):
    (folder / name).unlink()
  read = check_page(write_report(folder))
  assert 'step 60 of 100, 60% of the way' in read.text and 'not stored' in read.text
  assert 'Networks' not in read.text and 'failing' not in read.text


def test_the_report_of_a_run_that_has_logged_nothing_comes_with_a_warning(tmp_path, capsys):
  (tmp_path / 'config.json').write_text(json.dumps({'family': 'gan', 'num_steps': 100, 'batch_size': 5, 'seed': 0}))
  assert 'step 0 of 100' in Reader(write_report(tmp_path)).text
  assert capsys.readouterr().err == f'warning: {tmp_path} has logged no step yet: its report shows the config alone\n'


def test_the_report_of_a_vqvae_shows_its_priors(tmp_path):
  folder = make_up(tmp_path / 'run')
  for name, scale in (('mixture', 1.), ('other', 2.)):
    make_up(folder / 'priors' / name, scale=scale)
  (folder / 'priors/study.json').write_text(json.dumps({'variations': [
      {'name': name, 'folder': name, 'settings': '', 'status': 'done', 'error': ''} for name in ('mixture', 'other')]}))
  comparison.draw_comparison(folder / 'priors')
  read = check_page(write_report(folder))
  text = ' '.join(read.text.split())
  assert 'Samples of the priors' not in text and 'priors/figures/fid.png' in text   # the picture is drawn last
  Image.new('L', (30, 20)).save(folder / 'priors/samples.png')
  text = ' '.join(check_page(write_report(folder)).text.split())
  assert 'Samples of the priors' in text and 'inception_features/fid@500 40 80' in text


@pytest.mark.parametrize('name', ['config.json', 'environment.json', 'model.json', 'metrics.csv'])
def test_a_damaged_file_is_one_line(name, tmp_path):
  folder = make_up(tmp_path / 'run')
  (folder / name).write_text('{"\n')
  assert name in refusal(write_report, folder)
  (folder / 'config.json').unlink()
  assert 'holds no run' in refusal(write_report, folder)


def test_a_huge_picture_is_reduced_on_the_page_alone(tmp_path):
  Image.new('L', (9_000, 30)).save(tmp_path / 'a.png')
  picture = page.Numbering().picture(tmp_path / 'a.png', 'Title', 'Caption.', folder=tmp_path)
  assert (picture.width, picture.height) == (4_000, 13) and 'Reduced' in picture.caption
  with Image.open(tmp_path / 'a.png') as whole:
    assert whole.size == (9_000, 30)


# Comparisons


def test_any_runs_are_compared_and_other_folders_passed_over(tmp_path, capsys):
  runs = [make_up(tmp_path / name / 'run', loss, scale) for name, loss, scale in (
      ('a', 'least_squares', 1.), ('b', 'non_saturating', 100.))]
  (tmp_path / 'empty').mkdir()
  compare.run([*runs, tmp_path / 'empty'], tmp_path / 'out')
  out, err = capsys.readouterr()
  assert 'skipped' in err and 'empty' in err and 'fid@500, the lowest first' in out
  read = check_page(tmp_path / 'out/comparison.html')
  text = ' '.join(read.text.split())
  assert 'a/run' in text and 'b/run' in text and 'least_squares' in text and NASTY in read.text
  assert [attributes['class'] for attributes in read.all('td') if 'best' in attributes['class']] == ['short best']
  assert {path.name for path in (tmp_path / 'out/figures').iterdir()} == {
      'losses.png', 'losses.pdf', 'gradient_penalty.png', 'gradient_penalty.pdf', 'fid.png', 'fid.pdf', 'speed.png',
      'speed.pdf', 'samples.png', 'evaluation_attribute_pairs.png'}
  compare.run(runs[::-1], tmp_path / 'out')   # its own earlier output is replaced
  assert 'no comparison' in refusal(compare.run, runs, runs[0])
  assert not (runs[0] / 'comparison.html').exists()


def test_unlike_receipts_are_not_ranked(tmp_path, capsys):
  runs = [make_up(tmp_path / 'a', extractor='one'), make_up(tmp_path / 'b', scale=2., extractor='other')]
  compare.run(runs, tmp_path / 'out')
  assert 'not ranked' in capsys.readouterr().err
  read = check_page(tmp_path / 'out/comparison.html')
  assert not [attributes for attributes in read.all('td') if 'best' in attributes['class']]
  assert 'extractor, the feature network, differs between a and b' in ' '.join(read.text.split())


def test_other_units_have_a_panel_of_their_own():
  steps = np.arange(1., 50.)
  records = {name: Record({'critic/loss': (steps, values)}, {}, {'model.loss': loss}) for name, loss, values in (
      ('squares', 'least_squares', steps * 1e-3), ('logarithms', 'non_saturating', steps),
      ('more logarithms', 'non_saturating', steps + 1))}
  row = Curves('', 'Losses', 'loss', ('critic/loss',), units=('model.loss',))
  squares, logarithms = overlay(row, records).axes
  assert len(squares.lines) == 2 and len(logarithms.lines) == 4   # raw and smoothed
  assert squares.get_ylim()[1] < 0.1 and logarithms.get_ylim()[1] > 40
  assert (squares.get_title(), logarithms.get_title()) == (
      'critic loss of least_squares', 'critic loss of non_saturating')
  assert len(overlay(Curves('', '', '', ('critic/loss',)), records).axes) == 1


def test_runs_are_named_by_the_ends_of_their_paths(tmp_path):
  paths = [tmp_path / 'x/a', tmp_path / 'y/a', tmp_path / 'b']
  assert comparison._names(paths)[:2] == ['x/a', 'y/a']
  assert comparison._names(paths[1:]) == ['a', 'b']
  with pytest.raises(UserError, match='twice'):
    comparison._names([tmp_path, tmp_path])
