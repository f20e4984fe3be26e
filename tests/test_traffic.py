"""What is read off a program's text of bytes that several steps share."""

import pytest

from gan_jax.engine import traffic

# Of 100 steps, drawn 25 at a time: the entry runs once, `draw` 4 times and
# `step` 100 times. Arrays are in tiles of [8, 128], of 4096 bytes.
TEXT = """HloModule jit_run

%gathered (p0: f32[8,2], p1: s32[1024]) -> f32[1024,2] {
  %p0 = f32[8,2]{1,0:T(8,128)S(1)} parameter(0)
  %p1 = s32[1024]{0:T(1024)} parameter(1)
  ROOT %g = f32[1024,2]{1,0:T(8,128)} gather(%p0, %p1), slice_sizes={1,2}
}

%slice (q0: f32[64,128], q1: s32[]) -> f32[8,128] {
  %q0 = f32[64,128]{1,0:T(8,128)} parameter(0)
  %q1 = s32[]{:T(128)} parameter(1)
  %taken = f32[8,128]{1,0:T(8,128)} dynamic-slice(%q0, %q1, %q1)
  ROOT %twice = f32[8,128]{1,0:T(8,128)} add(%taken, %taken)
}

%update (r0: f32[64,128], r1: f32[8,128], r2: s32[]) -> f32[64,128] {
  %r0 = f32[64,128]{1,0:T(8,128)} parameter(0)
  %r1 = f32[8,128]{1,0:T(8,128)} parameter(1)
  %r2 = s32[]{:T(128)} parameter(2)
  ROOT %into = f32[64,128]{1,0:T(8,128)} dynamic-update-slice(%r0, %r1, %r2)
}

%step (s: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {
  %own = f32[8,128]{1,0:T(8,128)} copy(%s.1)
}

%fewer (c: (s32[], f32[8,128])) -> pred[] {
  %n = s32[]{:T(128)} constant(25)
  ROOT %lt = pred[] compare(%c.1, %n), direction=LT
}

%draw (d: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {
  %laws = f32[8,2]{1,0:T(8,128)S(1)} get-tuple-element(%d), index=1
  %which = s32[1024]{0:T(1024)} get-tuple-element(%d), index=2
  %drawn = f32[1024,2]{1,0:T(8,128)} fusion(%laws, %which), calls=%gathered
  %w = (s32[], f32[8,128]) while(%d), condition=%fewer, body=%step
}

%few (f: (s32[], f32[8,128])) -> pred[] {
  %n.1 = s32[]{:T(128)} constant(4)
  ROOT %lt.1 = pred[] compare(%f.1, %n.1), direction=LT
}

%called (z: f32[8,128]) -> f32[8,128] {
  %z = f32[8,128]{1,0:T(8,128)} parameter(0)
  ROOT %y = f32[8,128]{1,0:T(8,128)} copy(%z)
}

ENTRY %main (p: f32[64,128]) -> f32[8,128] {
  %p = f32[64,128]{1,0:T(8,128)} parameter(0), metadata={op_name="arrays"}
  %i = s32[]{:T(128)} constant(0)
  %near = (f32[64,128]{1,0}, f32[64,128]{1,0:S(1)}, u32[]) copy-start(%p)
  %part = f32[8,128]{1,0:T(8,128)} fusion(%p, %i), calls=%slice
  %whole = f32[64,128]{1,0:T(8,128)} fusion(%p, %part, %i), calls=%update
  %again = f32[8,128]{1,0:T(8,128)} call(%part), to_apply=%called
  %v = (s32[], /*index=1*/f32[8,128]) while(%t), condition=%few, body=%draw
}
"""


def test_bytes_that_steps_share():
  tile = 8 * 128 * 4
  # Each of 1024 rows is read in a tile of its own, then written beside others.
  draw = (1024 + 1024 // 8) * tile + 1024 * 4
  once = (8 + 8) * tile  # Started as a copy.
  once += 2 * (2 * tile + 4)  # A slice, and an update in place.
  once += 2 * tile  # Within a call.
  shared = traffic.shared(TEXT, length=100)
  # Conditions of loops compare what the steps do not share.
  assert shared == pytest.approx(
    draw * (1 - 4 / 100) + once * (1 - 1 / 100), abs=50
  )
  # As little as the numbers of a loop's rounds.
  assert traffic.shared(TEXT, length=1) == 0
  assert traffic.shared('', length=100) == 0
