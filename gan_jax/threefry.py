"""JAX's random bits on CPU, in one kernel.

JAX draws by Threefry-2x32 (Salmon et al. 2011), and on CPU compiles its twenty
rounds to a loop of small kernels, which are dispatched one by one. A step of a
small game splits and folds so many keys that this is an eighth of its time,
and as a loop no draw can be merged with its like or with what follows it.
Written out, a draw is one kernel and compiles faster. The bits are the same.

It is no longer needed once `python -m experiments.benchmarks.step_time
--suite=gaussian_1d` takes no longer without it.
"""

import jax
import jax.numpy as jnp
from jax.extend import random
from jax.interpreters import mlir

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry_2x32(
  key0: jax.Array, key1: jax.Array, x0: jax.Array, x1: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Two words of a counter under two words of a key; all uint32, one shape."""
  keys = key0, key1, key0 ^ key1 ^ jnp.uint32(0x1BD11BDA)
  x0, x1 = x0 + key0, x1 + key1
  for i in range(5):
    for rotation in _ROTATIONS[i % 2]:
      x0 += x1
      x1 = x0 ^ ((x1 << rotation) | (x1 >> (32 - rotation)))
    x0 += keys[(i + 1) % 3]
    x1 += keys[(i + 2) % 3] + jnp.uint32(i + 1)
  return x0, x1


def write_out() -> None:
  """Has all programs that are compiled from now on draw so on CPU."""
  rule = mlir.lower_fun(threefry_2x32, multiple_results=True)
  mlir.register_lowering(random.threefry2x32_p, rule, platform='cpu')
