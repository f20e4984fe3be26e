"""Moments are recorded in order, beside the run, and none after a failure."""

import pathlib
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import fields as configs
from gan_jax.data import decoding
from gan_jax.engine import chunks, health, program, sharding
from gan_jax.game import state as states
from gan_jax.report import single as reports
from gan_jax.run import recorder, train
from gan_jax.storage import checkpoint

STATE = states.GanState(*[()] * len(states.GanState._fields))


def moment(
  step: int, *, evaluated: bool = False, state: states.GanState = STATE
) -> recorder.Moment:
  return recorder.Moment(step, state, {}, evaluated, written=True)


def test_in_order_and_beside_the_caller():
  """A row does not wait for the look before it; a second look does."""
  seen, looked, go_on = [], threading.Event(), threading.Event()

  def record(moment: recorder.Moment) -> None:
    if moment.step == 0:
      looked.set()
      assert go_on.wait(60)
    seen.append(moment.step)

  with recorder.Recorder(record, in_turn=False) as beside:
    beside.record(moment(0, evaluated=True))
    assert looked.wait(60)
    for step in (1, 2):
      beside.record(moment(step))
    assert not seen
    threading.Timer(0.2, go_on.set).start()
    beside.record(moment(3, evaluated=True))
    assert seen[:3] == [0, 1, 2]
    beside.wait()
    assert seen == [0, 1, 2, 3]


def test_in_turn():
  seen = []
  with recorder.Recorder(lambda m: seen.append(m.step), in_turn=True) as beside:
    for step in range(5):
      beside.record(moment(step))
      assert seen[-1] == step


def test_nothing_is_recorded_after_a_failure():
  seen, failing = [], threading.Event()

  def record(moment: recorder.Moment) -> None:
    seen.append(moment.step)
    if moment.step == 1:
      assert failing.wait(60)
      raise OSError('No space left on device')

  with recorder.Recorder(record, in_turn=False) as beside:
    for step in range(4):
      beside.record(moment(step))
    failing.set()
    with pytest.raises(OSError, match='No space'):
      beside.wait()
  assert seen == [0, 1]


def test_a_later_call_raises_a_failure():
  def record(moment: recorder.Moment) -> None:
    raise OSError('No space left on device')

  def play(beside: recorder.Recorder) -> None:
    for step in range(1000):
      beside.record(moment(step))
      threading.Event().wait(0.01)

  with (
    recorder.Recorder(record, in_turn=False) as beside,
    pytest.raises(OSError, match='No space'),
  ):
    play(beside)


def test_leaving_raises_a_failure():
  def record(moment: recorder.Moment) -> None:
    threading.Event().wait(0.1)
    raise OSError('No space left on device')

  with (
    pytest.raises(OSError, match='No space'),
    recorder.Recorder(record, in_turn=False) as beside,
  ):
    beside.record(moment(0))

  def fail() -> None:
    with recorder.Recorder(record, in_turn=False) as beside:
      beside.record(moment(0))
      raise ValueError('the first')

  with pytest.raises(ValueError, match='the first'):
    fail()


def test_one_copy_at_a_time():
  """The next chunk may have the buffers of a state that is looked at."""
  size = 12_345
  counts, sums = [], []

  def record(moment: recorder.Moment) -> None:
    sums.append(float(moment.state.step.sum()))

  chunk = jax.jit(lambda x: x + 1, donate_argnums=0)
  x = jnp.zeros(size)
  with recorder.Recorder(record, in_turn=False) as beside:
    for step in range(6):
      beside.record(moment(step, evaluated=True, state=STATE._replace(step=x)))
      counts.append(sum(y.size == size for y in jax.live_arrays()))
      x = chunk(x)
    beside.wait()
  assert max(counts) == 2
  assert sums == [step * size for step in range(6)]


