"""A short run of benchmarks.accelerator on a CPU, and its table."""

import dataclasses

from helpers import tiny
import pytest

from benchmarks import accelerator
from benchmarks.accelerator import Case


@pytest.mark.parametrize('case', [
    Case('wgan', precision='bfloat16', steps_per_dispatch=2), Case('wgan', on_device=True, num_seeds=2)])
def test_a_case_is_measured(case):
  measured = accelerator.measure(case, tiny.wgan(), seconds=0.2, image_shape=(8, 8, 1))
  assert measured['images_per_second'] == pytest.approx(
      measured['steps_per_second'] * 3 * 16 * case.num_seeds)
  assert measured['gflop_per_step'] > 0 and 0 <= measured['waited'] <= 1


def test_the_table_says_shares_and_failures():
  row = {'batch': 3_200, 'images_per_second': 64_000., 'steps_per_second': 4., 'gflop_per_step': 24_700.,
         'waited': 0.015, 'compile_seconds': 31., 'device': 'NVIDIA H200'}
  cases = [Case('wgan'), Case('wgan', on_device=True, steps_per_dispatch=10), Case('vae_celeba', 'torch', 'bfloat16')]
  rows = [{'case': dataclasses.asdict(case), **row} for case in cases]
  rows.append({'case': dataclasses.asdict(cases[0]), 'batch': 3_200, 'failed': 'no time left'})
  lines = accelerator.table(rows).splitlines()
  assert lines[2] == '| wgan | 3,200 | jgen, float32 | 64,000 | 4 | 20.0% | 1.5% | 31 s |'
  assert '| jgen, float32, 10 steps a dispatch, images on the device |' in lines[3]
  assert '| torch, bfloat16 | 64,000 | 4 | 10.0% |' in lines[4] and '| no time left |' in lines[5]


def test_what_matters_most_is_measured_first():
  first, *_, last = accelerator.cases(['wgan', 'vqvae'])
  assert first == Case('wgan') and last.deterministic
