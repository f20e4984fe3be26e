"""The benchmarks run, without PyTorch too, and say what they should."""

import json
import pathlib

from experiments.benchmarks import accelerator
from tests import test_experiments as programs


def test_step_time_runs_without_torch(tmp_path: pathlib.Path):
  # What is None in sys.modules is not found.
  (tmp_path / 'sitecustomize.py').write_text(
    "import sys\n\nsys.modules['torch'] = None\n"
  )
  path = tmp_path / 'figures.json'
  done = programs.python(
    'experiments.benchmarks.step_time',
    '--suite=gaussian_1d', '--rounds=1', '--seconds=0.01', '--nostock',
    '--compile', f'--json={path}', PYTHONPATH=str(tmp_path), XLA_FLAGS='',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert 'Traceback' not in done.stderr
  assert '--compile: PyTorch is not installed' in done.stderr
  assert '| gaussian_1d |' in done.stdout
  (record,) = json.loads(path.read_text())
  assert record['suite'] == 'gaussian_1d'
  assert record['torch_ms'] is record['ratio_torch'] is record['stock_ms']
  assert record['torch_ms'] is None
  for name in ('ours_ms', 'gflops', 'peak_gflops', 'ours_mib'):
    assert record[name] > 0
  assert 0 < record['fraction_of_peak'] < 1
  # What need not compile needs less.
  assert 0 < record['again_mib'] < record['ours_mib']
  # Layers of 1-32-32-32-1, batch 256. Forward passes: D's step one of G and
  # two of D, but for the last layer's of real samples, whose logits come with
  # their slopes; G's step one of each. Gradients: on real samples one of D's
  # inputs, and of that gradient one of the kernels and one back up; on fakes
  # one of the kernels and one of the inputs but for the first layer's; G's step
  # one of D's inputs, one of G's kernels, and one of G's inputs but for the
  # first layer's. To the slopes the last layer gives its kernel, once for all
  # samples.
  layers, end = 2 * 32 + 2 * 32 * 32, 32
  passes = 13 * layers - 6 * end
  assert record['gflop'] * 1e9 == 2 * (256 * passes + 2 * end)


def test_augment_time_of_grey_images(tmp_path: pathlib.Path):
  path = tmp_path / 'figures.json'
  done = programs.python(
    'experiments.benchmarks.augment_time',
    '--suite=mnist_2014', '--policies=diffaugment,ada.b', '--strength=0.5',
    '--rounds=2', f'--json={path}',
    XLA_FLAGS='--xla_backend_optimization_level=0',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  found = json.loads(path.read_text())
  assert found['batch'] == [100, 28, 28, 1]
  assert found['shares'].keys() == {'step', 'diffaugment', 'ada.b'}
  assert found['shares']['step'] == 1
  assert all(len(times) == 2 for times in found['rounds_ms'].values())
  assert min(found['ms'].values()) > 0


def test_metrics_time_of_small_sets(tmp_path: pathlib.Path):
  path = tmp_path / 'figures.json'
  done = programs.python(
    'experiments.benchmarks.metrics_time',
    '--samples=50', '--features=8', '--rows=30', '--rounds=2',
    '--width=64', '--depth=1', '--images=1', f'--json={path}', XLA_FLAGS='',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert len(done.stdout.splitlines()) == 24
  record = json.loads(path.read_text())
  assert record['frechet_ours_over_ours_cpu'] == 1
  assert record['frechet_ours_over_product_wall'] > 0
  assert len(record['manifolds_rounds_s']['selection']) == 2
  assert record['perceive_ours_over_forward_cpu'] > 0


def test_loop_overhead_of_a_small_game(tmp_path: pathlib.Path):
  path = tmp_path / 'figures.json'
  done = programs.python(
    'experiments.benchmarks.loop_overhead',
    '--config=experiments/configs/gaussian_1d.py', '--config.steps=40',
    '--config.log_every=10', '--config.eval.num_samples=512',
    '--rounds=2', f'--json={path}',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert 'to its 40 steps' in done.stdout
  found = json.loads(path.read_text())
  assert found.pop('steps') == 40
  for program, bare, share in zip(
    found['program_s'], found['bare_s'], found['overhead'], strict=True
  ):
    # Of three chunks that take no time, and figures to draw.
    assert 0 < bare < program
    assert share == program / bare - 1
  assert {len(values) for values in found.values()} == {2}


def test_images_per_second_of_small_ones(tmp_path: pathlib.Path):
  path = tmp_path / 'figures.json'
  done = programs.python(
    'experiments.benchmarks.images_per_second',
    '--images=32', '--sides=8', '--rounds=1', '--batch=4', f'--json={path}',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  # The place that cannot be written is said once for each kind.
  assert done.stderr.count('/dev/null/gan_jax: decoded images cannot') == 3
  found = json.loads(path.read_text())['rounds']
  assert [*found] == ['8 folder', '8 zip', '8 tfds']
  for rounds in found.values():
    assert len(rounds['pillow']) == len(rounds['first_start']) == 1
    assert min(rounds['pillow'] + rounds['read'] + rounds['step_ms']) > 0
    assert all(0 <= share < 1 for share in rounds['waited'])


def test_a_table_of_an_accelerator():
  step = {'ours_ms': 2.0, 'torch_ms': 5.0, 'gflops': 1234.5}
  figures = {
    'about': {
      'devices': 1, 'device': 'Card', 'platform': 'gpu',
      'jax': '1', 'python': '3',
    },
    'steps': {'a': step, 'b': step | {'torch_ms': None}},
    'tests': {
      'passed': 7, 'failed': ['FAILED tests/x.py'], 'exit_code': 1,
    },
    'failed': {'training': 'no row'},
  }  # fmt: skip
  first, _, header, _, one, two, _, *rest = accelerator.table(figures).split(
    '\n'
  )
  assert first == '1 Card (gpu), jax 1, Python 3'
  cells = dict(zip(header.split(' | '), one.split(' | '), strict=True))
  assert cells['PyTorch / ours'] == '2.5'
  assert cells['compiled'] == '-'
  assert '| 2 | - | - | - | - | - | 1,234 |' in two
  assert rest == [
    'tests: 7 passed, exit code 1', 'FAILED tests/x.py',
    'training: failed: no row',
  ]  # fmt: skip


def test_an_accelerator_is_asked_for_games_that_are_there():
  done = programs.python(
    'experiments.benchmarks.accelerator', '--networks=dcgan_28,unknown'
  )
  assert done.returncode == 1
  assert done.stderr.startswith('error: --networks=unknown: there is no such')
