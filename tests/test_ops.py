"""Each fast path against its plain reference: gradients, vmap, devices."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

from gan_jax.ops import blocks, cpu, fir, linear, resample

Function = Callable[..., jax.Array]


def singly(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A batch by a kernel, one sample at a time."""
  axes = (((1,), (0,)), ((), ()))
  return jax.vmap(lambda x: linear.product(x[None], kernel, axes, None)[0])(x)


def maxout(x: jax.Array, kernel: jax.Array) -> jax.Array:
  return linear.as_matrices(x, kernel, (((1,), (0,)), ((), ())))


TAPS = np.array([0.1, -0.4, 0.9, 0.3], np.float32)


def fir_up(x: jax.Array) -> jax.Array:
  return fir.resample(x, TAPS, up=3, padding=(2, -1))


def fir_down(x: jax.Array) -> jax.Array:
  return fir.resample(x, np.outer(TAPS, TAPS + 1), up=2, down=3)


# The function, shapes of its arguments, and what only the stock one, and only
# the fast one, traces to.
OPS: dict[str, tuple[Function, tuple[tuple[int, ...], ...], str, str]] = {
  'relu': (linear.relu, ((8, 6),), ' max ', 'select_n'),
  'product': (
    singly, ((8, 6), (6, 5)), "(([2], [0]), ([], []))", '(([1], [0]), ([], []))'
  ),
  'as_matrices': (maxout, ((8, 6), (6, 3, 4)), 'f32[8,3,4] = dot_general',
                  'f32[8,12] = dot_general'),
  'upsample': (resample.upsample, ((8, 4, 6, 2),), 'pad[', 'resample['),
  'downsample': (resample.downsample, ((8, 4, 6, 2),), 'pad[', 'resample['),
  'narrow': (resample.narrow, ((8, 4, 6, 2),), 'pad[', 'resample['),
  'widen': (resample.widen, ((8, 4, 6, 2),), 'pad[', 'resample['),
  'smooth': (resample.smooth, ((8, 4, 6, 2),), 'pad[', 'resample['),
  'fir_up': (fir_up, ((8, 4, 6, 2),), 'conv_general_dilated[', 'fir['),
  'fir_down': (fir_down, ((8, 4, 6, 2),), 'conv_general_dilated[', 'fir['),
}  # fmt: skip
CASES = [pytest.param(*case[:2], id=name) for name, case in OPS.items()]


def operands(shapes: tuple[tuple[int, ...], ...]) -> list[jax.Array]:
  rng = np.random.default_rng(0)
  return [jnp.asarray(rng.normal(size=s), jnp.float32) for s in shapes]


def derivatives(f: Function, *args: jax.Array) -> list[Any]:
  """The value and its forward derivative; the gradient, that of R1."""
  every = tuple(range(len(args)))

  def loss(*args: jax.Array) -> jax.Array:
    return jnp.sum(jnp.sin(f(*args)))

  def r1(*args: jax.Array) -> jax.Array:
    return jnp.sum(jnp.square(jax.grad(loss)(*args)))

  return [
    *jax.jvp(f, args, tuple(jnp.cos(x) for x in args)),
    jax.grad(loss, every)(*args),
    jax.grad(r1, every)(*args),
  ]


def assert_close(actual: Any, expected: Any) -> None:
  leaves = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
  for a, b in leaves:
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def reference(f: Callable[..., Any], *args: jax.Array) -> Any:
  with cpu.stock():
    return jax.jit(f)(*args)


@pytest.mark.parametrize('name', OPS)
def test_the_switch_chooses(name: str):
  """And is part of the key of jit's cache."""
  f, shapes, plain, fast = OPS[name]
  traced = jax.jit(f).trace
  texts = [str(traced(*operands(shapes)).jaxpr)]
  with cpu.stock():
    texts.append(str(traced(*operands(shapes)).jaxpr))
  texts = [' '.join(text.replace('float32', 'f32').split()) for text in texts]
  assert [fast in text for text in texts] == [True, False], texts
  assert [plain in text for text in texts] == [False, True], texts


@pytest.mark.parametrize(('f', 'shapes'), CASES)
def test_derivatives(f: Function, shapes: tuple[tuple[int, ...], ...]):
  args = operands(shapes)
  both = functools.partial(derivatives, f)
  assert_close(jax.jit(both)(*args), reference(both, *args))


