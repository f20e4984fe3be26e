"""Chunks of steps as they are played: with their data, and logs on the host."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gan_jax.engine import hosts, placing, program, sharding
from gan_jax.game import state as states

Logs = dict[str, np.ndarray]

# Bytes of streamed images that one program finds on a device; while it runs,
# as many are made ready.
_STREAMED_BYTES = 2**26


class Chunks:
  """Plays a number of steps at a time.

  Images that are streamed are played in parts of it, so that memory does not
  grow with it.

  Attributes:
    waited: seconds in which no step ran, for its data were not there.
  """

  def __init__(
    self,
    game: program.Game,
    length: int,
    state: states.GanState,
    step: int,
    say: Callable[[str], None] = lambda _: None,
  ):
    """Compiles, and reads the first data.

    Args:
      game: single or of a population.
      length: steps at a time.
      state: on the devices.
      step: of the state.
      say: told what a population takes of memory.
    """
    self._game, self._length = game, length
    self._part = part_length(game, length)
    self._batches = placing.make_batches(game, self._part)
    self._hyper, self._keys = game.place((game.hyper, game.keys))
    self._next: tuple[int, Any] = step, self._batches(step)
    self.waited = 0.0
    args = state, self._hyper, self._next[1], self._keys
    self._compiled = program.compile_chunk(game, self._part, args, say)

  def __call__(
    self, state: states.GanState, step: int
  ) -> tuple[states.GanState, Logs, Logs]:
    """The state after so many steps, and what `program.make_steps` says.

    Args:
      state: donated.
      step: of the state.
    """
    told = []
    for first in range(step, step + self._length, self._part):
      if self._next[0] != first:
        began = time.monotonic()
        self._next = first, self._batches(first)
        self.waited += time.monotonic() - began
      with hosts.together():
        state, *logs = self._compiled(
          state, self._hyper, self._next[1], self._keys
        )
        told.append(jax.device_get(sharding.whole(logs, self._game.mesh)))
    means, wheres = zip(*told, strict=True)
    skips = self._game.spec.skip_nonfinite
    return state, mean(means, skips=skips), first_of(wheres, self._part)


def part_length(game: program.Game, length: int) -> int:
  """Steps of one program, a divisor of `length`."""
  read = game.source.read
  if read is None:
    return length
  most = _STREAMED_BYTES * game.mesh.size // read.step_bytes
  return program.largest_divisor(length, most)


def mean(parts: tuple[Logs, ...], *, skips: bool) -> Logs:
  """Of the means of parts of the same length; by name.

  Args:
    parts: at least one.
    skips: leave out the means that are not finite. A part of which some steps
      were left out counts like the others.
  """
  if len(parts) == 1:
    return parts[0]
  means = {}
  for name in parts[0]:
    values = np.stack([part[name] for part in parts])
    finite = np.isfinite(values) if skips else np.ones_like(values, bool)
    total = np.where(finite, values, 0).sum(0) if skips else values.sum(0)
    count = finite.sum(0)
    sure = np.maximum(count, 1).astype(values.dtype)
    means[name] = np.where(count > 0, total / sure, np.nan)
  return means


def first_of(parts: tuple[Logs, ...], length: int) -> Logs:
  """Where each log was first not finite, counted from the first part's start.

  Args:
    parts: as `health.first_nonfinite` has them.
    length: steps of each part.
  """
  nowhere, firsts = len(parts) * length, {}
  for name in parts[0]:
    each = [
      np.where(part[name] < length, i * length + part[name], nowhere)
      for i, part in enumerate(parts)
    ]
    firsts[name] = np.min(each, axis=0)
  return firsts
