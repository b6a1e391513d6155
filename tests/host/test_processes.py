"""Work that the processes of a run share, in two processes of one device each."""

import json
import socket
import subprocess
import sys

from helpers.launching import ROOT, environment

from jgen.host import processes

# What process NUMBER of two prints: the items that it has computed itself, and all results in order.
PROGRAM = '''
import json, pathlib, sys
import jax
import numpy as np
from jgen.evaluation.features.extractor import Extractor
from jgen.evaluation.features.stored import cached
from jgen.host import processes

number, port = map(int, sys.argv[1:3])
folder, makes = pathlib.Path(sys.argv[3]), []
make = lambda: (makes.append(1), {'x': np.ones(2)})[1]
if number == 0:
  cached(folder, 'kind', {}, make)      # before: the other process has no such file
jax.distributed.initialize(f'127.0.0.1:{port}', 2, number)
own = []

def call(item):
  own.append(item)
  return {'bytes': np.full(3, item, np.uint8), 'flags': np.array([item > 2]), 'on a device': jax.numpy.ones(2) * item}

def lists(results):
  return [{name: np.asarray(x).tolist() for name, x in result.items()} for result in results]

with processes.sharing():
  together = lists(processes.shared(call, range(5)))
  shared, own = own, []
  one = lists(processes.shared(call, [7]))
  missing = [processes.in_any(number == 1), processes.in_any(False)]
  means = Extractor(lambda params, x: {'mean': x.astype(float).mean((1, 2))}, {}, lambda x: x, batch_size=2)
  images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
  features = means.features([images], ['mean'])['mean'].tolist()
  makes.clear()
  cached(folder, 'kind', {}, make)
  cached(folder, 'kind', {}, make)
  moments = means.summary([images], 'mean').moments
alone = lists(processes.shared(call, [8, 9]))
print(json.dumps([shared, together, own, one, missing, alone, processes.in_any(number == 1), features,
                  [moments.count, moments.mean.tolist()], len(makes)]))
'''


def result(item):
  return {'bytes': [item] * 3, 'flags': [item > 2], 'on a device': [float(item)] * 2}


def test_each_process_computes_a_part_and_gets_all_results(tmp_path):
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    port = listener.getsockname()[1]
  both = [subprocess.Popen([sys.executable, '-c', PROGRAM, str(number), str(port), tmp_path / str(number)], cwd=ROOT,
                           env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
          for number in (0, 1)]
  for number, process in enumerate(both):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    shared, together, own, one, missing, alone, condition, features, moments, makes = json.loads(
        out.splitlines()[-1])
    assert shared == [[0, 2, 4], [1, 3, 4]][number]   # the last one has no partner, and both compute it
    assert together == [result(item) for item in range(5)]
    assert own == [7, 8, 9] and one == [result(7)] and alone == [result(8), result(9)]
    assert missing == [True, False] and condition == bool(number)
    assert features == [[i] * 3 for i in range(5)] and moments == [5, [2.] * 3]
    assert makes == 1                   # the first time by both, though one has the file; then both read theirs


def test_a_process_alone_computes_everything():
  with processes.sharing():
    assert list(processes.shared(result, range(3))) == [result(item) for item in range(3)]
    assert processes.in_any(True) and not processes.in_any(False)
