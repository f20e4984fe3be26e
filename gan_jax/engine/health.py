"""Whether a game is still healthy: its first non-finite number, its balance."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import types
from gan_jax.engine import player_terms

# What a step computes, in the order in which one number spoils the next.
_ORDER = (
  'disc/penalties/', 'disc/loss', 'disc/grad_norm', 'gen/penalties/', 'gen/loss'
)  # fmt: skip


class DivergedError(ValueError):
  """A loss or a gradient is no number any more.

  Attributes:
    step: at which, counted from 1 as a run's rows are.
    member: of a population, the last to go on; None in a single run.
  """

  def __init__(self, step: int, member: int | None, line: str):
    super().__init__(line)
    self.step, self.member = step, member


def first_nonfinite(logs: types.Logs) -> types.Logs:
  """Where each log of a chunk first is infinite or NaN.

  Args:
    logs: by name, `[T]` a value for each step.

  Returns:
    By name, `[]` int32 in 0 ... T, where T says nowhere.
  """

  def first(values: jax.Array) -> jax.Array:
    bad = ~jnp.isfinite(values)
    return jnp.where(bad.any(), bad.argmax(), len(values)).astype(jnp.int32)

  return {name: first(values) for name, values in logs.items()}


def finite_mean(values: jax.Array) -> jax.Array:
  """The mean `[]` of the finite ones of `[T]`; NaN where there are none."""
  finite = jnp.isfinite(values)
  total = jnp.where(finite, values, 0.0).sum()
  return jnp.where(finite.any(), total / finite.sum(), jnp.nan)


def first_broken(
  first: Mapping[str, int], length: int
) -> tuple[int, str] | None:
  """What of a chunk broke first.

  Args:
    first: of `first_nonfinite`, on the host.
    length: of the chunk, T.

  Returns:
    The step within the chunk, from 0, and in words which player and term; or
    None where everything is finite.
  """
  step = min(first.values(), default=length)
  if step >= length:
    return None
  broken = [name for name, where in first.items() if where == step]
  name = min(map(_of_player, broken), key=_rank)
  player = 'G' if name.startswith('gen/') else 'D'
  if '/penalties/' in name:
    term = f'its penalty {name.partition("/penalties/")[2]}'
  elif name.endswith('/loss'):
    term = 'its loss, penalties apart'
  elif name.endswith('/grad_norm'):
    term = 'its gradient, where its loss is finite'
  else:
    term = name
  return step, f'{player}: {term}'


def _of_player(name: str) -> str:
  """The name of a log, with the player before that of a penalty."""
  kind, _, term = name.partition('/')
  if kind != 'penalties':
    return name
  player = 'gen' if term in player_terms.TERMS.gen else 'disc'
  return f'{player}/{name}'


def _rank(name: str) -> tuple[int, str]:
  for i, prefix in enumerate(_ORDER):
    if name.startswith(prefix):
      return i, name
  return len(_ORDER), name


def balance(row: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The ratio of D's loss to G's, NaN where G's is 0; elementwise."""
  disc, gen = row['disc/loss'], row['gen/loss']
  whole = np.where(gen == 0, 1.0, gen)
  return {'health/loss_ratio': np.where(gen == 0, math.nan, disc / whole)}