def test_a_run_is_the_same_in_turn_and_not(
  tiny: configs.Config, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  """Rows, moments and every checkpoint, though each look takes its time."""
  make_mesh, frame = sharding.make_mesh, reports.SingleReport.frame
  original, turns = recorder.Recorder, iter((True, False))
  threads = set()

  def slowly(self: Any, state: states.GanState) -> Any:
    threads.add(threading.current_thread())
    threading.Event().wait(0.05)
    return frame(self, state)

  def make(record: Any, *, in_turn: bool) -> recorder.Recorder:
    assert not in_turn  # With one device and several cores.
    return original(record, in_turn=next(turns))

  monkeypatch.setattr(sharding, 'make_mesh', lambda: make_mesh(1))
  monkeypatch.setattr(reports.SingleReport, 'frame', slowly)
  monkeypatch.setattr(recorder, 'Recorder', make)
  monkeypatch.setattr(decoding, 'available', lambda: 2)
  tiny.log_every = 2
  tiny.checkpoint.keep = 10
  files = []
  for name in ('in_turn', 'beside'):
    workdir = tmp_path / name
    train.train(tiny, workdir)
    frames = {
      path.name: {k: v.tobytes() for k, v in np.load(path).items()}
      for path in (workdir / 'frames').glob('*.npz')
    }
    saved = checkpoint.Checkpoints(workdir)
    sums = [saved.manifest(step)['checksums'] for step in saved.steps]
    assert saved.steps == [0, 4, 8, 12]
    files.append(((workdir / 'metrics.jsonl').read_bytes(), frames, sums))
  assert files[0] == files[1]
  assert threading.main_thread() not in threads


def test_on_one_core_steps_wait_for_figures(
  tiny: configs.Config, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  make_mesh, frame, play = (
    sharding.make_mesh, reports.SingleReport.frame, chunks.Chunks.__call__
  )  # fmt: skip
  told = []

  def slowly(self: Any, state: states.GanState) -> Any:
    threading.Event().wait(0.05)
    told.append(f'figures of {states.step_of(state)}')
    return frame(self, state)

  def counted(self: Any, state: states.GanState, step: int) -> Any:
    told.append(f'steps from {step}')
    return play(self, state, step)

  monkeypatch.setattr(sharding, 'make_mesh', lambda: make_mesh(1))
  monkeypatch.setattr(reports.SingleReport, 'frame', slowly)
  monkeypatch.setattr(chunks.Chunks, '__call__', counted)
  monkeypatch.setattr(decoding, 'available', lambda: 1)
  tiny.steps = 8
  train.train(tiny, tmp_path / 'run')
  assert told == [
    'figures of 0', 'steps from 0', 'figures of 4', 'steps from 4',
    'figures of 8',
  ]  # fmt: skip


def test_a_diverged_run_has_its_rows(
  tiny: configs.Config, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
  """And says so of all that was kept before."""
  make_mesh = sharding.make_mesh
  monkeypatch.setattr(sharding, 'make_mesh', lambda: make_mesh(1))
  compile_chunk = program.compile_chunk

  def breaking(*args: Any) -> Any:
    chunk = compile_chunk(*args)

    def run(state: states.GanState, *rest: Any) -> Any:
      broken = states.step_of(state) == 8
      state, logs, first = chunk(state, *rest)
      return state, logs, jax.tree.map(lambda x: x * (not broken), first)

    return run

  frame = reports.SingleReport.frame

  def slowly(self: Any, state: states.GanState) -> Any:
    threading.Event().wait(0.3)
    return frame(self, state)

  monkeypatch.setattr(program, 'compile_chunk', breaking)
  monkeypatch.setattr(reports.SingleReport, 'frame', slowly)
  said = 'step 9: .* the last good checkpoint is of step 8 '
  with pytest.raises(health.DivergedError, match=said):
    train.train(tiny, tmp_path)
  rows = (tmp_path / 'metrics.jsonl').read_text().splitlines()
  assert [row.split(',')[0] for row in rows] == [
    f'{{"step": {step}' for step in (0, 4, 8)
  ]
