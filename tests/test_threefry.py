"""Threefry against its authors' known answers, and in JAX's own draws."""

import subprocess
import sys

import jax.numpy as jnp
import pytest

from gan_jax import threefry

# Random123's kat_vectors: counter, key, bits of threefry2x32 of 20 rounds.
KNOWN = [
  ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
  ((2**32 - 1,) * 2, (2**32 - 1,) * 2, (0x1CB996FC, 0xBB002BE7)),
  (
    (0x243F6A88, 0x85A308D3),
    (0x13198A2E, 0x03707344),
    (0xC4923A9C, 0x483DF7A0),
  ),
]


@pytest.mark.parametrize(('counter', 'key', 'bits'), KNOWN)
def test_known_answers(
  counter: tuple[int, int], key: tuple[int, int], bits: tuple[int, int]
):
  words = (jnp.uint32(word) for word in (*key, *counter))
  assert tuple(map(int, threefry.threefry_2x32(*words))) == bits


_DRAWS = """
import jax
from gan_jax import threefry

def draw(key):
  a, b = jax.random.split(key)
  x = jax.random.normal(jax.random.fold_in(a, 3), (5, 7))
  return x, jax.random.uniform(b, (3,)), jax.random.bits(b, (0,))

key, found = jax.random.key(1), []
for _ in range(2):
  program = jax.jit(draw).lower(key).compile()
  found.append((' while(' in program.as_text(), program(key)))
  threefry.write_out()
  jax.clear_caches()
(loops, old), (still, new) = found
assert loops and not still, (loops, still)
assert all((a == b).all() for a, b in zip(old, new, strict=True))
"""


def test_jax_draws_the_same_without_a_loop():
  """In a process of its own, where JAX's way can be seen before."""
  done = subprocess.run(
    [sys.executable, '-c', _DRAWS], capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
