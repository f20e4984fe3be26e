"""Counts the arithmetic of a function's linear layers from what it traces to.

A multiply-add is two operations. A convolution costs one multiply-add for each
output pixel, tap, channel in and channel out, the borders included; a
transposed one, for each input pixel; a grouped one, within groups alone.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
from jax.extend import core


def count(fn: Callable[..., Any], *args: Any) -> int:
  """Floating-point operations of the linear layers of `fn(*args)`.

  Counted are the matrix products and convolutions of the networks and of all
  derivatives that the algorithm takes: a layer's forward pass is 1, the
  gradients of its input and of its kernel are 1 each where they are needed, and
  so are those of a gradient (R1). A product that is computed twice counts once,
  and one whose result is not used does not count, since a compiler removes
  both: the count belongs to the algorithm, not to how it is compiled.
  Resampling filters, activations, normalisation and optimisers are not counted.

  Args:
    fn: traced, not run.
    *args: arrays, or `jax.ShapeDtypeStruct`s.
  """
  return of_traced(jax.make_jaxpr(fn)(*args))


def of_traced(program: core.ClosedJaxpr) -> int:
  """`count` of a function that is traced already."""
  return _count_program(program)


def largest(program: core.ClosedJaxpr) -> int:
  """Operations of the largest product or convolution in a traced program."""
  eqns = program.jaxpr.eqns
  inner = [largest(inner) for eqn in eqns for inner in _programs(eqn)]
  return max([*map(_product_flops, eqns), *inner], default=0)


class _Graph:
  """Values by number, such that equal computations have equal numbers."""

  def __init__(self) -> None:
    self._numbers = itertools.count()
    self._known: dict[Any, list[int]] = {}
    # By value: the operations that make it, and what they read.
    self._made: dict[int, tuple[int, list[int], int]] = {}

  def fresh(self, variables: Sequence[Any]) -> list[int]:
    """A number for each."""
    return [next(self._numbers) for _ in variables]

  def inline(
    self, jaxpr: Any, consts: Iterable[Any], inputs: list[int]
  ) -> list[int]:
    """The numbers of a program's results, for those of its arguments."""
    env: dict[Any, int] = dict(zip(jaxpr.invars, inputs, strict=True))
    for variable, const in zip(jaxpr.constvars, consts, strict=True):
      env[variable] = self._number(('const', id(const)))

    def read(atom: Any) -> int:
      if isinstance(atom, core.Literal):
        return self._number(('literal', str(atom.val), str(atom.aval)))
      return env[atom]

    for eqn in jaxpr.eqns:
      operands = [read(atom) for atom in eqn.invars]
      inner = next(_programs(eqn), None) if _is_call(eqn) else None
      if inner is not None and len(inner.jaxpr.invars) == len(operands):
        outputs = self.inline(inner.jaxpr, inner.consts, operands)
      else:
        outputs = self._apply(eqn, operands)
      env.update(zip(eqn.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]

  def cost(self, outputs: list[int]) -> int:
    """Operations of all that the outputs depend on."""
    seen: set[int] = set()
    paid: dict[int, int] = {}
    todo = list(outputs)
    while todo:
      value = todo.pop()
      if value not in seen and value in self._made:
        flops, reads, call = self._made[value]
        paid[call] = flops
        todo += reads
      seen.add(value)
    return sum(paid.values())

  def _number(self, key: Any) -> int:
    return self._known.setdefault(key, [next(self._numbers)])[0]

  def _apply(self, eqn: Any, operands: list[int]) -> list[int]:
    # Loops and branches are their own: to write out their programs is slow.
    has_programs = any(True for _ in _programs(eqn))
    params = id(eqn) if has_programs else str(eqn.params)
    key = (eqn.primitive.name, tuple(operands), params)
    if key not in self._known:
      outputs = self.fresh(eqn.outvars)
      self._known[key] = outputs
      flops = _flops(eqn)  # Once: an inner loop's is a count of its own.
      for output in outputs:
        self._made[output] = (flops, operands, outputs[0])
    return self._known[key]


def _is_call(eqn: Any) -> bool:
  """Whether it is its inner program once, and nothing else."""
  return eqn.primitive.name in (
    'jit', 'pjit', 'closed_call', 'custom_jvp_call', 'custom_vjp_call'
  )  # fmt: skip


def _programs(eqn: Any) -> Iterator[Any]:
  """The programs among its parameters, as closed ones."""
  for value in eqn.params.values():
    for item in value if isinstance(value, tuple | list) else (value,):
      if isinstance(item, core.ClosedJaxpr):
        yield item
      elif isinstance(item, core.Jaxpr):
        yield core.ClosedJaxpr(item, ())


def _flops(eqn: Any) -> int:
  # Loops and branches: what one pass costs, for each pass where that is known.
  inner = [_count_program(program) for program in _programs(eqn)]
  is_scan = eqn.primitive.name == 'scan'
  passes = int(eqn.params['length']) if is_scan else 1
  return _product_flops(eqn) + passes * sum(inner)


def _count_program(program: Any) -> int:
  """Operations of a closed program."""
  graph = _Graph()
  inputs = graph.fresh(program.jaxpr.invars)
  return graph.cost(graph.inline(program.jaxpr, program.consts, inputs))


def _product_flops(eqn: Any) -> int:
  """Operations of a product or a convolution; of anything else none."""
  if eqn.primitive.name == 'conv':
    return _conv_flops(eqn)
  if eqn.primitive.name != 'dot_general':
    return 0
  (contracted, _), _ = eqn.params['dimension_numbers']
  terms = math.prod(eqn.invars[0].aval.shape[i] for i in contracted)
  return 2 * math.prod(eqn.outvars[0].aval.shape) * terms


def _conv_flops(eqn: Any) -> int:
  """Of `gan_jax.ops.conv`'s primitive, whichever operand it leaves out."""
  form = eqn.params['form']
  shapes = form.name(*(atom.aval.shape for atom in eqn.invars))
  shapes[form.out] = eqn.outvars[0].aval.shape
  kernel = math.prod(shapes['kernel'][-4:])
  transposed = form.rows.stretch > 1 or form.columns.stretch > 1
  batch, *pixels, _ = shapes['x' if transposed else 'y'][-4:]
  members = max(math.prod(shape[:-4]) for shape in shapes.values())
  return 2 * members * batch * math.prod(pixels) * kernel
