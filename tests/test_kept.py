"""Programs that are kept: found again, and never for another question."""

import importlib.machinery
import importlib.util
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.engine import batching, compiler, kept

FACTS = {'game': 'a game'}
X = jnp.arange(8.0)


@pytest.fixture(autouse=True)
def folder(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pathlib.Path]:
  """As in a program of experiments/, with a cache of its own."""
  spec = importlib.machinery.ModuleSpec('experiments.train', None)
  monkeypatch.setattr(sys.modules['__main__'], '__spec__', spec)
  # Whoever has just edited a file may still run this.
  monkeypatch.setattr(kept, '_IMPORTED', time.time() + 1e6)
  before = jax.config.jax_compilation_cache_dir
  jax.config.update('jax_compilation_cache_dir', str(tmp_path))
  yield tmp_path
  jax.config.update('jax_compilation_cache_dir', before)


class Untraceable:
  """A chunk that must not be looked at."""

  def trace(self, *args: Any) -> None:
    raise AssertionError(args)


def doubled(x: jax.Array) -> jax.Array:
  return 2 * x


def test_a_program_is_found_again_without_tracing(folder: pathlib.Path):
  made = compiler.compile(jax.jit(doubled), X, facts=FACTS)
  found = compiler.compile(Untraceable(), X, facts=FACTS)
  np.testing.assert_array_equal(found(X), made(X))
  assert batching.memory_needed(found) == batching.memory_needed(made)
  np.testing.assert_array_equal(found(X), 2 * np.arange(8.0))
  # Another question with the same text leads to the same program.
  compiler.compile(jax.jit(doubled), X, facts={'game': 'another'})
  assert len([*folder.glob('question-*')]) == 2
  assert len([*folder.glob('program-*')]) == 1


def test_a_value_that_is_made_once_is_found_again(folder: pathlib.Path):
  key = jax.random.key(7)
  made = compiler.run_once(lambda: jax.random.normal(key, (3,)), facts=FACTS)
  found = compiler.run_once(Untraceable(), facts=FACTS)
  np.testing.assert_array_equal(found, made)
  np.testing.assert_array_equal(found, jax.random.normal(key, (3,)))


def test_shapes_are_found_again(folder: pathlib.Path):
  def refuse() -> None:
    raise AssertionError

  made = {'x': jax.eval_shape(doubled, X), 'n': 3}
  assert kept.value(FACTS, lambda: made) == made
  found: Any = kept.value(FACTS, refuse)
  assert found == made
  assert kept.value({'game': 'another'}, lambda: 4) == 4
  # What cannot be pickled is made each time, and a damaged file made anew.
  local = {'game': 'a third'}
  assert kept.value(local, lambda: refuse) is refuse
  assert kept.value(local, lambda: doubled) is doubled
  for file in folder.glob('value-*'):
    file.write_bytes(b'half')
  assert kept.value(FACTS, lambda: made) == made
  assert kept.value(FACTS, refuse) == made


def test_whatever_changes_a_program_changes_the_question(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  file = tmp_path / 'of_a_user.py'
  file.write_text('RATE = 1\n')
  spec = importlib.util.spec_from_file_location('of_a_user', file)
  assert spec is not None
  module = importlib.util.module_from_spec(spec)
  monkeypatch.setitem(sys.modules, 'of_a_user', module)
  asked = [
    kept.question(FACTS, X),
    kept.question({'game': 'another'}, X),
    kept.question(FACTS, X[:4]),
    kept.question(FACTS, X.astype(jnp.int32)),
    kept.question(FACTS, [X]),
    kept.question(FACTS, jax.device_put(X, jax.devices()[1])),
  ]
  with jax.debug_nans(True):
    asked.append(kept.question(FACTS, X))
  assert kept.question(FACTS, X) == asked[0]
  file.write_text('RATE = 2\n')
  asked.append(kept.question(FACTS, X))
  asked += [kept.question({'data': np.full(2000, x)}, X) for x in (0, 1)]
  assert None not in asked
  assert len({*asked}) == len(asked)
  # It is not known whether this is what was imported.
  monkeypatch.setattr(kept, '_IMPORTED', time.time() - 10)
  assert kept.question(FACTS, X) is None


def test_one_text_of_other_trees_or_devices_is_another_program(
  folder: pathlib.Path,
):
  def first(x: dict[str, jax.Array]) -> jax.Array:
    return 2 * next(iter(x.values()))

  for x in ({'a': X}, {'b': X}, {'a': jax.device_put(X, jax.devices()[1])}):
    for _ in range(2):
      made = compiler.compile(jax.jit(first), x, facts=FACTS)
      np.testing.assert_array_equal(made(x), 2 * np.arange(8.0))
  assert len([*folder.glob('program-*')]) == 3


def test_nothing_is_kept_of_what_may_have_been_changed(
  monkeypatch: pytest.MonkeyPatch,
):
  """In a notebook, under pytest, with `python -c`."""
  monkeypatch.setattr(sys.modules['__main__'], '__spec__', None)
  assert kept.question(FACTS, X) is None
  spec = importlib.machinery.ModuleSpec('pytest.__main__', None)
  monkeypatch.setattr(sys.modules['__main__'], '__spec__', spec)
  assert kept.question(FACTS, X) is None


def test_a_damaged_program_is_said_and_compiled(
  folder: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
  compiler.compile(jax.jit(doubled), X, facts=FACTS)
  (program,) = folder.glob('program-*')
  program.write_bytes(program.read_bytes()[:100])
  again = compiler.compile(jax.jit(doubled), X, facts=FACTS)
  np.testing.assert_array_equal(again(X), 2 * np.arange(8.0))
  assert f'{program}: cannot be used' in capsys.readouterr().err
  compiler.compile(Untraceable(), X, facts=FACTS)


def test_a_program_that_cannot_be_kept_still_runs(
  folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  def refuse(compiled: Any) -> None:
    raise NotImplementedError(compiled)

  monkeypatch.setattr(kept.serialize_executable, 'serialize', refuse)
  for _ in range(2):
    made = compiler.compile(jax.jit(doubled), X, facts=FACTS)
    np.testing.assert_array_equal(made(X), 2 * np.arange(8.0))
  (program,) = folder.glob('program-*')
  assert not program.read_bytes()


def test_what_nobody_asks_for_is_removed(
  folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  compiler.compile(jax.jit(doubled), X, facts=FACTS)
  monkeypatch.setattr(kept, '_UNUSED', -1)
  compiler.compile(jax.jit(jnp.sin), X, facts={'game': 'another'})
  assert not [*folder.glob('question-*'), *folder.glob('program-*')]
