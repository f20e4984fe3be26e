"""Imports point down through the rooms; the mathematics knows no names."""

import ast
import configparser
import fnmatch
import graphlib
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent / 'gan_jax'

# From top to bottom: a room imports only rooms below it, and nothing climbs.
ROOMS = (
  'run',
  'report',
  'evaluation',
  'engine',
  'storage',
  'data',
  'game',
  'networks',
  'study',
  'ops',
  'metrics',
  'config',
  'cache',
  'types',
)
RANK = {name: i for i, name in enumerate(reversed(ROOMS))}


def imports(path: pathlib.Path, package: str = 'gan_jax') -> set[str]:
  """What a file imports of a package of ours, by the first name below it."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module:
      assert node.module.split('.')[0] not in ('experiments', 'tests'), path
      if node.module == package:
        found |= {alias.name for alias in node.names}
      elif node.module.startswith(f'{package}.'):
        found.add(node.module.removeprefix(f'{package}.').split('.')[0])
    elif isinstance(node, ast.Import):
      assert not any(a.name.startswith('gan_jax') for a in node.names), path
  return found


def rooms() -> dict[str, set[str]]:
  """Each room below gan_jax and the rooms that it imports."""
  graph: dict[str, set[str]] = {}
  for path in sorted(ROOT.rglob('*.py')):
    name = path.relative_to(ROOT).parts[0].removesuffix('.py')
    graph.setdefault(name, set()).update(imports(path) - {name})
  graph.pop('__init__')
  return graph


def test_every_room_is_in_the_table():
  assert rooms().keys() == RANK.keys()


def test_nothing_climbs():
  for name, used in rooms().items():
    for other in used:
      assert RANK[other] < RANK[name], f'{name} imports {other}'


def test_within_a_room_imports_make_no_circle():
  for room in ROOMS:
    inside = {
      path.stem: imports(path, f'gan_jax.{room}')
      for path in (ROOT / room).glob('*.py')
    }
    graphlib.TopologicalSorter(inside).prepare()


def test_the_mathematics_knows_no_network_data_or_config():
  assert rooms()['game'] <= {'ops', 'types'}


def test_networks_know_no_game():
  assert rooms()['networks'] <= {'config', 'ops', 'types'}


def test_slow_packages_are_left_alone(tmp_path: pathlib.Path):
  """PyTorch, where it is installed, and what only some programs use."""
  (tmp_path / 'torch.py').write_text('raise RuntimeError("imported")')
  slow = 'torch', 'scipy.special', 'scipy.stats', 'sklearn', 'matplotlib'
  program = (
    f'import gan_jax.run.train, sys; print(set({slow}) & set(sys.modules))'
  )
  path = {'PYTHONPATH': f'{tmp_path}:{ROOT.parent}'}
  done = subprocess.run(
    [sys.executable, '-c', program],
    env=os.environ | path,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.strip() == 'set()'


def test_the_wheel_has_the_library_alone():
  """All of it, and no `experiments` that another project may have too."""
  setup = configparser.ConfigParser()
  setup.read(ROOT.parent / 'setup.cfg')
  include = setup['options.packages.find']['include'].split()
  packages = {
    '.'.join(path.parent.relative_to(ROOT.parent).parts)
    for top in ('experiments', 'gan_jax')
    for path in (ROOT.parent / top).rglob('__init__.py')
  }
  assert 'experiments' in packages
  taken = {
    name
    for name in packages
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in include)
  }
  assert taken == {
    '.'.join(path.parent.relative_to(ROOT.parent).parts)
    for path in ROOT.rglob('*.py')
  }


def test_programs_start_from_the_root():
  """Where the library is installed and `experiments` is not."""
  environ = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.train'],
    cwd=ROOT.parent,
    env=environ,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert done.stderr == 'error: --config=FILE and --workdir=DIR must be given\n'
