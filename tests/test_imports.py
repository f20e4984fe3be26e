"""Imports point one way; `steps` knows no network, data set or config."""

import ast
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent / 'gan_jax'

# A module may import what stands on an earlier line, and nothing else.
LAYERS = (
  ('types', 'config', 'statistics'),
  (
    'sharding',
    'plots',
    'schedules',
    'events',
    'flops',
    'health',
    'interrupt',
    'weights',
  ),
  (
    'losses',
    'penalties',
    'homogeneous',
    'games',
    'networks',
    'state',
    'data',
    'metrics',
    'writers',
    'charts',
    'draws',
    'frames',
  ),
  (
    'steps',
    'dynamics',
    'checkpoint',
    'compiler',
    'features',
    'workdir',
    'population',
  ),
  ('sampling',),
  ('build', 'recorder', 'reports', 'threads'),
  ('run', 'evaluations', 'program'),
  ('train', 'tables'),
  ('replay',),
)
RANK = {name: i for i, layer in enumerate(LAYERS) for name in layer}


def imports(path: pathlib.Path) -> set[str]:
  """Our own modules, by their first name below gan_jax."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module:
      parts = node.module.split('.')
      if parts[0] == 'gan_jax':
        names = [parts[1]] if len(parts) > 1 else [a.name for a in node.names]
        found |= set(names)
      assert parts[0] not in ('experiments', 'tests'), path
    elif isinstance(node, ast.Import):
      assert not any(a.name.startswith('gan_jax') for a in node.names), path
  return found


def modules() -> dict[str, set[str]]:
  """Each module or package below gan_jax and what of ours it imports."""
  graph: dict[str, set[str]] = {}
  for path in sorted(ROOT.rglob('*.py')):
    name = path.relative_to(ROOT).parts[0].removesuffix('.py')
    graph.setdefault(name, set()).update(imports(path) - {name})
  graph.pop('__init__')
  return graph


def test_every_module_has_a_layer():
  assert modules().keys() == RANK.keys()


def test_arrows_point_one_way():
  for name, used in modules().items():
    for other in used:
      assert RANK[other] < RANK[name], f'{name} imports {other}'


def test_the_step_knows_no_network_data_or_config():
  assert not modules()['steps'] & {'networks', 'data', 'config', 'build'}


def test_config_imports_nothing_of_ours():
  assert modules()['config'] == set()


def test_slow_packages_are_left_alone(tmp_path: pathlib.Path):
  """PyTorch, where it is installed, and what only some programs use."""
  (tmp_path / 'torch.py').write_text('raise RuntimeError("imported")')
  slow = 'torch', 'scipy.special', 'scipy.stats', 'sklearn', 'matplotlib'
  program = f'import gan_jax.train, sys; print(set({slow}) & set(sys.modules))'
  path = {'PYTHONPATH': f'{tmp_path}:{ROOT.parent}'}
  done = subprocess.run(
    [sys.executable, '-c', program],
    env=os.environ | path,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.strip() == 'set()'
