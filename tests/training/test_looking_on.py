"""Output during training: sample grids, figures, speed, loggers; tested without training."""

import json
import sys
import time
from types import SimpleNamespace

from helpers import tiny
from helpers.published import refusal
import numpy as np
import pytest

from jgen.run import description
from jgen.run.records import read_record
from jgen.training import actions, loggers
from jgen.training.doctor import Doctor, Limits
from jgen.training.speed import Speed


def family(num_classes, note=''):
  return SimpleNamespace(num_classes=num_classes, samples_note=note)


@pytest.mark.parametrize('count, columns', [
    (32, 8), (100, 10), (64, 8), (7, 7), (3, 3), (11, 10), (13, 10), (620, 10), (800, 13), (3_001, 49)])
def test_a_sheet_without_classes_has_any_number_of_samples(count, columns):
  sheet = actions.sheet_of(family(0, 'a note'), SimpleNamespace(label_names=(), image_shape=(64, 64, 3)), 5, count)
  assert sheet == actions.Sheet((0,) * count, columns, (), 'a note')
  assert -(-count // columns) <= 62     # rows of 64 pixels that fit


def test_a_sheet_of_thousands_of_classes_shows_some():
  spec = lambda count: SimpleNamespace(label_names=tuple(f'class {i}' for i in range(count)), image_shape=(64, 64, 3))
  sheet = actions.sheet_of(family(1_000), spec(1_000), 2, 100)
  assert len(sheet.row_names) == 62 and len(sheet.labels) == 124 and '62 of 1000 classes' in sheet.title
  assert sheet.labels[:2] == (0, 0) and sheet.row_names[1] == f'class {sheet.labels[2]}'
  few = actions.sheet_of(family(3), spec(3), 2, 100)
  assert few == actions.Sheet((0, 0, 1, 1, 2, 2), 2, ('class 0', 'class 1', 'class 2'))


@pytest.mark.parametrize('per_dispatch, expected', [(1, [1, 3, 10, 30, 100, 300, 400]), (10, [10, 30, 100, 300, 400])])
def test_samples_are_drawn_early_and_all_along(per_dispatch, expected):
  draw = actions.DrawSamples(400, None, None, None, 0, None, None, per_dispatch)
  assert [step for step in range(per_dispatch, 500, per_dispatch) if draw.due(step, False, False)] == expected


def test_figures_are_drawn_beside_the_training(tmp_path):
  said = []
  draw = actions.DrawFigures(5, tmp_path, say=said.append)
  assert draw.due(5, False, False) and not draw.due(4, False, False) and not draw.due(5, True, False)
  (tmp_path / 'metrics.csv').write_text('step,critic/loss\n1,2\n2,3\n')
  draw(5, None, {})
  draw.close()
  assert (tmp_path / 'figures/losses.png').stat().st_size > 5_000 and not said
  (tmp_path / 'metrics.csv').write_text('broken\n')
  draw(10, None, {})
  draw.close()
  assert 'metrics.csv' in said[0]


def test_speed_is_measured_between_logged_steps_and_time_over_all_starts(tmp_path):
  times = iter([100., 130., 140., 160., 1_000., 1_005., 1_010.])
  speed = Speed(tmp_path, 0, 20, lambda: next(times))
  assert speed.add(50) == {}            # the first dispatch compiles
  assert speed.add(100) == {'speed/steps_per_second': 5., 'speed/images_per_second': 100., 'speed/seconds': 40.}
  speed.add(150)
  speed.close()
  speed = Speed(tmp_path, 100, 20, lambda: next(times))   # goes on from a checkpoint: the row of step 150 goes
  speed.add(150)
  speed.add(200)
  speed.close()
  series = read_record(tmp_path).series
  assert series['speed/seconds'][0].tolist() == [100, 200] and series['speed/seconds'][1].tolist() == [40, 50]


def test_a_run_without_an_adversary_has_no_doctors_file(tmp_path):
  limits = dict.fromkeys(Limits.__dataclass_fields__, 1.0) | {'window_steps': 10}
  doctor = Doctor(limits, tmp_path, 0, None, None)
  doctor.add(10, {'vae/loss': 1.})
  assert not (tmp_path / 'doctor.csv').exists()
  doctor.add(20, {'generator/gradient_norm': 0.5})
  doctor.close()
  assert (tmp_path / 'doctor.csv').read_text().count('\n') == 1   # the header: nothing found


def test_tensorboard_has_the_hyperparameters(tmp_path):
  from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
  config = tiny.wgan()
  writer = loggers.create(('tensorboard',), tmp_path, config)
  writer.write_scalars(1, {'critic/loss': 2.})
  writer.close()
  events = EventAccumulator(str(tmp_path / 'tensorboard')).Reload()
  stored = b''.join(events.SummaryMetadata(tag).plugin_data.content for tag in events.Tags()['tensors']
                    if tag.startswith('_hparams_'))
  assert b'batch_size' in stored and b'model.generator.features' in stored
  assert loggers.hyperparameters(config)['model.generator.features'] == '[12, 8]'


def test_wandb_runs_offline(tmp_path, monkeypatch):
  wandb = pytest.importorskip('wandb')
  monkeypatch.setenv('WANDB_MODE', 'offline')
  monkeypatch.setenv('WANDB_SILENT', 'true')
  config = tiny.wgan()
  writer = loggers.create(('wandb',), tmp_path, config)
  writer.write_scalars(1, {'critic/loss': 2.})
  writer.write_images(1, {'samples': np.zeros((1, 4, 4, 3), np.float32)})
  assert wandb.run.config['batch_size'] == 16
  writer.close()
  logged = list((tmp_path / 'wandb').glob('offline-run-*/*.wandb'))
  assert len(logged) == 1
  for _ in range(200):                  # its own process writes it
    if logged[0].stat().st_size > 500:
      break
    time.sleep(0.1)
  assert logged[0].stat().st_size > 500


def test_a_logger_that_is_not_installed_is_one_line(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'wandb', None)
  assert "pip install -e '.[wandb]'" in refusal(loggers.create, ('wandb',), tmp_path, tiny.wgan())


def test_the_origin_tells_what_differs_from_the_file(tmp_path):
  file = tmp_path / 'mine.py'
  file.write_text('from helpers import tiny\n\ndef get_config():\n  return tiny.wgan()\n')
  config = tiny.wgan(seed=7)
  description.store_origin(tmp_path, config, f'python launch.py --config={file} --config.seed=7')
  stored = json.loads((tmp_path / 'origin.json').read_text())
  assert stored['config_file'] == str(file) and stored['changes'] == {'seed': [0, 7]}
  (tmp_path / 'environment.json').touch()
  description.store_origin(tmp_path, config, f'python launch.py --workdir={tmp_path}')   # goes on
  assert json.loads((tmp_path / 'origin.json').read_text()) == stored