@pytest.mark.parametrize(('f', 'shapes'), CASES)
def test_vmap(f: Function, shapes: tuple[tuple[int, ...], ...]):
  """Members with operands of their own, one after another as the reference."""
  args = operands(tuple((3, *shape) for shape in shapes))
  both = functools.partial(derivatives, f)
  each = [reference(both, *(x[i] for x in args)) for i in range(3)]
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
  assert_close(jax.jit(jax.vmap(both))(*args), stacked)


@pytest.mark.parametrize(('f', 'shapes'), CASES)
def test_sharded(f: Function, shapes: tuple[tuple[int, ...], ...]):
  """A batch that is split over four devices."""
  mesh = jax.make_mesh(
    (4,), ('batch',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  batch = jax.sharding.NamedSharding(mesh, jax.P('batch'))
  x, *rest = operands(shapes)
  both = functools.partial(derivatives, f)
  actual = jax.jit(both)(jax.device_put(x, batch), *rest)
  assert actual[0].sharding.is_equivalent_to(batch, actual[0].ndim)
  assert_close(actual, reference(both, x, *rest))


def test_relu_at_zero_and_without_a_number():
  """The slope at 0 is 0, as flax has it; NaN and infinities stay."""
  x = jnp.array([-jnp.inf, -1.0, -0.0, 0.0, 1.0, jnp.inf, jnp.nan])
  for context in (False, True):
    f = functools.partial(reference, linear.relu) if context else linear.relu
    np.testing.assert_array_equal(
      f(x), [0.0, 0.0, 0.0, 0.0, 1.0, np.inf, np.nan]
    )
    slopes = jax.vmap(jax.grad(linear.relu))
    slopes = functools.partial(reference, slopes) if context else slopes
    np.testing.assert_array_equal(slopes(x)[:6], [0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize('size', [5, 6, 64])
def test_blocks(size: int, monkeypatch: pytest.MonkeyPatch):
  """With a rest, without one, and in one block."""
  monkeypatch.setattr(cpu, 'BLOCK_SAMPLES', size)
  x, weights = operands(((24, 3), (3, 2)))

  def whole(x: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.tanh(x @ weights)

  def by_block(x: jax.Array, weights: jax.Array) -> jax.Array:
    return blocks.apply(lambda x: whole(x, weights), x)

  both = [functools.partial(derivatives, f) for f in (by_block, whole)]
  assert_close(*(jax.jit(f)(x, weights) for f in both))
  many = x[None] * jnp.arange(1.0, 4.0)[:, None, None]
  assert_close(*(jax.jit(jax.vmap(f, (0, None)))(many, weights) for f in both))


@pytest.mark.parametrize(
  ('taps', 'up', 'down', 'padding'),
  [
    (12, 2, 1, (5, 6)), (12, 1, 2, (0, 0)), (8, 4, 1, (-3, 7)),
    (6, 3, 2, (4, 1)), (7, 2, 4, (3, 3)), (1, 1, 1, (0, -2)),
  ],
)  # fmt: skip
@pytest.mark.parametrize('axes', [1, 2])
@pytest.mark.parametrize('terms', [1, 144])
def test_filters_of_scipy(
  taps: int, up: int, down: int, padding: tuple[int, int], axes: int,
  terms: int, monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
  """Separable ones and others, added up at once and row by row."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 13, 15, 2)).astype(np.float32)
  table = rng.normal(size=(taps,) * axes).astype(np.float32)
  full = np.outer(table, table) if axes == 1 else table

  def plain(image: np.ndarray) -> np.ndarray:
    zeros = np.zeros([up * n for n in image.shape])
    zeros[::up, ::up] = image
    before, after = padding
    zeros = np.pad(zeros, [(max(before, 0), max(after, 0))] * 2)
    cut = slice(max(-before, 0), -max(-after, 0) or None)
    kept = scipy.signal.convolve2d(zeros[cut, cut], full, 'valid')
    return kept[::down, ::down]

  expected = np.stack(
    [[plain(x[i, ..., c]) for c in range(2)] for i in range(2)]
  ).transpose(0, 2, 3, 1)
  monkeypatch.setattr(fir, '_TERMS', terms)
  ours = jax.jit(
    lambda x: fir.resample(x, table, up=up, down=down, padding=padding)
  )
  assert_close(ours(x), expected)


def test_a_filter_longer_than_the_images_is_refused():
  with pytest.raises(ValueError, match='12 taps over images of shape'):
    fir.resample(jnp.ones((1, 5, 20, 3)), np.ones(12))
