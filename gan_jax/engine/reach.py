"""Which of a game's numbers its step reads."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.extend import core as jax_core


def unread(function: Callable[..., Any], numbers: Any, *args: Any) -> set[str]:
  """The names of those of a dict of numbers that no result depends on.

  What is only handed on to a function inside, such as a loop, counts as read.

  Args:
    function: `function(numbers, *args)`; traced, not run.
    numbers: a dict of arrays or their shapes.
    *args: arrays or their shapes.
  """
  closed = jax.make_jaxpr(function)(numbers, *args)
  inputs = closed.jaxpr.invars[: len(numbers)]
  live = _live(closed.jaxpr)
  # A dict's values are arguments in the order of its names.
  return {
    name
    for name, variable in zip(sorted(numbers), inputs, strict=True)
    if variable not in live
  }


def _live(jaxpr: jax_core.Jaxpr) -> set[jax_core.Var]:
  """The variables that a result depends on, seen from the last equation."""

  def variables(atoms: Iterable[Any]) -> set[jax_core.Var]:
    return {atom for atom in atoms if isinstance(atom, jax_core.Var)}

  live = variables(jaxpr.outvars)
  for equation in reversed(jaxpr.eqns):
    if equation.effects or not live.isdisjoint(equation.outvars):
      live |= variables(equation.invars)
  return live
