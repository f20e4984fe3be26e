"""Chunks of steps, and the data that each device is given."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import fields as configs
from gan_jax.engine import chunks, placing, program
from gan_jax.networks import small_dcgan


@pytest.fixture
def streamed() -> program.Game:
  """Digits that are read chunk by chunk; four devices, two batches a step."""
  config = configs.Config(steps=12, batch_size=8, log_every=6)
  config.eval.every = config.checkpoint.every = 6
  config.disc_steps = 2
  config.data.name = 'digits'
  config.data.device_limit_gb = 0.0
  config.gen.name, config.gen.net = 'small_dcgan', small_dcgan.GenSettings()
  config.disc.name, config.disc.net = 'small_dcgan', small_dcgan.DiscSettings()
  return program.open_game(config)


def test_each_device_is_given_its_own_rows(streamed: program.Game):
  read = streamed.source.read
  assert read is not None
  asked = []

  def rows(first: int, count: int, part: slice) -> Any:
    asked.append((first, part.start, part.stop))
    return read.rows(first, count, part)

  source = streamed.source
  game = streamed._replace(
    source=type(source)(**{**vars(source), 'read': read._replace(rows=rows)})
  )
  batches = placing.make_batches(game, 2)
  whole = source.chunk(4, 2)
  arrays = batches(4)
  for x, y in zip(arrays['picked'], whole['picked'], strict=True):
    np.testing.assert_array_equal(x, y)
    assert [s.data.shape[2] for s in x.addressable_shards] == [2] * 4
  assert int(arrays['first']) == 4
  assert {part for part in asked if part[0] == 4} == {
    (4, start, start + 2) for start in (0, 2, 4, 6)
  }
  # The next is read ahead, and nothing beyond the last step.
  np.testing.assert_array_equal(
    batches(6)['picked'][0], source.chunk(6, 2)['picked'][0]
  )
  batches(10)
  assert max(first for first, *_ in asked) == 10


def test_memory_bounds_the_steps_of_a_program(
  streamed: program.Game, monkeypatch: pytest.MonkeyPatch
):
  read = streamed.source.read
  assert read is not None
  assert read.step_bytes == 2 * 8 * 8 * 8
  assert chunks.part_length(streamed, 6) == 6
  # On each of the devices there is room for a quarter of four steps.
  monkeypatch.setattr(chunks, '_STREAMED_BYTES', read.step_bytes)
  assert chunks.part_length(streamed, 6) == 3
  monkeypatch.setattr(chunks, '_STREAMED_BYTES', 1)
  assert chunks.part_length(streamed, 6) == 1
  resident = streamed._replace(
    source=type(streamed.source)(**{**vars(streamed.source), 'read': None})
  )
  assert chunks.part_length(resident, 6) == 6


def test_parts_follow_each_other(
  streamed: program.Game, monkeypatch: pytest.MonkeyPatch
):
  played = []

  def compile_chunk(game: program.Game, length: int, *_: Any) -> Any:
    def chunk(state: int, hyper: Any, arrays: Any, keys: Any) -> Any:
      first = int(arrays['first'])
      played.append((first, arrays['picked'][0].shape[0]))
      where = {'a': jnp.int32(1 if first == 9 else length)}
      return state + length, {'a': jnp.float32(first)}, where

    return chunk

  monkeypatch.setattr(program, 'compile_chunk', compile_chunk)
  monkeypatch.setattr(chunks, '_STREAMED_BYTES', 2 * 8 * 8 * 8)
  play = chunks.Chunks(streamed, 6, 0, 0)  # type: ignore[arg-type]
  state, logs, first = play(0, 0)  # type: ignore[arg-type]
  assert (state, logs, first) == (6, {'a': 1.5}, {'a': 6})
  state, logs, first = play(6, 6)  # type: ignore[arg-type]
  assert (state, logs, first) == (12, {'a': 7.5}, {'a': 4})
  assert played == [(0, 3), (3, 3), (6, 3), (9, 3)]


def test_means_of_parts_leave_out_what_is_skipped():
  parts = {'a': np.float32(1)}, {'a': np.float32(np.nan)}, {'a': np.float32(4)}
  assert np.isnan(chunks.mean(parts, skips=False)['a'])
  assert chunks.mean(parts, skips=True)['a'] == 2.5
  assert np.isnan(chunks.mean(parts[1:2] * 2, skips=True)['a'])
  members = {'a': np.float32([1, 2])}, {'a': np.float32([3, 4])}
  np.testing.assert_array_equal(chunks.mean(members, skips=False)['a'], [2, 3])


def test_where_the_first_part_broke():
  parts = {'a': np.int32(4), 'b': np.int32(4)}, {'a': np.int32(1), 'b': 4}
  assert chunks.first_of(parts, 4) == {'a': 5, 'b': 8}
